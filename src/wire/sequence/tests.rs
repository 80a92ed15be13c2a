//! Mixed blocks come out one after the other; halves of surrogate pairs meet or become U+FFFD.

use proptest::prelude::*;

use super::*;
use crate::wire::Usage;
use crate::wire::ir::{Finish, StopReason};

/// A line of a script: `0+text`, `1+call:f`, `0.abc` (a delta), `1-` (a stop), `usage`, `finish`, `end`. Blocks by number.
pub(crate) fn event(line: &str) -> Event<'static> {
    let finish = || Finish { choice: 0, reason: StopReason::Done, native: None, stop_sequence: None, message: None };
    match line {
        "start" => return Event::Start(Default::default()),
        "usage" => return Event::Usage { usage: Usage::default(), iterations: Vec::new() },
        "finish" => return Event::Finish(finish()),
        "end" => return Event::End,
        "usage7" => {
            let usage = Usage { input_total: 3, output_total: 7, ..Usage::default() };
            return Event::Usage { usage, iterations: Vec::new() };
        }
        "failed" => return Event::Failed(UpstreamError::default()),
        _ => {}
    }
    // What the fake protocol cannot say.
    let (Some(Ok(block)), Some(rest)) = (line.get(..1).map(str::parse), line.get(2..)) else {
        return Event::Failed(UpstreamError::default());
    };
    let rest = rest.to_owned();
    match &line[1..2] {
        "+" => {
            let kind = match rest.as_str() {
                "text" => BlockKind::Text,
                name => BlockKind::Call { id: None, name: Str::plain(name.to_owned()), custom: false },
            };
            Event::BlockStart { choice: 0, block, kind }
        }
        "." => Event::Delta { choice: 0, block, delta: Delta::Text(Str::token(rest)) },
        "," => Event::Delta { choice: 0, block, delta: Delta::Arguments(Str::token(rest)) },
        "|" => Event::Delta { choice: 0, block, delta: Delta::NextPart },
        _ => Event::BlockStop { choice: 0, block },
    }
}

pub(crate) fn line(event: &Event<'_>) -> String {
    match event {
        Event::Start(_) => "start".to_owned(),
        Event::BlockStart { block, kind: BlockKind::Text, .. } => format!("{block}+text"),
        Event::BlockStart { block, kind: BlockKind::Call { name, .. }, .. } => format!("{block}+{}", name.decode()),
        Event::BlockStart { block, .. } => format!("{block}+other"),
        Event::Delta { block, delta: Delta::Text(text), .. } => format!("{block}.{}", text.as_token()),
        Event::Delta { block, delta: Delta::Arguments(text), .. } => format!("{block},{}", text.as_token()),
        Event::Delta { block, .. } => format!("{block}|"),
        Event::BlockStop { block, .. } => format!("{block}-"),
        Event::Usage { .. } => "usage".to_owned(),
        Event::Finish(_) => "finish".to_owned(),
        Event::End => "end".to_owned(),
        Event::Failed(_) => "failed".to_owned(),
    }
}

fn run(script: &[&str]) -> Vec<String> {
    let mut sequence = Sequence::new(Vec::new());
    script.iter().for_each(|line| sequence.event(event(line)));
    sequence.sink.iter().map(line).collect()
}

#[track_caller]
fn check(script: &str, expected: &str) {
    let script: Vec<&str> = script.split(' ').collect();
    assert_eq!(run(&script).join(" "), expected, "{script:?}");
}

#[test]
fn blocks_in_order_pass_as_they_are() {
    let script = "start 0+text 0.a 0.b 0- 1+f 1,{ 1,} 1- usage finish end";
    check(script, script);
}

#[test]
fn mixed_calls_come_one_after_the_other() {
    check("0+f 1+g 0,a 1,x 0,b 1,y 1- 0,c 0- usage finish end", "0+f 0,a 0,b 0,c 0- 1+g 1,xy 1- usage finish end");
    check("0+f 1+g 1,x 2+h 2,z 0- 1,y 2- 1- end", "0+f 0- 1+g 1,x 1,y 1- 2+h 2,z 2- end");
}

#[test]
fn blocks_are_numbered_without_gaps() {
    check("3+text 3.a 3- 7+f 7- 9+g 9- end", "0+text 0.a 0- 1+f 1- 2+g 2- end");
}

#[test]
fn what_is_open_is_closed_before_the_end() {
    for last in ["usage", "finish", "end"] {
        check(&format!("0+f 1+g 1,x {last}"), &format!("0+f 0- 1+g 1,x 1- {last}"));
    }
    check("0+f 1+g 1,x failed 0,y end", "0+f failed");
    check("0+text end 0.a 1+f end", "0+text 0- end");
}

#[test]
fn a_delta_of_no_block_is_left_out() {
    check("0.a 0+text 5.b 0- 0.c end", "0+text 0- end");
}

#[test]
fn halves_of_a_pair_meet_or_are_replaced() {
    check(r"0+text 0.a\ud83d 0.\ude00b end", r"0+text 0.a 0.\ud83d\ude00b 0- end");
    check(r"0+f 0,\ud83d 0, 0,\ude00 end", r"0+f 0,\ud83d\ude00 0- end");
    check(r"0+text 0.\uD83D 0.x end", "0+text 0.\u{fffd}x 0- end");
    check(r"0+text 0.\ud83d 0- end", "0+text 0.\u{fffd} 0- end");
    check(r"0+text 0.\ud83d usage", "0+text 0.\u{fffd} 0- usage");
    check(r"0+text 0.\ud83d 0| 0.\ude00 end", "0+text 0.\u{fffd} 0| 0.\u{fffd} 0- end");
    check(r"0+text 0.\ude00a\ud83db end", "0+text 0.\u{fffd}a\u{fffd}b 0- end");
    check(r"0+text 0.\ud83d\ud83d 0.\ude00 end", "0+text 0.\u{fffd} 0.\\ud83d\\ude00 0- end");
    check(r"0+text 0.\\ud83d end", r"0+text 0.\\ud83d 0- end");
    check(r"0+f 1+g 1,\ud83d 1,\ude00 0- end", r"0+f 0- 1+g 1,\ud83d\ude00 1- end");
    // The other half may come when the block's turn has come.
    check(r"0+f 1+g 1,\ud83d 0- 1,\ude00 end", r"0+f 0- 1+g 1,\ud83d\ude00 1- end");
}

#[test]
fn waiting_bytes_are_bounded_and_given_back() {
    let mut sequence = Sequence::new(Vec::new());
    sequence.event(event("0+f"));
    sequence.event(event("1+g"));
    let mib = format!("1,{}", "x".repeat(1 << 20));
    (0..15).for_each(|_| sequence.event(event(&mib)));
    sequence.event(event("0-"));
    assert_eq!(sequence.waiting_bytes, 0);
    sequence.event(event("2+h"));
    let mib = mib.replace("1,", "2,");
    (0..20).for_each(|_| sequence.event(event(&mib)));
    assert!(matches!(sequence.sink.last(), Some(Event::Failed(_))));
    let events = sequence.sink.len();
    sequence.event(event("end"));
    assert_eq!(sequence.sink.len(), events);
}

#[test]
fn choices_do_not_wait_for_each_other_and_are_bounded() {
    let mut sequence = Sequence::new(Vec::new());
    for choice in 0..CHOICES_MAX as u32 {
        sequence.event(Event::BlockStart { choice, block: 0, kind: BlockKind::Text });
    }
    assert_eq!(sequence.sink.len(), CHOICES_MAX);
    sequence.event(Event::BlockStart { choice: 4_000_000_000, block: 0, kind: BlockKind::Text });
    assert!(matches!(sequence.sink.last(), Some(Event::Failed(_))));
}

fn any_line() -> impl Strategy<Value = String> {
    let what = prop::sample::select(&["+text", "+f", ".a", r".\ud83d", r".\ude00", ",x", r",\ud83d", "-", "|"][..]);
    let end = prop::sample::select(&["usage", "finish", "end"][..]);
    prop_oneof![9 => (0..3u8, what).prop_map(|(block, what)| format!("{block}{what}")), 1 => end.prop_map(str::to_owned)]
}

proptest! {
    #[test]
    fn one_block_is_open_at_a_time_and_no_half_goes_on(script in prop::collection::vec(any_line(), 0..40)) {
        let script: Vec<&str> = script.iter().map(String::as_str).chain(["end"]).collect();
        let mut open = None;
        let mut begun = 0;
        for line in run(&script) {
            prop_assert!(!line.replace(r"\ud83d\ude00", "").contains(r"\ud"), "{}", line);
            let digits = line.bytes().take_while(u8::is_ascii_digit).count();
            let Ok(block) = line[..digits].parse::<u32>() else {
                prop_assert_eq!(open, None);
                continue;
            };
            match &line[digits..digits + 1] {
                "+" => {
                    prop_assert_eq!((open, block), (None, begun));
                    begun += 1;
                    open = Some(block);
                }
                "-" => prop_assert_eq!(open.take(), Some(block)),
                _ => prop_assert_eq!(open, Some(block)),
            }
        }
    }
}
