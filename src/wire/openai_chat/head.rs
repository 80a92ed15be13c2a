//! Reads of a request what routing, pricing and splicing must know, in one pass. Must never change a byte.
//!
//! The router and the upstream may never see different requests. So whatever two JSON readers could read differently in
//! the fields that count is refused here: a field twice, also in other letters or behind escapes, a byte order mark,
//! half a surrogate pair, bytes behind the document.

use std::ops::Range;

use crate::wire::json::{Cursor, Fault, Kind, LESS_NESTING, LoneSurrogates, Token};

/// Longest model name that is looked up.
pub const MODEL_BYTES_MAX: usize = 256;
/// Longest service tier.
const SERVICE_TIER_BYTES_MAX: usize = 64;
/// Most answers that a call may ask for (`n`).
const CHOICES_MAX: u64 = 128;

/// What routing, pricing and splicing must know of a request body, found in one pass without a DOM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatHead {
    /// The model as the upstream would read it: unescaped.
    pub model: String,
    pub stream: bool,
    /// `stream_options.include_usage` is true.
    pub include_usage: bool,
    /// The larger of `max_completion_tokens` and `max_tokens`: an upstream may know only one of them.
    pub output_tokens_max: Option<u64>,
    /// `n`, 1 when absent.
    pub choices: u64,
    pub service_tier: Option<String>,
    pub(super) spans: Spans,
}

/// Where in the body the values stand that a splice may change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Spans {
    pub body_bytes: usize,
    /// Behind the body's opening brace.
    pub first_member: usize,
    pub model: Range<usize>,
    pub stream_options: OptionsSpan,
    pub max_tokens: Option<LimitSpan>,
    pub max_completion_tokens: Option<LimitSpan>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum OptionsSpan {
    #[default]
    Absent,
    Null(Range<usize>),
    Object {
        /// Behind the opening brace.
        first_member: usize,
        empty: bool,
        include_usage: Option<Range<usize>>,
    },
}

/// An output limit as the client gave it; `value` is `None` for a null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LimitSpan {
    pub span: Range<usize>,
    pub value: Option<u64>,
}

/// Why a body has no head. `param` is the field at fault (`model`), `offset` the byte where reading stopped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct HeadError {
    pub param: Option<String>,
    pub offset: usize,
    pub message: String,
}

impl From<Fault> for HeadError {
    fn from(fault: Fault) -> HeadError {
        let Fault { at, expected } = fault;
        let message = match expected {
            LESS_NESTING => format!("the body is nested too deeply at byte {at}; expected fewer levels"),
            _ => format!("the body is not valid JSON: expected {expected} at byte {at}"),
        };
        body_error(at, message)
    }
}

fn body_error(offset: usize, message: impl Into<String>) -> HeadError {
    HeadError { param: None, offset, message: message.into() }
}

fn field_error(param: &str, offset: usize, message: String) -> HeadError {
    HeadError { param: Some(param.to_owned()), offset, message }
}

/// The fields that are read or spliced.
const FIELDS: [&str; 7] =
    ["model", "stream", "stream_options", "max_tokens", "max_completion_tokens", "n", "service_tier"];
const INCLUDE_USAGE: &str = "include_usage";

/// Reads the head of a body whose containers are nested at most `depth_max` deep.
pub fn read_head(body: &[u8], depth_max: usize) -> Result<ChatHead, HeadError> {
    if body.starts_with(b"\xEF\xBB\xBF") {
        return Err(body_error(0, "the body begins with a byte order mark; expected JSON in UTF-8 without one"));
    }
    if let Err(error) = std::str::from_utf8(body) {
        let at = error.valid_up_to();
        return Err(body_error(at, format!("the body is not valid UTF-8 at byte {at}")));
    }
    let mut reader = HeadReader::new(body, depth_max);
    reader.read()?;
    reader.finish()
}

struct HeadReader<'a> {
    cursor: Cursor<'a>,
    /// Which of `FIELDS` have been met.
    seen: [bool; FIELDS.len()],
    model: Option<String>,
    stream: bool,
    include_usage: bool,
    choices: Option<u64>,
    service_tier: Option<String>,
    spans: Spans,
}

impl<'a> HeadReader<'a> {
    fn new(body: &'a [u8], depth_max: usize) -> HeadReader<'a> {
        HeadReader {
            cursor: Cursor::new(body, depth_max, LoneSurrogates::Refused),
            seen: Default::default(),
            model: None,
            stream: false,
            include_usage: false,
            choices: None,
            service_tier: None,
            spans: Spans { body_bytes: body.len(), ..Spans::default() },
        }
    }

    fn read(&mut self) -> Result<(), HeadError> {
        let kind = self.cursor.kind()?;
        let start = self.cursor.at();
        let mut members = match kind {
            Kind::Object => self.cursor.enter()?,
            // A document that is no JSON at all is told so first.
            _ => {
                self.cursor.skip()?;
                self.cursor.end()?;
                return Err(body_error(start, "the body is not a JSON object"));
            }
        };
        self.spans.first_member = self.cursor.at();
        while let Some(key) = self.cursor.key(&mut members)? {
            match field(key, &FIELDS)? {
                None => self.cursor.ignore()?,
                Some(index) => {
                    let name = FIELDS[index];
                    if std::mem::replace(&mut self.seen[index], true) {
                        return Err(twice(name, key.at));
                    }
                    self.read_field(name)?;
                }
            }
        }
        self.cursor.end()?;
        Ok(())
    }

    fn read_field(&mut self, name: &'static str) -> Result<(), HeadError> {
        match name {
            "model" => {
                let (model, span) = self.text(name, MODEL_BYTES_MAX)?;
                let Some(model) = model else {
                    return Err(field_error(name, span.start, "model must be a string, but is null".to_owned()));
                };
                self.model = Some(model);
                self.spans.model = span;
            }
            "stream" => self.stream = self.boolean(name)?.0.unwrap_or(false),
            "stream_options" => self.stream_options()?,
            "max_tokens" => self.spans.max_tokens = Some(self.limit(name)?),
            "max_completion_tokens" => self.spans.max_completion_tokens = Some(self.limit(name)?),
            "n" => self.choices = self.choices(name)?,
            "service_tier" => self.service_tier = self.text(name, SERVICE_TIER_BYTES_MAX)?.0,
            _ => self.cursor.ignore()?,
        }
        Ok(())
    }

    fn stream_options(&mut self) -> Result<(), HeadError> {
        let mut members = match self.cursor.kind()? {
            Kind::Object => self.cursor.enter()?,
            Kind::Null => {
                self.spans.stream_options = OptionsSpan::Null(self.cursor.skip()?);
                return Ok(());
            }
            kind => return Err(self.wrong_kind("stream_options", "an object", kind)),
        };
        let first_member = self.cursor.at();
        let mut empty = true;
        let mut found = None;
        while let Some(key) = self.cursor.key(&mut members)? {
            empty = false;
            match field(key, &[INCLUDE_USAGE])? {
                None => self.cursor.ignore()?,
                Some(_) => {
                    if found.is_some() {
                        return Err(twice("stream_options.include_usage", key.at));
                    }
                    let (value, span) = self.boolean("stream_options.include_usage")?;
                    self.include_usage = value.unwrap_or(false);
                    found = Some(span);
                }
            }
        }
        self.spans.stream_options = OptionsSpan::Object { first_member, empty, include_usage: found };
        Ok(())
    }

    fn text(&mut self, name: &str, bytes_max: usize) -> Result<(Option<String>, Range<usize>), HeadError> {
        match self.cursor.kind()? {
            Kind::String => {}
            Kind::Null => return Ok((None, self.cursor.skip()?)),
            kind => return Err(self.wrong_kind(name, "a string", kind)),
        }
        let token = self.cursor.string()?;
        let span = token.span();
        // An escape makes a text shorter, at most to a sixth.
        let text = if token.raw.len() <= 6 * bytes_max { token.text() } else { String::new() };
        if token.raw.len() > 6 * bytes_max || text.len() > bytes_max {
            return Err(field_error(name, span.start, format!("{name} must be at most {bytes_max} bytes long")));
        }
        Ok((Some(text), span))
    }

    fn boolean(&mut self, name: &str) -> Result<(Option<bool>, Range<usize>), HeadError> {
        let value = match self.cursor.kind()? {
            Kind::True => Some(true),
            Kind::False => Some(false),
            Kind::Null => None,
            kind => return Err(self.wrong_kind(name, "true or false", kind)),
        };
        Ok((value, self.cursor.skip()?))
    }

    fn limit(&mut self, name: &str) -> Result<LimitSpan, HeadError> {
        let (value, span) = self.whole_number(name)?;
        if value == Some(0) {
            return Err(field_error(name, span.start, format!("{name} must be at least 1, but is 0")));
        }
        Ok(LimitSpan { span, value })
    }

    fn choices(&mut self, name: &str) -> Result<Option<u64>, HeadError> {
        let (value, span) = self.whole_number(name)?;
        match value {
            Some(count) if !(1..=CHOICES_MAX).contains(&count) => {
                let message = format!("{name} must be from 1 to {CHOICES_MAX}, but is {count}");
                Err(field_error(name, span.start, message))
            }
            other => Ok(other),
        }
    }

    fn whole_number(&mut self, name: &str) -> Result<(Option<u64>, Range<usize>), HeadError> {
        let kind = self.cursor.kind()?;
        let start = self.cursor.at();
        match kind {
            Kind::Number => {}
            Kind::Null => return Ok((None, self.cursor.skip()?)),
            kind => return Err(self.wrong_kind(name, "a whole number", kind)),
        }
        let digits = self.cursor.number()?;
        let shown = String::from_utf8_lossy(&digits[..digits.len().min(40)]);
        let value = shown.parse().map_err(|_| {
            field_error(name, start, format!("{name} must be a whole number of at least 1, but is {shown}"))
        })?;
        Ok((Some(value), start..self.cursor.at()))
    }

    fn wrong_kind(&self, name: &str, wanted: &str, kind: Kind) -> HeadError {
        let is = match kind {
            Kind::Object => "an object",
            Kind::Array => "an array",
            Kind::String => "a string",
            Kind::Number => "a number",
            Kind::True => "true",
            Kind::False => "false",
            Kind::Null => "null",
        };
        field_error(name, self.cursor.at(), format!("{name} must be {wanted}, but is {is}"))
    }

    fn finish(self) -> Result<ChatHead, HeadError> {
        let value = |limit: &Option<LimitSpan>| limit.as_ref().and_then(|limit| limit.value);
        let limit = value(&self.spans.max_completion_tokens).max(value(&self.spans.max_tokens));
        let Some(model) = self.model else {
            return Err(field_error("model", self.cursor.at(), "model is missing; name the model to call".to_owned()));
        };
        Ok(ChatHead {
            model,
            stream: self.stream,
            include_usage: self.include_usage,
            output_tokens_max: limit,
            choices: self.choices.unwrap_or(1),
            service_tier: self.service_tier,
            spans: self.spans,
        })
    }
}

fn twice(name: &str, at: usize) -> HeadError {
    field_error(name, at, format!("{name} is given twice; give it once"))
}

/// Which of `names` a key is. A key that is one of them but for the case of its letters is refused: some JSON readers
/// (Go's among them) would take it for the field, others would not.
fn field(key: Token<'_>, names: &[&'static str]) -> Result<Option<usize>, HeadError> {
    let longest = names.iter().map(|name| name.len()).max().unwrap_or(0);
    if key.raw.len() > 6 * longest {
        return Ok(None);
    }
    let unescaped;
    let text = match (key.escaped, std::str::from_utf8(key.raw)) {
        (false, Ok(text)) => text,
        _ => {
            unescaped = key.text();
            unescaped.as_str()
        }
    };
    if let Some(index) = names.iter().position(|name| *name == text) {
        return Ok(Some(index));
    }
    match names.iter().find(|name| same_but_for_case(text, name)) {
        Some(name) => {
            let message = format!("{text:?} would be read as {name} by some upstreams and not by others; write {name}");
            Err(field_error(name, key.at, message))
        }
        None => Ok(None),
    }
}

/// Equal under simple Unicode case folding, by which `ſ` is an `s` and the Kelvin sign a `k`. `name` is in lower case.
fn same_but_for_case(text: &str, name: &str) -> bool {
    let fold = |char| match char {
        'ſ' => 's',
        '\u{212A}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    text.chars().map(fold).eq(name.chars())
}
