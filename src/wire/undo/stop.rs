//! Finds the earliest of several stop texts in a text that comes in pieces. Every byte is looked at once per stop text.

/// Stop texts, prepared. Empty ones are none.
pub struct StopTexts {
    stops: Vec<StopText>,
}

struct StopText {
    /// Its place in the client's list.
    index: usize,
    text: Vec<u8>,
    /// Of each beginning, the longest shorter one that it ends with (Knuth, Morris, Pratt).
    borders: Vec<u32>,
}

/// How far one text has come.
pub struct StopWatch {
    /// What may be the beginning of a stop text.
    held: String,
    /// Of each stop text, how much of it the text ends with.
    matched: Vec<u32>,
    /// Bytes of the text so far.
    seen: usize,
    best: Option<Found>,
    ended: bool,
}

#[derive(Clone, Copy)]
struct Found {
    index: usize,
    start: usize,
}

impl StopTexts {
    pub fn new(texts: &[String]) -> StopTexts {
        let texts = texts.iter().enumerate().filter(|(_, text)| !text.is_empty());
        StopTexts { stops: texts.map(|(index, text)| StopText::new(index, text)).collect() }
    }

    pub fn is_empty(&self) -> bool {
        self.stops.is_empty()
    }
}

impl StopText {
    fn new(index: usize, text: &str) -> StopText {
        let text = text.as_bytes().to_vec();
        let mut borders = vec![0; text.len()];
        let mut border = 0;
        for at in 1..text.len() {
            while border > 0 && text[at] != text[border as usize] {
                border = borders[border as usize - 1];
            }
            border += u32::from(text[at] == text[border as usize]);
            borders[at] = border;
        }
        StopText { index, text, borders }
    }

    fn step(&self, mut matched: u32, byte: u8) -> u32 {
        if matched as usize == self.text.len() {
            matched = self.borders[matched as usize - 1];
        }
        while matched > 0 && self.text[matched as usize] != byte {
            matched = self.borders[matched as usize - 1];
        }
        matched + u32::from(self.text[matched as usize] == byte)
    }
}

impl StopWatch {
    pub fn new(stops: &StopTexts) -> StopWatch {
        StopWatch { held: String::new(), matched: vec![0; stops.stops.len()], seen: 0, best: None, ended: false }
    }

    /// The stop text, by its place in the list, at which the text ends. What was given on is the text before it.
    pub fn found(&self) -> Option<usize> {
        self.best.filter(|_| self.ended).map(|found| found.index)
    }

    /// Takes a piece and returns what can be given on.
    pub fn push(&mut self, stops: &StopTexts, piece: &str) -> String {
        if self.ended {
            return String::new();
        }
        let held_from = self.seen - self.held.len();
        self.held.push_str(piece);
        for byte in piece.bytes() {
            self.seen += 1;
            for (stop, matched) in stops.stops.iter().zip(&mut self.matched) {
                *matched = stop.step(*matched, byte);
                let start = self.seen - stop.text.len().min(self.seen);
                let whole = *matched as usize == stop.text.len();
                if whole && self.best.is_none_or(|best| start < best.start) {
                    self.best = Some(Found { index: stop.index, start });
                }
            }
            if let Some(best) = self.best
                && self.earliest_begun() >= best.start
            {
                return self.cut(held_from);
            }
        }
        let free = self.earliest_begun() - held_from;
        let rest = self.held.split_off(free);
        std::mem::replace(&mut self.held, rest)
    }

    /// The text is over: what was held back is no stop text, unless a whole one is in it.
    pub fn end(&mut self, stops: &StopTexts) -> String {
        let held_from = self.seen - self.held.len();
        let rest = match self.best {
            Some(_) if !self.ended => self.cut(held_from),
            _ => std::mem::take(&mut self.held),
        };
        self.matched = vec![0; stops.stops.len()];
        rest
    }

    /// Where the earliest beginning of a stop text stands that the text ends with.
    fn earliest_begun(&self) -> usize {
        self.seen - self.matched.iter().copied().max().unwrap_or(0) as usize
    }

    fn cut(&mut self, held_from: usize) -> String {
        self.ended = true;
        let mut text = std::mem::take(&mut self.held);
        text.truncate(self.best.map_or(0, |best| best.start - held_from));
        text
    }
}
