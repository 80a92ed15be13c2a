//! Walks through one answer document, a stream's chunk or a whole answer, and notes where the facts stand. Must never
//! judge them.

use crate::wire::json::{Cursor, DEPTH_MAX, Fault, Kind, LoneSurrogates, Token};

/// What was found in one document. It borrows from it; a broken document yields nothing.
#[derive(Debug, Default)]
pub struct Answer<'a> {
    pub choices: Choices,
    /// One bit a choice, by `index`; those from 127 on share the last.
    pub choices_seen: u128,
    pub choices_finished: u128,
    /// The last `finish_reason` that is not empty.
    pub finish: Option<Token<'a>>,
    pub texts: Texts<'a>,
    /// An image or sound was produced.
    pub media: bool,
    usage: [Option<&'a [u8]>; 3],
    /// The value of `error`, where it says something.
    pub error: Option<&'a [u8]>,
    /// `"object":"error"`: the document itself is the error (older vLLM).
    pub is_error: bool,
    pub service_tier: Option<Token<'a>>,
}

/// Which document it is: whether `delta` or `message` is what was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Chunk,
    Whole,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Choices {
    #[default]
    Absent,
    /// `[]` or null.
    Empty,
    Some,
}

/// Produced text in the order it came. Most chunks hold one piece, which costs no allocation.
#[derive(Debug, Default)]
pub struct Texts<'a> {
    first: Option<Token<'a>>,
    more: Vec<Token<'a>>,
}

impl<'a> Texts<'a> {
    fn add(&mut self, token: Token<'a>) {
        match self.first {
            _ if token.is_empty() => {}
            None => self.first = Some(token),
            Some(_) => self.more.push(token),
        }
    }

    fn append(&mut self, other: Texts<'a>) {
        other.iter().for_each(|token| self.add(token));
    }

    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub fn iter(&self) -> impl Iterator<Item = Token<'a>> + '_ {
        self.first.iter().chain(&self.more).copied()
    }
}

/// What one message or delta holds.
#[derive(Default)]
struct Message<'a> {
    texts: Texts<'a>,
    media: bool,
}

/// Where a `usage` may stand, the strongest first.
const TOP: usize = 0;
const IN_CHOICE: usize = 1;
const IN_X_GROQ: usize = 2;

impl<'a> Answer<'a> {
    pub fn read(json: &'a [u8], form: Form) -> Result<Answer<'a>, Fault> {
        let mut cursor = Cursor::new(json, DEPTH_MAX, LoneSurrogates::Allowed);
        let mut answer = Answer::default();
        if cursor.kind()? != Kind::Object {
            return Err(Fault { at: cursor.at(), expected: "an object" });
        }
        let mut members = cursor.enter()?;
        while let Some(key) = cursor.key(&mut members)? {
            match key.raw {
                b"choices" => answer.read_choices(&mut cursor, form)?,
                b"usage" => answer.read_usage(&mut cursor, TOP)?,
                b"x_groq" => answer.read_x_groq(&mut cursor)?,
                b"error" => answer.read_error(&mut cursor)?,
                b"service_tier" => answer.service_tier = optional_string(&mut cursor)?.filter(|tier| !tier.is_empty()),
                b"object" => answer.is_error = optional_string(&mut cursor)?.is_some_and(|name| name.raw == b"error"),
                _ => cursor.ignore()?,
            }
        }
        cursor.end()?;
        Ok(answer)
    }

    /// The raw `usage` object. Beside the top level it is looked for in the choice (Moonshot) and in `x_groq` (Groq).
    pub fn usage(&self) -> Option<&'a [u8]> {
        self.usage.iter().copied().flatten().next()
    }

    /// Whether this is the chunk that only reports usage, which a client that did not ask for it must not get.
    pub fn is_usage_only(&self) -> bool {
        self.choices == Choices::Empty && self.usage[TOP].is_some() && self.error.is_none() && !self.is_error
    }

    fn read_usage(&mut self, cursor: &mut Cursor<'a>, place: usize) -> Result<(), Fault> {
        let object = cursor.kind()? == Kind::Object;
        let span = cursor.skip()?;
        if object {
            self.usage[place] = Some(cursor.bytes(span));
        }
        Ok(())
    }

    fn read_x_groq(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Fault> {
        if cursor.kind()? != Kind::Object {
            return cursor.ignore();
        }
        let mut members = cursor.enter()?;
        while let Some(key) = cursor.key(&mut members)? {
            match key.raw {
                b"usage" => self.read_usage(cursor, IN_X_GROQ)?,
                _ => cursor.ignore()?,
            }
        }
        Ok(())
    }

    /// Some vendors send `null`, `""`, `{}` or `false` beside every good answer.
    fn read_error(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Fault> {
        let kind = cursor.kind()?;
        let span = cursor.skip()?;
        let raw = cursor.bytes(span);
        let says_something = match kind {
            Kind::Object | Kind::Array => raw[1..raw.len() - 1].iter().any(|byte| !byte.is_ascii_whitespace()),
            Kind::String => raw.len() > 2,
            Kind::True => true,
            Kind::Number | Kind::False | Kind::Null => false,
        };
        if says_something {
            self.error = Some(raw);
        }
        Ok(())
    }

    fn read_choices(&mut self, cursor: &mut Cursor<'a>, form: Form) -> Result<(), Fault> {
        match cursor.kind()? {
            Kind::Array => {}
            Kind::Null => {
                self.choices = Choices::Empty;
                return cursor.ignore();
            }
            _ => return cursor.skip().map(drop),
        }
        self.choices = Choices::Empty;
        let mut elements = cursor.enter()?;
        let mut position = 0;
        while cursor.element(&mut elements)? {
            self.choices = Choices::Some;
            if cursor.kind()? == Kind::Object {
                self.read_choice(cursor, form, position)?;
            } else {
                cursor.skip()?;
            }
            position += 1;
        }
        Ok(())
    }

    fn read_choice(&mut self, cursor: &mut Cursor<'a>, form: Form, position: u64) -> Result<(), Fault> {
        let mut index = position;
        let mut finished = false;
        let mut delta = None;
        let mut message = None;
        let mut members = cursor.enter()?;
        while let Some(key) = cursor.key(&mut members)? {
            match key.raw {
                b"index" => index = optional_number(cursor)?.unwrap_or(position),
                b"delta" => delta = Message::read(cursor)?,
                b"message" => message = Message::read(cursor)?,
                b"finish_reason" => {
                    if let Some(reason) = optional_string(cursor)?.filter(|reason| !reason.is_empty()) {
                        finished = true;
                        self.finish = Some(reason);
                    }
                }
                b"usage" => self.read_usage(cursor, IN_CHOICE)?,
                _ => cursor.ignore()?,
            }
        }
        // Perplexity sends both: beside each `delta` the whole text so far, and an empty `delta` in a whole answer.
        let said = match form {
            Form::Chunk => delta.or(message),
            Form::Whole => message.or(delta),
        };
        let Message { texts, media } = said.unwrap_or_default();
        self.texts.append(texts);
        self.media |= media;
        let bit = 1 << index.min(127);
        self.choices_seen |= bit;
        self.choices_finished |= if finished { bit } else { 0 };
        Ok(())
    }
}

impl<'a> Message<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Result<Option<Message<'a>>, Fault> {
        if cursor.kind()? != Kind::Object {
            cursor.skip()?;
            return Ok(None);
        }
        let mut message = Message::default();
        let mut reasoning = None;
        let mut reasoning_content = None;
        let mut members = cursor.enter()?;
        while let Some(key) = cursor.key(&mut members)? {
            match key.raw {
                b"content" => message.read_content(cursor)?,
                b"reasoning" => reasoning = optional_string(cursor)?,
                b"reasoning_content" => reasoning_content = optional_string(cursor)?,
                b"refusal" => message.read_text(cursor)?,
                b"tool_calls" => message.read_calls(cursor)?,
                b"function_call" => message.read_function(cursor)?,
                b"audio" => message.read_audio(cursor)?,
                b"images" => message.media |= cursor.kind()? == Kind::Array && cursor.skip()?.len() > 2,
                _ => cursor.ignore()?,
            }
        }
        // Two names of one text; some send it under both.
        let thought = reasoning_content.filter(|text: &Token<'_>| !text.is_empty()).or(reasoning);
        thought.into_iter().for_each(|text| message.texts.add(text));
        Ok(Some(message))
    }

    fn read_text(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Fault> {
        optional_string(cursor)?.into_iter().for_each(|text| self.texts.add(text));
        Ok(())
    }

    fn read_content(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Fault> {
        match cursor.kind()? {
            Kind::Array => self.read_parts(cursor, false),
            _ => self.read_text(cursor),
        }
    }

    /// Mistral: `[{"type":"thinking","thinking":[{"type":"text","text":"…"}]},{"type":"text","text":"…"}]`.
    fn read_parts(&mut self, cursor: &mut Cursor<'a>, in_thinking: bool) -> Result<(), Fault> {
        let mut elements = cursor.enter()?;
        while cursor.element(&mut elements)? {
            if cursor.kind()? != Kind::Object {
                cursor.skip()?;
                continue;
            }
            let mut members = cursor.enter()?;
            while let Some(key) = cursor.key(&mut members)? {
                match key.raw {
                    b"text" | b"refusal" => self.read_text(cursor)?,
                    b"thinking" if !in_thinking && cursor.kind()? == Kind::Array => self.read_parts(cursor, true)?,
                    b"thinking" => self.read_text(cursor)?,
                    _ => cursor.ignore()?,
                }
            }
        }
        Ok(())
    }

    fn read_calls(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Fault> {
        if cursor.kind()? != Kind::Array {
            return cursor.ignore();
        }
        let mut elements = cursor.enter()?;
        while cursor.element(&mut elements)? {
            if cursor.kind()? != Kind::Object {
                cursor.skip()?;
                continue;
            }
            let mut members = cursor.enter()?;
            while let Some(key) = cursor.key(&mut members)? {
                match key.raw {
                    b"function" | b"custom" => self.read_function(cursor)?,
                    _ => cursor.ignore()?,
                }
            }
        }
        Ok(())
    }

    fn read_function(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Fault> {
        if cursor.kind()? != Kind::Object {
            return cursor.ignore();
        }
        let mut members = cursor.enter()?;
        while let Some(key) = cursor.key(&mut members)? {
            match key.raw {
                b"name" => self.read_text(cursor)?,
                b"arguments" | b"input" => match cursor.kind()? {
                    // Arguments that were not written into a string.
                    Kind::Object => {
                        let span = cursor.skip()?;
                        let at = span.start;
                        self.texts.add(Token { raw: cursor.bytes(span), at, escaped: true });
                    }
                    _ => self.read_text(cursor)?,
                },
                _ => cursor.ignore()?,
            }
        }
        Ok(())
    }

    fn read_audio(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Fault> {
        if cursor.kind()? != Kind::Object {
            return cursor.ignore();
        }
        let mut members = cursor.enter()?;
        while let Some(key) = cursor.key(&mut members)? {
            match key.raw {
                b"transcript" => self.read_text(cursor)?,
                b"data" => self.media |= optional_string(cursor)?.is_some_and(|data| !data.is_empty()),
                _ => cursor.ignore()?,
            }
        }
        Ok(())
    }
}

fn optional_string<'a>(cursor: &mut Cursor<'a>) -> Result<Option<Token<'a>>, Fault> {
    if cursor.kind()? == Kind::String {
        return cursor.string().map(Some);
    }
    cursor.skip().map(|_| None)
}

fn optional_number(cursor: &mut Cursor<'_>) -> Result<Option<u64>, Fault> {
    if cursor.kind()? == Kind::Number {
        let digits = cursor.number()?;
        return Ok(std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()));
    }
    cursor.skip().map(|_| None)
}
