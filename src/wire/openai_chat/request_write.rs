//! Writes a canonical request as OpenAI Chat Completions. What cannot be said is a loss or a refusal, never silence.

use super::members::{stands_here, stands_in};
use super::write_content::Content;
use super::write_reasoning::write_reasoning;
use super::write_tools::{Names, Wanted, write_format, write_tools};
use crate::wire::Protocol;
use crate::wire::ir::{
    CacheMark, Class, Extra, Feature, Format, Losses, PartKind, Quirk, Refusal, Request, Target, Undo, leave_out,
    said_again, said_alike,
};
use crate::wire::json::{Json, Str, Value};
use crate::wire::schema::json_schema;

pub(super) const OWN: Protocol = Protocol::OpenAiChat;

/// Most stop texts that an upstream takes; the answer is cut at the gateway for the others.
const STOPS_MAX: usize = 4;
/// Longest `user` that OpenAI takes.
const USER_BYTES_MAX: usize = 64;

/// The body for an upstream, and what its answer must undo.
pub fn write_request(
    request: &Request<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<(Vec<u8>, Undo), Refusal> {
    let mut undo = Undo::default();
    let mut out = Vec::with_capacity(4096);
    let mut result = Ok(());
    leave_out(&request.extra, OWN, losses)?;
    Json::new(&mut out).object(|json| result = write_body(json, request, target, losses, &mut undo));
    result.map(|()| (out, undo))
}

fn write_body(
    json: &mut Json<'_>,
    request: &Request<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
    undo: &mut Undo,
) -> Result<(), Refusal> {
    let Request {
        protocol,
        model: _,
        stream: _,
        turns,
        tools,
        tool_choice,
        parallel_calls,
        output_tokens_max,
        format,
        stop,
        choices,
        temperature,
        top_p,
        top_k,
        presence_penalty,
        frequency_penalty,
        seed,
        logprobs,
        top_logprobs,
        verbosity,
        reasoning,
        service_tier,
        user,
        safety_identifier,
        metadata,
        prompt_cache_key,
        audio_out,
        image_out,
        cache_all,
        extra,
    } = request;
    let form = Form { own: *protocol == OWN, extra };
    let names = Names::new(form.own, tools, undo);

    json.key("model").text(target.model);
    Content::new(request, target, &names, losses).write_messages(turns, format_line(request, target), json)?;
    let wanted = Wanted { tools, choice: tool_choice.as_ref(), parallel: *parallel_calls };
    write_tools(json, &form, &wanted, target, &names, losses)?;
    write_format(json, &form, format.as_ref(), request, target, losses);
    write_limit(json, &form, *output_tokens_max, target, losses);
    write_stops(json, &form, stop, undo);
    if let Some(choices) = choices {
        json.key("n").uint(*choices);
    }
    for (name, number, feature) in [
        ("temperature", temperature, Feature::Temperature),
        ("top_p", top_p, Feature::TopP),
        ("presence_penalty", presence_penalty, Feature::PresencePenalty),
        ("frequency_penalty", frequency_penalty, Feature::FrequencyPenalty),
        ("top_k", top_k, Feature::TopK),
    ] {
        let Some(number) = number else { continue };
        let known = feature != Feature::TopK || form.own || target.quirks.has(Quirk::TopK);
        if target.sampling && known { json.key(name).raw(number) } else { losses.dropped(feature) }
    }
    if let Some(seed) = seed {
        json.key("seed").raw(seed);
    }
    write_logprobs(json, form.own, *logprobs, *top_logprobs);
    write_reasoning(json, &form, reasoning.as_ref(), target, losses);
    for (name, text) in
        [("verbosity", verbosity), ("safety_identifier", safety_identifier), ("prompt_cache_key", prompt_cache_key)]
    {
        if let Some(text) = text {
            json.key(name).str(text);
        }
    }
    write_identity(json, request, user.as_ref(), service_tier.as_ref(), metadata.as_ref(), losses);
    write_modalities(json, &form, audio_out.as_ref(), *image_out);
    write_cache_all(json, &form, cache_all.as_ref(), target, losses);
    write_stream(json, &form, target);
    form.say_here(json, except(&form, target));
    for extra in said_alike(extra, OWN) {
        json.key_of(&extra.name).value(&extra.value);
    }
    Ok(())
}

/// How a client of this protocol said things: kept as idle extras where it had a choice.
pub(super) struct Form<'r, 'a> {
    pub own: bool,
    pub extra: &'r [Extra<'a>],
}

impl<'r, 'a> Form<'r, 'a> {
    /// The client's own way to say it, which `say_here` says again.
    pub fn given(&self, name: &str) -> Option<&'r Value<'a>> {
        self.noted(name).filter(|value| !value.is_null())
    }

    /// The same, a null too.
    fn noted(&self, name: &str) -> Option<&'r Value<'a>> {
        let extras = self.extra.iter().filter(|extra| extra.protocol == OWN && extra.class == Class::Idle);
        extras.filter(|extra| stands_here(extra)).find(|extra| extra.name == name).map(|extra| &extra.value)
    }

    /// Says again what stands in this very object.
    pub fn say_here(&self, json: &mut Json<'_>, except: &[&str]) {
        for extra in said_again(self.extra, OWN).filter(|extra| stands_here(extra)) {
            if !except.iter().any(|name| extra.name == *name) {
                json.key_of(&extra.name).value(&extra.value);
            }
        }
    }

    /// Says again what stands in an inner object of that name.
    pub fn say_in(&self, json: &mut Json<'_>, object: &str) {
        for extra in said_again(self.extra, OWN).filter(|extra| stands_in(extra, object)) {
            json.key_of(&extra.name).value(&extra.value);
        }
    }
}

/// The client's limit, the gateway's and the model's ceiling: the lowest counts.
fn write_limit(json: &mut Json<'_>, form: &Form<'_, '_>, asked: Option<u64>, target: &Target<'_>, losses: &mut Losses) {
    let mut limited = |asked: Option<u64>| {
        let ceiling = Some(target.output_max).filter(|max| *max > 0);
        let limit = asked.into_iter().chain(target.output_limit).min()?;
        // A limit of nothing only warms a cache, which cannot be said here.
        let limit = limit.max(1).min(ceiling.unwrap_or(u64::MAX));
        if asked.is_some_and(|asked| asked != limit) {
            losses.clamped(Feature::OutputLimit);
        }
        Some(limit)
    };
    let forced = target.quirks.has(Quirk::MaxTokens);
    let given: Vec<_> = ["max_completion_tokens", "max_tokens"]
        .into_iter()
        .filter_map(|name| Some((name, form.noted(name).filter(|_| !forced)?.as_u64())))
        .collect();
    if given.is_empty()
        && let Some(limit) = limited(asked)
    {
        json.key(if forced { "max_tokens" } else { "max_completion_tokens" }).uint(limit);
    }
    for (name, asked) in given {
        match limited(asked) {
            Some(limit) => json.key(name).uint(limit),
            None => json.key(name).null(),
        }
    }
}

fn write_stops(json: &mut Json<'_>, form: &Form<'_, '_>, stop: &[Str<'_>], undo: &mut Undo) {
    if stop.is_empty() || form.given("stop").is_some() {
        return;
    }
    let stop: Vec<&Str<'_>> = stop.iter().filter(|text| form.own || !text.is_empty()).collect();
    let told = if form.own { stop.len() } else { stop.len().min(STOPS_MAX) };
    if told > 0 {
        json.key("stop").array(|json| stop[..told].iter().for_each(|text| json.str(text)));
    }
    undo.stop.extend(stop[told..].iter().map(|text| text.decode().into_owned()));
}

fn write_logprobs(json: &mut Json<'_>, own: bool, asked: Option<bool>, top: Option<u64>) {
    // Others ask by the number alone.
    let asked =
        if own { asked } else { Some(asked == Some(true) || top.is_some_and(|top| top > 0)).filter(|asked| *asked) };
    if let Some(asked) = asked {
        json.key("logprobs").bool(asked);
    }
    if let Some(top) = top.filter(|_| own || asked == Some(true)) {
        json.key("top_logprobs").uint(top.min(if own { u64::MAX } else { 20 }));
    }
}

fn write_identity(
    json: &mut Json<'_>,
    request: &Request<'_>,
    user: Option<&Str<'_>>,
    tier: Option<&Str<'_>>,
    metadata: Option<&Value<'_>>,
    losses: &mut Losses,
) {
    let own = request.protocol == OWN;
    if let Some(user) = user {
        let plain = user.decode();
        if own || plain.len() <= USER_BYTES_MAX {
            json.key("user").str(user);
        } else {
            use sha2::{Digest, Sha256};
            json.key("user").text(&data_encoding::HEXLOWER.encode(&Sha256::digest(plain.as_bytes())));
        }
    }
    if let Some(tier) = tier {
        match spelled_tier(request.protocol, &tier.decode()) {
            Some(word) => json.key("service_tier").text(&word),
            None => losses.dropped(Feature::ServiceTier),
        }
    }
    if let Some(metadata) = metadata {
        match request.protocol {
            Protocol::OpenAiChat | Protocol::OpenAiResponses | Protocol::GeminiGenerate => {
                json.key("metadata").value(metadata);
            }
            Protocol::AnthropicMessages => losses.dropped(Feature::Metadata),
        }
    }
}

fn spelled_tier(protocol: Protocol, word: &str) -> Option<String> {
    Some(match protocol {
        Protocol::OpenAiChat | Protocol::OpenAiResponses => word.to_owned(),
        Protocol::AnthropicMessages => match word {
            "auto" | "priority" => "auto".to_owned(),
            "standard_only" | "standard" => "default".to_owned(),
            _ => return None,
        },
        Protocol::GeminiGenerate => match word.to_ascii_uppercase().trim_start_matches("SERVICE_TIER_") {
            "STANDARD" => "default".to_owned(),
            "FLEX" => "flex".to_owned(),
            "PRIORITY" => "priority".to_owned(),
            _ => return None,
        },
    })
}

fn write_modalities(json: &mut Json<'_>, form: &Form<'_, '_>, audio: Option<&Value<'_>>, image: bool) {
    if let Some(audio) = audio.filter(|audio| audio.as_object().is_none_or(|audio| !audio.is_empty())) {
        json.key("audio").value(audio);
    }
    if form.own || (audio.is_none() && !image) {
        return;
    }
    json.key("modalities").array(|json| {
        json.text("text");
        if audio.is_some() {
            json.text("audio");
        }
        if image {
            json.text("image");
        }
    });
}

fn write_cache_all(
    json: &mut Json<'_>,
    form: &Form<'_, '_>,
    mark: Option<&CacheMark<'_>>,
    target: &Target<'_>,
    losses: &mut Losses,
) {
    let Some(mark) = mark.filter(|_| !form.own) else { return };
    if target.quirks.has(Quirk::CacheControlParts) {
        json.key("cache_control").object(|json| write_ephemeral(json, mark, losses));
    } else if mark.ttl.is_some() {
        // Without a lifetime it asks for what these upstreams do by themselves.
        losses.approximated(Feature::CacheControl);
    }
}

pub(super) fn write_ephemeral(json: &mut Json<'_>, mark: &CacheMark<'_>, losses: &mut Losses) {
    json.key("type").text("ephemeral");
    match &mark.ttl {
        Some(ttl) if *ttl == "5m" || *ttl == "1h" => json.key("ttl").str(ttl),
        Some(_) => losses.approximated(Feature::CacheControl),
        None => {}
    }
}

/// Usage is always asked for: without it nobody can be billed.
fn write_stream(json: &mut Json<'_>, form: &Form<'_, '_>, target: &Target<'_>) {
    if !target.stream {
        return;
    }
    json.key("stream").bool(true);
    if target.quirks.has(Quirk::NoStreamOptions) {
        return;
    }
    json.key("stream_options").object(|json| {
        json.key("include_usage").bool(true);
        let given = form.given("stream_options").and_then(Value::as_object);
        for (name, value) in given.into_iter().flat_map(|options| &options.members) {
            if *name != "include_usage" {
                json.key_of(name).value(value);
            }
        }
    });
}

/// What was said already, in a way of its own.
fn except(form: &Form<'_, '_>, target: &Target<'_>) -> &'static [&'static str] {
    if target.stream {
        &["max_tokens", "max_completion_tokens", "stream_options", "stream"]
    } else if form.given("stream_options").is_some() {
        &["max_tokens", "max_completion_tokens", "stream_options"]
    } else {
        &["max_tokens", "max_completion_tokens"]
    }
}

/// Whether any text of the request says "JSON", as OpenAI wants it of who asks for a JSON object.
pub(super) fn says_json(request: &Request<'_>) -> bool {
    let says = |text: &Str<'_>| text.decode().as_bytes().windows(4).any(|word| word.eq_ignore_ascii_case(b"json"));
    request.turns.iter().flat_map(|turn| &turn.parts).any(|part| match &part.kind {
        PartKind::Text(text) => says(text),
        _ => false,
    })
}

/// What a system line must say where a schema has no place of its own, or nobody has said JSON.
fn format_line(request: &Request<'_>, target: &Target<'_>) -> Option<String> {
    match request.format.as_ref()? {
        Format::Text => None,
        Format::Json => {
            (request.protocol != OWN && !says_json(request)).then(|| "Answer with one JSON object only.".to_owned())
        }
        Format::Schema { schema, dialect, .. } => target.quirks.has(Quirk::NoJsonSchema).then(|| {
            let schema = json_schema(schema, *dialect).to_json();
            format!("Answer with one JSON object only. It must be valid against this JSON Schema: {schema}")
        }),
    }
}
