//! Reads of a request what routing, pricing and splicing must know, in one pass. Must never change a byte.
//!
//! The router and the upstream may never see different requests. So whatever two JSON readers could read differently in
//! the fields that count is refused here: a field twice, also in other letters or behind escapes, a byte order mark,
//! half a surrogate pair, bytes behind the document.

mod splice;

use std::ops::Range;

use super::Protocol;
use super::json::{Cursor, Fault, Kind, LESS_NESTING, LoneSurrogates, Token};

pub use splice::{OutputLimitField, Splice};

/// Longest model name that is looked up.
pub const MODEL_BYTES_MAX: usize = 256;
/// Longest service tier.
const SERVICE_TIER_BYTES_MAX: usize = 64;
/// Most answers that a call may ask for (`n`, `candidateCount`).
const CHOICES_MAX: u64 = 128;

/// What routing, pricing and splicing must know of a request body, found in one pass without a DOM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The model as the upstream would read it: unescaped. Empty where it stands in the path, until `named`.
    pub model: String,
    pub stream: bool,
    /// CC: `stream_options.include_usage` is true.
    pub include_usage: bool,
    /// The largest of the output limits given: an upstream may know only one of them.
    pub output_tokens_max: Option<u64>,
    /// How many answers are asked for, 1 when absent.
    pub choices: u64,
    pub service_tier: Option<String>,
    protocol: Protocol,
    spans: Spans,
}

/// Where in the body the values stand that a splice may change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Spans {
    body_bytes: usize,
    top: Inside,
    /// `None` where the model stands in the path.
    model: Option<Range<usize>>,
    stream_options: ObjectSpan,
    include_usage: Option<Range<usize>>,
    generation_config: ObjectSpan,
    output_limit: Option<LimitSpan>,
    /// CC `max_tokens`, beside `max_completion_tokens`.
    older_limit: Option<LimitSpan>,
}

/// Behind the opening brace of an object, where a member can be put in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Inside {
    at: usize,
    /// It has no member, which would need a comma.
    empty: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum ObjectSpan {
    #[default]
    Absent,
    Null(Range<usize>),
    Object(Inside),
}

/// An output limit as the client gave it; `value` is `None` for a null.
#[derive(Debug, Clone, PartialEq, Eq)]
struct LimitSpan {
    span: Range<usize>,
    value: Option<u64>,
}

impl Head {
    /// A head whose model and stream stand in the path (GM).
    pub fn named(self, model: impl Into<String>, stream: bool) -> Head {
        Head { model: model.into(), stream, ..self }
    }
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

/// What is read or spliced, whatever a protocol calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Model,
    Stream,
    StreamOptions,
    IncludeUsage,
    OutputLimit,
    OlderLimit,
    Choices,
    ServiceTier,
    GenerationConfig,
}

type Names = &'static [(&'static str, Field)];

/// The fields at the top of a body. A field with two names may be given under one of them alone.
const fn names(protocol: Protocol) -> Names {
    use Field::*;
    match protocol {
        Protocol::OpenAiChat => &[
            ("model", Model),
            ("stream", Stream),
            ("stream_options", StreamOptions),
            ("max_tokens", OlderLimit),
            ("max_completion_tokens", OutputLimit),
            ("n", Choices),
            ("service_tier", ServiceTier),
        ],
        Protocol::OpenAiResponses => {
            &[("model", Model), ("stream", Stream), ("max_output_tokens", OutputLimit), ("service_tier", ServiceTier)]
        }
        Protocol::AnthropicMessages => {
            &[("model", Model), ("stream", Stream), ("max_tokens", OutputLimit), ("service_tier", ServiceTier)]
        }
        Protocol::GeminiGenerate => &[
            ("generationConfig", GenerationConfig),
            ("generation_config", GenerationConfig),
            ("serviceTier", ServiceTier),
            ("service_tier", ServiceTier),
        ],
    }
}

const IN_STREAM_OPTIONS: Names = &[("include_usage", Field::IncludeUsage)];
const IN_GENERATION_CONFIG: Names = &[
    ("maxOutputTokens", Field::OutputLimit),
    ("max_output_tokens", Field::OutputLimit),
    ("candidateCount", Field::Choices),
    ("candidate_count", Field::Choices),
];

/// Reads the head of a body of `protocol` whose containers are nested at most `depth_max` deep.
pub fn read_head(protocol: Protocol, body: &[u8], depth_max: usize) -> Result<Head, HeadError> {
    if body.starts_with(b"\xEF\xBB\xBF") {
        return Err(body_error(0, "the body begins with a byte order mark; expected JSON in UTF-8 without one"));
    }
    if let Err(error) = std::str::from_utf8(body) {
        let at = error.valid_up_to();
        return Err(body_error(at, format!("the body is not valid UTF-8 at byte {at}")));
    }
    let mut reader = HeadReader::new(protocol, body, depth_max);
    reader.read()?;
    reader.finish()
}

struct HeadReader<'a> {
    protocol: Protocol,
    cursor: Cursor<'a>,
    /// The fields that have been met, one bit each.
    seen: u16,
    model: Option<String>,
    stream: bool,
    include_usage: bool,
    choices: Option<u64>,
    service_tier: Option<String>,
    spans: Spans,
}

impl<'a> HeadReader<'a> {
    fn new(protocol: Protocol, body: &'a [u8], depth_max: usize) -> HeadReader<'a> {
        HeadReader {
            protocol,
            cursor: Cursor::new(body, depth_max, LoneSurrogates::Refused),
            seen: 0,
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
        if kind != Kind::Object {
            // A document that is no JSON at all is told so first.
            self.cursor.skip()?;
            self.cursor.end()?;
            return Err(body_error(start, "the body is not a JSON object"));
        }
        self.spans.top = self.read_members("", names(self.protocol))?;
        self.cursor.end()?;
        Ok(())
    }

    /// Reads the members of the object at which the cursor stands. `path` is the object's own, with its dot.
    fn read_members(&mut self, path: &str, names: Names) -> Result<Inside, HeadError> {
        let mut members = self.cursor.enter()?;
        let mut inside = Inside { at: self.cursor.at(), empty: true };
        while let Some(key) = self.cursor.key(&mut members)? {
            inside.empty = false;
            let Some((name, field)) = known(key, names)? else {
                self.cursor.ignore()?;
                continue;
            };
            let name = format!("{path}{name}");
            let bit = 1 << field as u16;
            if self.seen & bit != 0 {
                return Err(field_error(&name, key.at, format!("{name} is given twice; give it once")));
            }
            self.seen |= bit;
            self.read_field(&name, field)?;
        }
        Ok(inside)
    }

    fn read_field(&mut self, name: &str, field: Field) -> Result<(), HeadError> {
        match field {
            Field::Model => {
                let (model, span) = self.text(name, MODEL_BYTES_MAX)?;
                let Some(model) = model else {
                    return Err(field_error(name, span.start, "model must be a string, but is null".to_owned()));
                };
                self.model = Some(model);
                self.spans.model = Some(span);
            }
            Field::Stream => self.stream = self.boolean(name)?.0.unwrap_or(false),
            Field::StreamOptions => self.spans.stream_options = self.object(name, IN_STREAM_OPTIONS)?,
            Field::IncludeUsage => {
                let (value, span) = self.boolean(name)?;
                self.include_usage = value.unwrap_or(false);
                self.spans.include_usage = Some(span);
            }
            Field::GenerationConfig => self.spans.generation_config = self.object(name, IN_GENERATION_CONFIG)?,
            Field::OutputLimit => self.spans.output_limit = Some(self.limit(name)?),
            Field::OlderLimit => self.spans.older_limit = Some(self.limit(name)?),
            Field::Choices => self.choices = self.choices(name)?,
            Field::ServiceTier => self.service_tier = self.text(name, SERVICE_TIER_BYTES_MAX)?.0,
        }
        Ok(())
    }

    fn object(&mut self, name: &str, names: Names) -> Result<ObjectSpan, HeadError> {
        match self.cursor.kind()? {
            Kind::Object => Ok(ObjectSpan::Object(self.read_members(&format!("{name}."), names)?)),
            Kind::Null => Ok(ObjectSpan::Null(self.cursor.skip()?)),
            kind => Err(self.wrong_kind(name, "an object", kind)),
        }
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
        // AM: nothing is to be said, only the cache to be warmed.
        if value == Some(0) && self.protocol != Protocol::AnthropicMessages {
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

    fn finish(self) -> Result<Head, HeadError> {
        let in_path = self.protocol == Protocol::GeminiGenerate;
        let model = match self.model {
            Some(model) => model,
            None if in_path => String::new(),
            None => {
                let message = "model is missing; name the model to call".to_owned();
                return Err(field_error("model", self.cursor.at(), message));
            }
        };
        let value = |limit: &Option<LimitSpan>| limit.as_ref().and_then(|limit| limit.value);
        Ok(Head {
            model,
            stream: self.stream,
            include_usage: self.include_usage,
            output_tokens_max: value(&self.spans.output_limit).max(value(&self.spans.older_limit)),
            choices: self.choices.unwrap_or(1),
            service_tier: self.service_tier,
            protocol: self.protocol,
            spans: self.spans,
        })
    }
}

/// Which of `names` a key is. A key that is one of them but for the case of its letters is refused: some JSON readers
/// (Go's among them) would take it for the field, others would not.
fn known(key: Token<'_>, names: Names) -> Result<Option<(&'static str, Field)>, HeadError> {
    let longest = names.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
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
    if let Some(found) = names.iter().find(|(name, _)| *name == text) {
        return Ok(Some(*found));
    }
    match names.iter().find(|(name, _)| same_but_for_case(text, name)) {
        Some((name, _)) => {
            let message = format!("{text:?} would be read as {name} by some upstreams and not by others; write {name}");
            Err(field_error(name, key.at, message))
        }
        None => Ok(None),
    }
}

/// Equal under simple Unicode case folding, by which `ſ` is an `s` and the Kelvin sign a `k`.
fn same_but_for_case(text: &str, name: &str) -> bool {
    let fold = |char| match char {
        'ſ' => 's',
        '\u{212A}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    text.chars().map(fold).eq(name.chars().map(|char| char.to_ascii_lowercase()))
}

#[cfg(test)]
pub(super) mod tests;
