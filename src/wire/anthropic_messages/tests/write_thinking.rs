//! Wishes about thinking in the words of each kind of model, and the limit of output.

use super::write::*;
use super::*;
use crate::wire::Protocol;
use crate::wire::ir::{Effort, LossKind, ReasoningMode, ReasoningWish, Request, Role, ToolChoice, Turn};
pub(super) fn wish(effort: Option<Effort>, budget: Option<i64>) -> Option<ReasoningWish<'static>> {
    Some(ReasoningWish { effort, budget, ..ReasoningWish::default() })
}

#[track_caller]
fn check_thinking(
    request: &Request<'static>,
    target: &Target<'_>,
    expected: &str,
    effort: Option<&str>,
    max: u64,
) -> Vec<(String, LossKind)> {
    let written = write(request, target);
    assert_eq!(written.body.get("thinking").cloned().unwrap_or_default(), dom(expected));
    assert_eq!(written.body["output_config"]["effort"].as_str(), effort);
    assert_eq!(written.body["max_tokens"], max);
    written.losses
}

#[test]
fn adaptive_models_think_by_effort() {
    let target = Target { reasoning: adaptive(), output_max: 128_000, ..target() };
    let of = |wish: Option<ReasoningWish<'static>>| Request { reasoning: wish, ..chat(user()) };
    let shown = r#"{"type":"adaptive","display":"summarized"}"#;
    let max = 128_000;
    assert!(check_thinking(&of(None), &target, "null", None, max).is_empty());
    assert!(check_thinking(&of(wish(Some(Effort::High), None)), &target, shown, Some("high"), max).is_empty());
    assert!(
        check_thinking(&of(wish(Some(Effort::None), None)), &target, r#"{"type":"disabled"}"#, None, max).is_empty()
    );
    let clamped = check_thinking(&of(wish(Some(Effort::Minimal), None)), &target, shown, Some("low"), max);
    assert_eq!(clamped, [("reasoning_effort".to_owned(), LossKind::Clamped)]);
    let approximated = check_thinking(&of(wish(None, Some(8192))), &target, shown, Some("medium"), max);
    assert_eq!(approximated, [("reasoning_effort".to_owned(), LossKind::Approximated)]);
    assert!(check_thinking(&of(wish(None, Some(-1))), &target, shown, None, max).is_empty());
    let never_off = Target {
        reasoning: ReasoningStyle::Effort { efforts: Efforts::of(&[Effort::Low, Effort::High]), off: false },
        ..target
    };
    let least = check_thinking(&of(wish(Some(Effort::None), None)), &never_off, shown, Some("low"), max);
    assert_eq!(least, [("reasoning_effort".to_owned(), LossKind::Clamped)]);
    let never = Target { reasoning: ReasoningStyle::Never, ..never_off };
    let dropped = check_thinking(&of(wish(Some(Effort::High), None)), &never, "null", None, max);
    assert_eq!(dropped, [("reasoning_effort".to_owned(), LossKind::Dropped)]);
}

#[test]
fn budget_models_think_by_tokens() {
    let small = Target { reasoning: BUDGET, output_max: 64_000, ..target() };
    let of = |effort, max: Option<u64>| Request {
        reasoning: wish(Some(effort), None),
        output_tokens_max: max,
        ..chat(user())
    };
    let budget = |budget: u64| format!(r#"{{"type":"enabled","budget_tokens":{budget}}}"#);
    assert!(check_thinking(&of(Effort::Low, None), &small, &budget(2048), None, 64_000).is_empty());
    assert!(check_thinking(&of(Effort::High, Some(50_000)), &small, &budget(24_576), None, 50_000).is_empty());
    // A chat client's limit holds its thinking too: the budget gives way, or there is none.
    let clamped = check_thinking(&of(Effort::High, Some(8000)), &small, &budget(6000), None, 8000);
    assert_eq!(clamped, [("reasoning_effort".to_owned(), LossKind::Clamped)]);
    let dropped = check_thinking(&of(Effort::High, Some(500)), &small, "null", None, 500);
    assert!(dropped.contains(&("reasoning_effort".to_owned(), LossKind::Dropped)));
    // Without a limit, or one that is meant for the text, it is raised.
    let unknown = Target { output_max: 0, ..small.clone() };
    assert!(check_thinking(&of(Effort::Medium, None), &unknown, &budget(8192), None, 4096 + 8192).is_empty());
    let mut own = of(Effort::High, Some(4096));
    own.protocol = Protocol::AnthropicMessages;
    own.reasoning.as_mut().unwrap().mode = Some(ReasoningMode::Adaptive);
    assert!(check_thinking(&own, &small, &budget(24_576), None, 4096 + 24_576).is_empty());
    let held = Target { output_limit: Some(4096), ..small };
    check_thinking(&own, &held, &budget(3072), None, 4096);
}

#[test]
fn a_budget_needs_the_thought_before_a_call() {
    let target = Target { reasoning: BUDGET, output_max: 64_000, ..target() };
    let mut request = chat(vec![
        says(Role::User, "hi"),
        Turn::new(Role::Assistant, vec![call("a", "f", "{}")]),
        Turn::new(Role::Tool, vec![result(Some("a"), None, "A")]),
    ]);
    request.reasoning = wish(Some(Effort::Low), None);
    request.tools = vec![function("f")];
    let written = write(&request, &target);
    assert_eq!((written.body.get("thinking"), written.lost()), (None, vec!["reasoning_effort"]));
    request.turns.push(says(Role::User, "and?"));
    assert!(write(&request, &target).body["thinking"].is_object());
}

#[test]
fn a_forced_call_and_thinking() {
    let mut request = chat(user());
    request.reasoning = wish(Some(Effort::High), None);
    request.tools = vec![function("f"), function("g")];
    let by_budget = Target { reasoning: BUDGET, output_max: 64_000, ..target() };
    let by_effort = Target { reasoning: adaptive(), ..target() };
    request.tool_choice = Some(ToolChoice::Required);
    let written = write(&request, &by_budget);
    assert_eq!((written.body.get("thinking"), written.body["tool_choice"]["type"].as_str()), (None, Some("any")));
    assert_eq!(written.losses, [("reasoning_effort".to_owned(), LossKind::Dropped)]);
    let written = write(&request, &by_effort);
    assert!(written.losses.is_empty() && written.body["thinking"].is_object());
    // No name may be forced beside thinking, but the only tool may.
    request.tool_choice = Some(ToolChoice::One { name: "g".into(), custom: false });
    let written = write(&request, &by_effort);
    assert_eq!(written.body["tool_choice"], dom(r#"{"type":"any"}"#));
    assert_eq!((written.body["tools"].as_array().unwrap().len(), &written.body["tools"][0]["name"]), (1, &"g".into()));
    assert_eq!(written.losses, [("tool_choice".to_owned(), LossKind::Approximated)]);
    let always = Target { reasoning: ReasoningStyle::Budget { min: 1024, max: 9999, off: false }, ..by_budget };
    let written = write(&request, &always);
    assert_eq!(written.body["tool_choice"], dom(r#"{"type":"auto"}"#));
    assert!(written.body["thinking"].is_object());
}
