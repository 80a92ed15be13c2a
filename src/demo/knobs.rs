//! The knobs in an upstream model name, `NAME--c64-s16-e503-n2`: letter and number, joined by `-`. Must never know sockets.

use std::time::Duration;

/// Content chunks of one stream, and bytes of text in one answer, however large the knobs.
pub(super) const CHUNKS_MAX: usize = 65_536;
pub(super) const TEXT_BYTES_MAX: usize = 16 << 20;
pub(super) const CALLS_MAX: u32 = 64;
const DELAY_MAX: Duration = Duration::from_secs(3600);

/// What goes wrong, and after how many content chunks (`r3` fails before the third, so after two).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// `e`: this HTTP status with an error body.
    Status(u16),
    /// `h`: accepts the request and never answers.
    Hang,
    /// `r`: TCP reset (HTTP/2: RST_STREAM); `r1` before any byte of the answer.
    Reset(u32),
    /// `k`: the body ends as HTTP wants it, but the answer in it is not complete.
    Cut(u32),
    /// `x`: the connection closes (FIN) inside the body.
    Close(u32),
    /// `f`: an error object inside a 200, or as an event of the stream, which then ends.
    ErrorObject(u32),
    /// `m`: bytes that are not JSON, then the stream goes on.
    Malformed(u32),
    /// `q`: stops sending and keeps the connection.
    Stall(u32),
}

/// What a vendor's filter did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filter {
    /// It stopped the answer.
    Stopped,
    /// The model refuses, or the prompt was blocked.
    Refused,
}

/// A parsed model name. `None` means that the knob was not given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Knobs {
    /// `c`: content chunks in a stream.
    pub chunks: Option<usize>,
    /// `s`: text bytes per content chunk.
    pub chunk_bytes: Option<usize>,
    /// `b`: text bytes of a whole answer.
    pub whole_bytes: Option<usize>,
    /// `d` (milliseconds) or `y` (microseconds): pause between writes of content.
    pub chunk_delay: Option<Duration>,
    /// `t` (milliseconds): pause before the first byte.
    pub first_delay: Option<Duration>,
    /// `g`: content chunks per write.
    pub group: Option<u32>,
    /// `w`: bytes per write on the socket (HTTP/2: per DATA frame).
    pub write_bytes: Option<usize>,
    /// `z`: every content chunk carries the time at which it was sent.
    pub stamp: bool,
    /// `u`: usage always (`u1`) or never (`u0`), whatever the request says.
    pub usage: Option<bool>,
    /// `o`: this many tool calls, also without tools in the request.
    pub calls: Option<u32>,
    /// `l`: text bytes of the reasoning, which then comes also when it was not asked for.
    pub reasoning_bytes: Option<usize>,
    /// `i`: a ping before each content event.
    pub pings: bool,
    /// `j`: the answer is filtered (`j1`) or a refusal (`j2`).
    pub filter: Option<Filter>,
    /// `v0`: fields that the protocol does not know are taken.
    pub lenient: bool,
    /// `a`: `retry-after` seconds beside an error status.
    pub retry_after_s: Option<u32>,
    pub fault: Option<Fault>,
    /// `p`: percent of the requests that the fault hits.
    pub percent: Option<u32>,
    /// `n`: only the first n requests that name this model fail.
    pub first: Option<u32>,
}

impl Knobs {
    /// Reads what follows the first `--` of a model name; what is not a letter and a number is ignored.
    pub fn of_model(model: &str) -> Knobs {
        let mut knobs = Knobs::default();
        let Some((_, text)) = model.split_once("--") else { return knobs };
        for token in text.split('-') {
            let Some((letter, number)) = token.split_at_checked(1) else { continue };
            if let Ok(number) = number.parse::<u32>() {
                knobs.turn(letter.as_bytes()[0], number);
            }
        }
        knobs
    }

    fn turn(&mut self, letter: u8, number: u32) {
        let bytes = (number as usize).min(TEXT_BYTES_MAX);
        match letter {
            b'c' => self.chunks = Some((number as usize).min(CHUNKS_MAX)),
            b's' => self.chunk_bytes = Some(bytes),
            b'b' => self.whole_bytes = Some(bytes),
            b'd' => self.chunk_delay = Some(Duration::from_millis(number.into()).min(DELAY_MAX)),
            b'y' => self.chunk_delay = Some(Duration::from_micros(number.into()).min(DELAY_MAX)),
            b't' => self.first_delay = Some(Duration::from_millis(number.into()).min(DELAY_MAX)),
            b'g' => self.group = Some(number.max(1)),
            b'w' => self.write_bytes = Some(bytes.max(1)),
            b'z' => self.stamp = number != 0,
            b'u' => self.usage = Some(number != 0),
            b'o' => self.calls = Some(number.min(CALLS_MAX)).filter(|count| *count > 0),
            b'l' => self.reasoning_bytes = Some(bytes).filter(|bytes| *bytes > 0),
            b'i' => self.pings = number != 0,
            b'j' => self.filter = [None, Some(Filter::Stopped), Some(Filter::Refused)][number.min(2) as usize],
            b'v' => self.lenient = number == 0,
            b'a' => self.retry_after_s = Some(number),
            b'p' => self.percent = Some(number),
            b'n' => self.first = Some(number),
            _ => {
                if let Some(fault) = fault(letter, number) {
                    self.fault = Some(fault);
                }
            }
        }
    }

    /// Drops the fault when this request is not among those that it hits.
    ///
    /// `ordinal` counts the requests that named this model from 1; `roll` is a random number below 100.
    pub fn aim(&mut self, ordinal: u64, roll: u32) {
        let late = self.first.is_some_and(|first| ordinal > first.into());
        let lucky = self.percent.is_some_and(|percent| roll >= percent);
        if late || lucky {
            self.fault = None;
        }
    }
}

fn fault(letter: u8, number: u32) -> Option<Fault> {
    if number == 0 {
        return None;
    }
    Some(match letter {
        b'e' => Fault::Status(u16::try_from(number).ok().filter(|status| (200..=599).contains(status))?),
        b'h' => Fault::Hang,
        b'r' => Fault::Reset(number),
        b'k' => Fault::Cut(number),
        b'x' => Fault::Close(number),
        b'f' => Fault::ErrorObject(number),
        b'm' => Fault::Malformed(number),
        b'q' => Fault::Stall(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_knobs_turns_nothing() {
        assert_eq!(Knobs::of_model("gpt-4o-mini"), Knobs::default());
        assert_eq!(Knobs::of_model("meta--llama3-70b--é"), Knobs::default());
    }

    #[test]
    fn letters_and_numbers_are_read_in_order() {
        let knobs = Knobs::of_model("ok--c32-s9-d20-e503-a7-n2-u0-w1");
        assert_eq!((knobs.chunks, knobs.chunk_bytes), (Some(32), Some(9)));
        assert_eq!(knobs.chunk_delay, Some(Duration::from_millis(20)));
        assert_eq!((knobs.fault, knobs.retry_after_s), (Some(Fault::Status(503)), Some(7)));
        assert_eq!((knobs.first, knobs.usage, knobs.write_bytes), (Some(2), Some(false), Some(1)));
    }

    #[test]
    fn sizes_are_bounded_and_nonsense_is_ignored() {
        let knobs = Knobs::of_model("ok--c4000000000-s4000000000-e99-r0-A7-99999999999-o9999");
        assert_eq!((knobs.chunks, knobs.chunk_bytes), (Some(CHUNKS_MAX), Some(TEXT_BYTES_MAX)));
        assert_eq!((knobs.fault, knobs.calls), (None, Some(CALLS_MAX)));
    }

    #[test]
    fn a_fault_hits_the_first_requests_or_a_share_of_them() {
        let aimed = |name: &str, ordinal, roll| {
            let mut knobs = Knobs::of_model(name);
            knobs.aim(ordinal, roll);
            knobs.fault.is_some()
        };
        assert!(aimed("ok--e500-n2", 2, 99) && !aimed("ok--e500-n2", 3, 0));
        assert!(aimed("ok--e500-p30", 9, 29) && !aimed("ok--e500-p30", 9, 30));
    }
}
