//! Settings, thinking, and what cannot be said.

use super::*;

fn wish(effort: Option<Effort>, budget: Option<i64>, mode: Option<ReasoningMode>) -> ReasoningWish<'static> {
    ReasoningWish { effort, budget, mode, ..ReasoningWish::default() }
}

#[test]
fn thinking_is_said_as_the_model_takes_it() {
    use Effort::{High, Low, Max, Medium, Minimal};
    let said = |wish: ReasoningWish<'static>, reasoning| {
        let request = Request { reasoning: Some(wish), ..chat(vec![user("a")]) };
        let (out, losses, _) = try_written(&request, &Target { reasoning, ..target() }).unwrap();
        (out["generationConfig"]["thinkingConfig"].clone(), losses)
    };
    let clamped = vec!["reasoning_effort clamped".to_owned()];
    let level = |level: &str| json!({ "includeThoughts": true, "thinkingLevel": level });
    let budget = |budget: i64| json!({ "includeThoughts": true, "thinkingBudget": budget });
    let effort = |effort| wish(Some(effort), None, None);
    assert_eq!(said(effort(Low), by_level()), (level("LOW"), vec![]));
    assert_eq!(said(effort(Medium), by_level()), (level("HIGH"), clamped.clone()));
    assert_eq!(said(effort(Minimal), by_level()), (level("LOW"), clamped.clone()));
    assert_eq!(said(effort(Max), by_level()), (level("HIGH"), clamped.clone()));
    assert_eq!(said(effort(Effort::None), by_level()), (json!({ "thinkingLevel": "LOW" }), clamped.clone()));
    assert_eq!(
        said(wish(None, Some(20_000), Some(ReasoningMode::Enabled)), by_level()),
        (level("HIGH"), vec!["reasoning_effort approximated".to_owned()])
    );
    let range = |off| ReasoningStyle::Budget { min: 128, max: 32768, off };
    assert_eq!(said(effort(High), range(true)), (budget(24576), vec![]));
    assert_eq!(said(effort(Max), range(true)), (budget(32768), vec![]));
    assert_eq!(said(effort(Effort::None), range(true)), (json!({ "thinkingBudget": 0 }), vec![]));
    assert_eq!(said(effort(Effort::None), range(false)), (json!({ "thinkingBudget": 128 }), clamped.clone()));
    assert_eq!(said(wish(None, Some(99_999), None), range(true)), (budget(32768), clamped.clone()));
    assert_eq!(said(wish(None, None, Some(ReasoningMode::Adaptive)), range(true)), (budget(-1), vec![]));
    assert_eq!(said(effort(High), ReasoningStyle::Never), (Json::Null, vec!["reasoning_effort dropped".to_owned()]));
    assert_eq!(said(effort(Effort::None), ReasoningStyle::Never), (Json::Null, vec![]));
    let all =
        ReasoningStyle::Effort { efforts: Efforts::of(&[Minimal, Low, Medium, High, Effort::Xhigh, Max]), off: true };
    assert_eq!(said(effort(Max), all), (level("HIGH"), clamped));
    let hidden = ReasoningWish { show: Some(false), ..effort(Low) };
    assert_eq!(said(hidden, by_level()), (json!({ "thinkingLevel": "LOW" }), vec![]));
}

#[test]
fn settings_are_said_or_told_as_lost() {
    let mut request = chat(vec![user("a")]);
    request.temperature = Some("2.5".into());
    request.top_p = Some("0.10".into());
    request.top_k = Some("40".into());
    request.presence_penalty = Some("1".into());
    request.seed = Some("123456789012".into());
    request.choices = Some(2);
    request.output_tokens_max = Some(900);
    request.stop = ["a", "b", "c", "d", "e", "f"].map(Str::plain).to_vec();
    request.logprobs = Some(true);
    request.top_logprobs = Some(3);
    request.verbosity = Some(Str::plain("low"));
    request.parallel_calls = Some(false);
    request.prompt_cache_key = Some(Str::plain("k"));
    request.service_tier = Some(Str::plain("flex"));
    request.user = Some(Str::plain("u-1"));
    request.metadata = Some(value(&json!({ "team": "a", "Odd": "b" })));
    let limited = Target { output_max: 500, output_limit: Some(300), ..target() };
    let (out, losses, undo) = try_written(&request, &limited).unwrap();
    let expected = json!({ "temperature": 2, "topP": 0.10, "topK": 40, "presencePenalty": 1, "seed": 123456789012i64 & 0x7fff_ffff,
        "responseLogprobs": true, "logprobs": 3, "candidateCount": 2, "maxOutputTokens": 300,
        "stopSequences": ["a", "b", "c", "d", "e"] });
    assert_eq!(out["generationConfig"], expected);
    assert_eq!(out["serviceTier"], "FLEX");
    assert_eq!(undo.stop, ["f"]);
    let expected = [
        "verbosity dropped",
        "prompt_cache_key dropped",
        "parallel_tool_calls omitted",
        "temperature clamped",
        "seed clamped",
        "max_completion_tokens clamped",
        "metadata dropped",
        "user dropped",
    ];
    assert_eq!(losses, expected);
    check(
        &request,
        &with(&[Quirk::Vertex]),
        "/labels",
        json!({ "team": "a", "user": "u-1" }),
        &[
            "verbosity dropped",
            "prompt_cache_key dropped",
            "parallel_tool_calls omitted",
            "temperature clamped",
            "seed clamped",
            "metadata dropped",
        ],
    );
    let plain = Target { sampling: false, ..target() };
    let (out, losses, _) = try_written(&Request { top_p: Some("1".into()), ..chat(vec![user("a")]) }, &plain).unwrap();
    assert_eq!((out.get("generationConfig"), losses), (None, vec!["top_p dropped".to_owned()]));
}

#[test]
fn images_and_sound_in_the_answer() {
    let request = |audio_out: Option<Json>, image_out| {
        let audio_out = audio_out.as_ref().map(value);
        Request { audio_out, image_out, ..chat(vec![user("a")]) }
    };
    let config = "/generationConfig";
    check(&request(None, true), &target(), config, json!({ "responseModalities": ["TEXT", "IMAGE"] }), &[]);
    let spoken = request(Some(json!({ "voice": "Kore", "format": "pcm16" })), false);
    let voice = json!({ "voiceConfig": { "prebuiltVoiceConfig": { "voiceName": "Kore" } } });
    check(&spoken, &target(), config, json!({ "responseModalities": ["AUDIO"], "speechConfig": voice }), &[]);
    let alloy = request(Some(json!({ "voice": "alloy", "format": "mp3" })), false);
    check(&alloy, &target(), config, json!({ "responseModalities": ["AUDIO"] }), &["audio approximated"]);
    let detail = |detail: &'static str| {
        let PartKind::Media(media) = png().kind else { panic!() };
        Part::new(PartKind::Media(Media { detail: Some(Str::plain(detail)), ..media }))
    };
    let seen = |parts| chat(vec![turn(Role::User, parts)]);
    check(&seen(vec![detail("high")]), &target(), config, json!({ "mediaResolution": "MEDIA_RESOLUTION_HIGH" }), &[]);
    check(&seen(vec![detail("low")]), &target(), config, json!({ "mediaResolution": "MEDIA_RESOLUTION_LOW" }), &[]);
    check_absent(&seen(vec![detail("auto"), png()]), &target(), config, &[]);
    check_absent(&seen(vec![detail("low"), png()]), &target(), config, &["detail approximated"]);
}

#[test]
fn what_only_others_say_is_left_out_or_refused() {
    let extra = |name: &'static str, class| Extra {
        protocol: Protocol::OpenAiChat,
        path: name.into(),
        name: Str::plain(name),
        value: Value::Bool(true),
        class,
    };
    let mut request = chat(vec![user("a")]);
    request.extra =
        vec![extra("store", Class::Idle), extra("logit_bias", Class::Dropped), extra("odd", Class::Unknown)];
    request.turns[0].parts[0].extra = vec![extra("messages[0].content[0].odd", Class::Unknown)];
    request.turns[0].parts[0].cache = Some(Default::default());
    let losses =
        ["logit_bias dropped", "odd dropped", "messages[0].content[0].odd dropped", "prompt_cache_breakpoint dropped"];
    check(&request, &target(), "", json!({ "contents": [{ "role": "user", "parts": [{ "text": "a" }] }] }), &losses);
    request.extra.push(extra("prediction", Class::Refused));
    assert_eq!(try_written(&request, &target()).unwrap_err().param, "prediction");
    let foreign = |class| {
        let kind = PartKind::Foreign {
            protocol: Protocol::OpenAiResponses,
            what: "file_search_call".into(),
            raw: Value::object(),
            class,
        };
        chat(vec![user("a"), turn(Role::Assistant, vec![Part::new(kind), Part::text("b")])])
    };
    check(
        &foreign(Class::Dropped),
        &target(),
        "/contents/1/parts",
        json!([{ "text": "b" }]),
        &["file_search_call dropped"],
    );
    assert!(try_written(&foreign(Class::Refused), &target()).is_err());
}

#[test]
fn documents_lose_what_gemini_has_no_word_for() {
    let document = Document { context: Some(Str::plain("c")), citations: Some(value(&json!({ "enabled": true }))) };
    let media = Media {
        kind: MediaKind::Document,
        source: Source::Base64 { mime: "application/pdf".into(), data: Str::plain("JVBE") },
        name: None,
        detail: None,
        document: Some(Box::new(document)),
    };
    let request = chat(vec![turn(Role::User, vec![Part::new(PartKind::Media(media))])]);
    let mut losses = Losses::default();
    write_request(&request, &target(), &mut losses).unwrap();
    let expected = [Feature::Field("context".into()), Feature::Citations];
    assert!(losses.iter().map(|loss| &loss.feature).eq(&expected));
    assert!(losses.iter().all(|loss| loss.kind == LossKind::Dropped));
    // A leading system turn is the instruction wherever it stands, a later one is not.
    let lead = Turn { place: Place::Lead, ..turn(Role::System, vec![Part::text("s")]) };
    let late = chat(vec![user("a"), lead]);
    check(&late, &target(), "/systemInstruction", json!({ "parts": [{ "text": "s" }] }), &[]);
}
