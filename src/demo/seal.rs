//! Seals what the upstream hands out and wants back unchanged: signatures and encrypted reasoning. Must never know a protocol.

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const MAC_BYTES: usize = 16;
/// Bytes of what a seal holds, at most.
const CONTENT_BYTES_MAX: usize = 64 << 10;

/// The key of one upstream: two of the same seed know each other's seals.
pub(super) struct Seal {
    key: [u8; 8],
}

impl Seal {
    pub fn new(seed: u64) -> Seal {
        Seal { key: seed.to_be_bytes() }
    }

    /// Base64 of `content` and a code over it, `kind` and `bound`, which comes back beside the seal.
    pub fn close(&self, kind: &str, content: &str, bound: &str) -> String {
        let content = super::put::clip(content, CONTENT_BYTES_MAX);
        let mut bytes = self.code(kind, content.as_bytes(), bound).finalize().into_bytes()[..MAC_BYTES].to_vec();
        bytes.extend_from_slice(content.as_bytes());
        BASE64.encode(&bytes)
    }

    /// The content of a seal that `close` made with the same kind and bound.
    pub fn open(&self, kind: &str, sealed: &str, bound: &str) -> Option<String> {
        let bytes = decode(sealed)?;
        let (code, content) = bytes.split_at_checked(MAC_BYTES)?;
        self.code(kind, content, bound).verify_truncated_left(code).ok()?;
        String::from_utf8(content.to_vec()).ok()
    }

    fn code(&self, kind: &str, content: &[u8], bound: &str) -> Hmac<Sha256> {
        let mut code = Hmac::<Sha256>::new_from_slice(&self.key).expect("a key of any length");
        for part in [kind.as_bytes(), content, bound.as_bytes()] {
            code.update(&(part.len() as u64).to_be_bytes());
            code.update(part);
        }
        code
    }
}

/// Base64 in either alphabet, padded or not, as a field of bytes is read.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    [BASE64, BASE64URL, BASE64_NOPAD, BASE64URL_NOPAD].iter().find_map(|form| form.decode(bytes).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_opens_for_its_own_key_kind_and_bound_alone() {
        let sealed = Seal::new(1).close("thinking", "inside", "beside");
        assert_eq!(Seal::new(1).open("thinking", &sealed, "beside").as_deref(), Some("inside"));
        for (seed, kind, bound) in [(2, "thinking", "beside"), (1, "reasoning", "beside"), (1, "thinking", "besid")] {
            assert_eq!(Seal::new(seed).open(kind, &sealed, bound), None);
        }
        for broken in ["", "AAAA", "no base64!", &sealed[4..], &format!("{sealed}AAAA")] {
            assert_eq!(Seal::new(1).open("thinking", broken, "beside"), None, "{broken}");
        }
    }
}
