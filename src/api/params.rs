//! Query parameters: known names, each at most once, each of its type. A wrong one is a 400 that names it.

use std::borrow::Cow;

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;

use super::error::{ClientError, Code};

/// A list's page, when the caller does not say.
pub const LIMIT_DEFAULT: usize = 100;
pub const LIMIT_MAX: usize = 1000;
const CURSOR_BYTES_MAX: usize = 256;
const NAME_BYTES_MAX: usize = 256;

/// The parameters of a request, decoded.
pub struct Params<'q>(Vec<(&'q str, Cow<'q, str>)>);

/// The `{id}` of a path, decoded and bounded.
pub struct Id(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = ClientError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Id, ClientError> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(id)) if id.len() <= NAME_BYTES_MAX => Ok(Id(id)),
            Ok(_) => Err(invalid("id", format!("longer than {NAME_BYTES_MAX} bytes"))),
            Err(_) => Err(invalid("id", "not valid percent-encoded UTF-8")),
        }
    }
}

/// The raw `name=value` pairs of a query.
pub fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// `None` for a broken escape or what is not UTF-8.
pub fn percent_decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16));
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

fn invalid(name: &str, problem: impl std::fmt::Display) -> ClientError {
    ClientError::new(Code::InvalidRequest, format!("{name}: {problem}")).param(name)
}

impl<'q> Params<'q> {
    /// Takes the parameters that are `known`; another is an error. A credential in `?key=` is not a parameter.
    pub fn read(query: Option<&'q str>, known: &[&str]) -> Result<Params<'q>, ClientError> {
        let mut params: Vec<(&str, Cow<'_, str>)> = Vec::new();
        for (name, value) in pairs(query.unwrap_or_default()) {
            let credential = name == "key" && !value.starts_with(super::credentials::KEY_ID_PREFIX);
            if credential {
                continue;
            }
            if !known.contains(&name) {
                let shown: String = name.chars().take(40).collect();
                let hint = match known {
                    [] => "this path takes none".to_owned(),
                    known => format!("known here: {}", known.join(", ")),
                };
                return Err(invalid(&shown, format!("unknown parameter, {hint}")));
            }
            if params.iter().any(|(other, _)| *other == name) {
                return Err(invalid(name, "given twice"));
            }
            let value = percent_decoded(value).ok_or_else(|| invalid(name, "not valid percent-encoded UTF-8"))?;
            params.push((name, value));
        }
        Ok(Params(params))
    }

    /// An empty value counts as absent.
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| &**value).filter(|value| !value.is_empty())
    }

    pub fn flag(&self, name: &str) -> Result<bool, ClientError> {
        match self.get(name) {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(_) => Err(invalid(name, "expected true or false")),
        }
    }

    pub fn name(&self, name: &str) -> Result<Option<String>, ClientError> {
        self.bounded(name, NAME_BYTES_MAX)
    }

    pub fn cursor(&self) -> Result<Option<String>, ClientError> {
        self.bounded("cursor", CURSOR_BYTES_MAX)
    }

    fn bounded(&self, name: &str, bytes_max: usize) -> Result<Option<String>, ClientError> {
        match self.get(name) {
            Some(text) if text.len() > bytes_max => Err(invalid(name, format!("longer than {bytes_max} bytes"))),
            other => Ok(other.map(str::to_owned)),
        }
    }

    pub fn limit(&self) -> Result<usize, ClientError> {
        let Some(text) = self.get("limit") else { return Ok(LIMIT_DEFAULT) };
        text.parse::<usize>()
            .ok()
            .filter(|limit| (1..=LIMIT_MAX).contains(limit))
            .ok_or_else(|| invalid("limit", format!("expected a whole number from 1 to {LIMIT_MAX}")))
    }

    pub fn status(&self) -> Result<Option<u16>, ClientError> {
        let Some(text) = self.get("status") else { return Ok(None) };
        let status = text.parse::<u16>().ok().filter(|status| (100..=599).contains(status));
        status.map(Some).ok_or_else(|| invalid("status", "expected an HTTP status such as 200"))
    }

    /// Unix milliseconds.
    pub fn time(&self, name: &str) -> Result<Option<i64>, ClientError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let expected = "expected Unix milliseconds or an RFC 3339 time such as 2026-01-31T00:00:00Z";
        parse_time(text).map(Some).ok_or_else(|| invalid(name, expected))
    }
}

/// Unix milliseconds from themselves or from RFC 3339.
pub fn parse_time(text: &str) -> Option<i64> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok();
    }
    // A plus that was not escaped arrives as a space; no RFC 3339 time holds one there.
    let text = text.replace(' ', "+");
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Params<'_>, ClientError> {
        Params::read(Some(query), &["from", "limit", "status", "all", "model", "key", "cursor"])
    }

    #[test]
    fn values_are_decoded_and_typed() {
        let query =
            "from=2026-01-31T00:00:00%2B00:00&limit=7&status=429&all=1&model=openai%2Fgpt-4o&key=key-1&cursor=a+b";
        let params = read(query).unwrap();
        assert_eq!(params.time("from").unwrap(), Some(1_769_817_600_000));
        assert_eq!(params.limit().unwrap(), 7);
        assert_eq!(params.status().unwrap(), Some(429));
        assert!(params.flag("all").unwrap());
        assert_eq!(params.name("model").unwrap().as_deref(), Some("openai/gpt-4o"));
        assert_eq!(params.name("key").unwrap().as_deref(), Some("key-1"));
        assert_eq!(params.cursor().unwrap().as_deref(), Some("a b"));
    }

    #[test]
    fn what_is_absent_or_empty_is_a_default() {
        for query in ["", "&", "limit=&from=", "key=sk-qw-secret"] {
            let params = read(query).unwrap();
            assert_eq!((params.limit().unwrap(), params.time("from").unwrap()), (LIMIT_DEFAULT, None));
            assert_eq!(params.name("key").unwrap(), None);
        }
    }

    #[test]
    fn times_come_in_two_forms() {
        for (text, ms) in [
            ("0", Some(0)),
            ("1700000000123", Some(1_700_000_000_123)),
            ("2023-11-14T22:13:20.123Z", Some(1_700_000_000_123)),
            ("2023-11-15T00:13:20.123 02:00", Some(1_700_000_000_123)),
            ("-5", None),
            ("2023-11-14", None),
            ("99999999999999999999", None),
            ("yesterday", None),
        ] {
            assert_eq!(parse_time(text), ms, "{text}");
        }
    }

    #[test]
    fn a_wrong_one_is_named() {
        let check = |query: &str, param: &str, part: &str| {
            let error = read(query).and_then(|p| {
                p.time("from")?;
                p.limit()?;
                p.status()?;
                p.flag("all")?;
                p.name("model")?;
                p.cursor()
            });
            let error = error.unwrap_err();
            assert_eq!((error.status, error.param.as_deref()), (400, Some(param)), "{query}");
            assert!(error.message.contains(part), "{}", error.message);
        };
        check("frm=1", "frm", "unknown parameter, known here: from, limit");
        check("from=soon", "from", "RFC 3339");
        check("limit=0", "limit", "from 1 to 1000");
        check("limit=1001", "limit", "from 1 to 1000");
        check("limit=-1", "limit", "from 1 to 1000");
        check("limit=1&limit=2", "limit", "given twice");
        check("status=7", "status", "HTTP status");
        check("all=maybe", "all", "true or false");
        check("model=%zz", "model", "percent-encoded");
        check("model=%C3", "model", "percent-encoded");
        check(&format!("cursor={}", "x".repeat(257)), "cursor", "longer than 256 bytes");
        check(&format!("model={}", "x".repeat(257)), "model", "longer than 256 bytes");
    }
}
