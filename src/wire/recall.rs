//! Puts remembered thinking back into a conversation whose client could not carry it. Must never know where it was remembered.

use std::sync::Arc;

use super::facts::Keepsake;
use super::ir::{Part, PartKind, Request, Role, Turn};

/// For every run of assistant turns with calls and without any state: what `find` knows of its first known call. Thinking goes
/// in front of the run, and the state of calls onto the calls.
pub fn recall(request: &mut Request<'_>, find: impl Fn(&str) -> Option<Arc<Keepsake>>) {
    for run in request.turns.chunk_by_mut(|a, b| a.role == Role::Assistant && b.role == Role::Assistant) {
        if run[0].role != Role::Assistant || run.iter().any(has_state) {
            continue;
        }
        let calls = run.iter().flat_map(|turn| &turn.parts).filter_map(call_id);
        let Some(keepsake) = calls.filter_map(|id| find(&id)).next() else { continue };
        put_back(run, &keepsake);
    }
}

fn has_state(turn: &Turn<'_>) -> bool {
    turn.parts.iter().any(|part| part.state.is_some())
}

fn call_id(part: &Part<'_>) -> Option<String> {
    match &part.kind {
        PartKind::Call(call) => call.id.as_ref().map(|id| id.decode().into_owned()),
        _ => None,
    }
}

fn put_back(run: &mut [Turn<'_>], keepsake: &Keepsake) {
    for part in &keepsake.parts {
        let Some(id) = call_id(part) else { continue };
        let known = run.iter_mut().flat_map(|turn| &mut turn.parts).find(|known| call_id(known).as_ref() == Some(&id));
        if let Some(known) = known {
            known.state = part.state.clone();
        }
    }
    let thinking: Vec<Part<'static>> =
        keepsake.parts.iter().filter(|part| matches!(part.kind, PartKind::Reasoning(_))).cloned().collect();
    if thinking.is_empty() {
        return;
    }
    // What the client echoed of it has no state, and would stand there twice.
    for turn in run.iter_mut() {
        turn.parts.retain(|part| !matches!(part.kind, PartKind::Reasoning(_)));
    }
    run[0].bare = false;
    run[0].parts.splice(0..0, thinking);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Protocol;
    use crate::wire::ir::{Arguments, Call, Reasoning, State};
    use crate::wire::json::Str;

    fn call(id: &str) -> Part<'static> {
        let id = Some(Str::plain(id.to_owned()));
        Part::new(PartKind::Call(Call { id, name: "f".into(), arguments: Arguments::Text("{}".into()), custom: false }))
    }

    fn thinking(state: Option<&'static str>) -> Part<'static> {
        let mut part = Part::new(PartKind::Reasoning(Reasoning { text: vec!["hm".into()], ..Reasoning::default() }));
        let origin = Protocol::AnthropicMessages;
        part.state = state.map(|payload| State { origin, account: Some("acme".into()), payload: payload.into() });
        part
    }

    fn conversation(assistant: Vec<Part<'static>>) -> Request<'static> {
        let mut request = Request::new(Protocol::OpenAiChat, "m");
        request.turns = vec![Turn::new(Role::User, vec![Part::text("hi")]), Turn::new(Role::Assistant, assistant)];
        request
    }

    fn known(parts: Vec<Part<'static>>) -> impl Fn(&str) -> Option<Arc<Keepsake>> {
        let keepsake = Arc::new(Keepsake { calls: vec!["c1".to_owned()], parts });
        move |id| (id == "c1").then(|| keepsake.clone())
    }

    #[test]
    fn thinking_comes_back_in_front_of_its_calls() {
        let mut request = conversation(vec![Part::text("so"), thinking(None), call("c0"), call("c1")]);
        recall(&mut request, known(vec![thinking(Some("sig"))]));
        let parts = &request.turns[1].parts;
        assert_eq!(parts.len(), 4);
        assert_eq!(parts[0], thinking(Some("sig")));
    }

    #[test]
    fn a_signed_call_gets_its_state_back() {
        let mut signed = call("c1");
        signed.state = thinking(Some("sig")).state;
        let mut request = conversation(vec![call("c1")]);
        recall(&mut request, known(vec![signed.clone()]));
        assert_eq!(request.turns[1].parts, [signed]);
    }

    #[test]
    fn what_has_state_or_is_not_known_is_left_alone() {
        for parts in [vec![thinking(Some("own")), call("c1")], vec![call("c2")], vec![Part::text("x")]] {
            let mut request = conversation(parts.clone());
            recall(&mut request, known(vec![thinking(Some("sig"))]));
            assert_eq!(request.turns[1].parts, parts);
        }
    }
}
