//! The key that a request presents, wherever its SDK puts it. Pure; must never know which keys exist.

use std::borrow::Cow;
use std::sync::Arc;

use http::{HeaderMap, header};

use super::error::{ClientError, Code};
use super::params::{pairs, percent_decoded};
use crate::ledger::{KeyRefusal, Ledger, Principal};

/// Ids of keys begin like this, keys never do: `?key=key-…` filters a list, any other `?key=` is a credential.
pub const KEY_ID_PREFIX: &str = "key-";

/// The key of a request: `Authorization: Bearer`, `x-api-key`, `x-goog-api-key` or `?key=`. Several places may say the same.
///
/// `None` when there is none, when two places differ, or when one is not text: all are refused with 401 alike, and
/// [`missing`] says which it was.
pub fn presented<'a>(headers: &'a HeaderMap, query: Option<&'a str>) -> Option<Cow<'a, str>> {
    let mut found: Option<Cow<'a, str>> = None;
    for candidate in candidates(headers, query) {
        let candidate = candidate?;
        match &found {
            Some(first) if *first != candidate => return None,
            _ => found = Some(candidate),
        }
    }
    found
}

/// Every place that holds a credential; an inner `None` is one that cannot be read.
fn candidates<'a>(headers: &'a HeaderMap, query: Option<&'a str>) -> impl Iterator<Item = Option<Cow<'a, str>>> {
    let bearer = headers.get_all(header::AUTHORIZATION).iter().filter_map(|value| match value.to_str() {
        Ok(text) => bearer_token(text).map(|token| Some(Cow::Borrowed(token))),
        Err(_) => Some(None),
    });
    let named = ["x-api-key", "x-goog-api-key"]
        .into_iter()
        .flat_map(|name| headers.get_all(name))
        .map(|value| value.to_str().ok().map(|text| Cow::Borrowed(text.trim())));
    let in_query =
        query.into_iter().flat_map(pairs).filter(|(name, _)| *name == "key").map(|(_, value)| percent_decoded(value));
    bearer
        .chain(named)
        .chain(in_query)
        .filter(|found| found.as_deref().is_none_or(|key| !key.is_empty() && !key.starts_with(KEY_ID_PREFIX)))
}

/// The token of a `Bearer` header. Another scheme is not ours, and is as good as absent.
fn bearer_token(text: &str) -> Option<&str> {
    let (scheme, token) = text.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Why [`presented`] found nothing, for the client.
pub fn missing(headers: &HeaderMap, query: Option<&str>) -> ClientError {
    let message = if candidates(headers, query).next().is_some() {
        "the request presents two different keys, or one that is not text: send one key, in one place"
    } else {
        "no API key: send it as \"Authorization: Bearer sk-qw-…\", x-api-key, x-goog-api-key or ?key="
    };
    ClientError::new(Code::InvalidApiKey, message)
}

/// Who calls, or the 401 that says why nobody does. A look-up in memory.
pub fn authenticate(
    ledger: &Ledger,
    headers: &HeaderMap,
    query: Option<&str>,
    now_ms: i64,
) -> Result<Arc<Principal>, ClientError> {
    let key = presented(headers, query).ok_or_else(|| missing(headers, query))?;
    ledger.authenticate(&key, now_ms).map_err(refused)
}

/// A key that is not accepted. The key itself is never repeated.
pub fn refused(refusal: KeyRefusal) -> ClientError {
    match refusal {
        KeyRefusal::Invalid => {
            ClientError::new(Code::InvalidApiKey, "this API key is not known here: check it for typing errors")
        }
        KeyRefusal::Revoked => {
            ClientError::new(Code::KeyRevoked, "this API key was revoked: use another, or create one")
        }
        KeyRefusal::Expired => {
            ClientError::new(Code::KeyExpired, "this API key has expired: use another, or create one")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn check(headers: &[(&'static str, &[u8])], query: Option<&str>, expected: Option<&str>) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        assert_eq!(presented(&map, query).as_deref(), expected, "{headers:?} {query:?}");
    }

    #[test]
    fn every_place_is_read() {
        check(&[], None, None);
        check(&[("authorization", b"Bearer k1")], None, Some("k1"));
        check(&[("authorization", b"bearer   k1 ")], None, Some("k1"));
        check(&[("x-api-key", b"k1")], None, Some("k1"));
        check(&[("x-goog-api-key", b" k1")], None, Some("k1"));
        check(&[], Some("alt=sse&key=k1"), Some("k1"));
        check(&[], Some("key=k%31"), Some("k1"));
    }

    #[test]
    fn the_same_key_twice_is_one_key() {
        check(&[("authorization", b"Bearer k1"), ("x-api-key", b"k1")], Some("key=k1"), Some("k1"));
        check(&[("x-api-key", b"k1"), ("x-api-key", b"k1")], None, Some("k1"));
    }

    #[test]
    fn different_keys_are_none() {
        check(&[("authorization", b"Bearer k1"), ("x-api-key", b"k2")], None, None);
        check(&[("authorization", b"Bearer k1"), ("authorization", b"Bearer k2")], None, None);
        check(&[("x-goog-api-key", b"k1")], Some("key=k2"), None);
        check(&[], Some("key=k1&key=k2"), None);
    }

    #[test]
    fn what_is_not_a_credential_is_not_one() {
        check(&[("authorization", b"Basic dTpw")], None, None);
        check(&[("authorization", b"Basic dTpw"), ("x-api-key", b"k1")], None, Some("k1"));
        check(&[("authorization", b"Bearer ")], Some("key="), None);
        check(&[("authorization", b"Bearer k1")], Some("key=key-123"), Some("k1"));
        check(&[("authorization", b"Bearer k1")], Some("monkey=k2"), Some("k1"));
    }

    #[test]
    fn an_unreadable_one_spoils_the_rest() {
        check(&[("x-api-key", b"k1"), ("x-goog-api-key", b"\xff")], None, None);
        check(&[("authorization", b"Bearer \xff"), ("x-api-key", b"k1")], None, None);
        check(&[], Some("key=%ff"), None);
        check(&[], Some("key=%4"), None);
    }

    #[test]
    fn the_401_says_what_is_wrong_and_never_the_key() {
        let mut two = HeaderMap::new();
        two.insert("x-api-key", HeaderValue::from_static("canary-1"));
        let error = missing(&two, Some("key=canary-2"));
        assert_eq!((error.status, error.code), (401, Code::InvalidApiKey));
        assert!(error.message.contains("two different keys") && !error.message.contains("canary"));
        assert!(missing(&HeaderMap::new(), None).message.contains("Authorization: Bearer"));
        let refusals =
            [KeyRefusal::Invalid, KeyRefusal::Revoked, KeyRefusal::Expired].map(|r| refused(r).code.as_str());
        assert_eq!(refusals, ["invalid_api_key", "key_revoked", "key_expired"]);
    }
}
