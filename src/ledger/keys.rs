//! Keys: their text form and checksum, their digest, and the snapshot that calls are checked against. Must never know HTTP.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::{Digest as _, Sha256};

use super::{KeyRefusal, LedgerError, Principal};

const PREFIX: &str = "sk-qw-";
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Digits of 32 bytes in base 62.
const SECRET_DIGITS: usize = 43;
/// Digits of a CRC-32 in base 62.
const CHECK_DIGITS: usize = 6;
const KEY_BYTES: usize = PREFIX.len() + SECRET_DIGITS + CHECK_DIGITS;
const PEPPER_FILE: &str = "pepper";
const PEPPER_BYTES: usize = 32;

/// What a key is stored and found by.
pub type Digest = [u8; 32];

/// The text of a key: the prefix, 32 bytes in base 62, and a checksum over both.
pub fn key_text(secret: &[u8; 32]) -> SecretString {
    let mut text = String::with_capacity(KEY_BYTES);
    text.push_str(PREFIX);
    push_base62(&mut text, *secret, SECRET_DIGITS);
    let check = crc32fast::hash(text.as_bytes());
    push_base62(&mut text, check.to_be_bytes(), CHECK_DIGITS);
    text.into()
}

/// Whether a text has the shape and the checksum of a key.
pub fn well_formed(text: &str) -> bool {
    let Some((body, check)) = text.split_at_checked(PREFIX.len() + SECRET_DIGITS) else { return false };
    if text.len() != KEY_BYTES || !text.starts_with(PREFIX) {
        return false;
    }
    let mut expected = String::with_capacity(CHECK_DIGITS);
    push_base62(&mut expected, crc32fast::hash(body.as_bytes()).to_be_bytes(), CHECK_DIGITS);
    expected == check
}

/// `sk-qw-…abcd`: enough to tell keys apart.
pub fn hint(key: &SecretString) -> String {
    let text = key.expose_secret();
    format!("{PREFIX}…{}", &text[text.len() - 4..])
}

/// The id of a key made from these secret bytes: the same bytes, the same id.
pub fn key_id(secret: &[u8; 32]) -> String {
    let digest = Sha256::new().chain_update(b"qingwave key id\0").chain_update(secret).finalize();
    digest[..12].iter().fold("key-".to_owned(), |id, byte| id + &format!("{byte:02x}"))
}

/// Appends a big-endian number as exactly `digits` digits.
fn push_base62<const N: usize>(out: &mut String, mut number: [u8; N], digits: usize) {
    let mut text = vec![b'0'; digits];
    for digit in text.iter_mut().rev() {
        let mut rest = 0u32;
        for byte in &mut number {
            let value = rest << 8 | u32::from(*byte);
            *byte = (value / 62) as u8;
            rest = value % 62;
        }
        *digit = DIGITS[rest as usize];
    }
    out.extend(text.into_iter().map(char::from));
}

/// Turns keys into digests.
#[derive(Clone)]
pub struct Pepper {
    mac: Hmac<Sha256>,
}

impl Pepper {
    pub fn new(bytes: &[u8]) -> Pepper {
        Pepper { mac: Hmac::new_from_slice(bytes).expect("HMAC takes a key of any length") }
    }

    pub fn digest(&self, key: &str) -> Digest {
        let mut mac = self.mac.clone();
        mac.update(key.as_bytes());
        mac.finalize().into_bytes().into()
    }

    /// The pepper of a data directory: made once, at random, in a file of mode 0600.
    pub fn load(data_dir: &Path) -> Result<Pepper, LedgerError> {
        let path = data_dir.join(PEPPER_FILE);
        let failed = |error: std::io::Error| LedgerError::Store(format!("{}: {error}", path.display()));
        let mut bytes = Vec::new();
        match std::fs::File::open(&path) {
            Ok(file) => {
                file.take(4096).read_to_end(&mut bytes).map_err(failed)?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                bytes = random::<PEPPER_BYTES>()?.to_vec();
                // Written beside and renamed: a crash never leaves half a pepper, which would orphan every key.
                let beside = data_dir.join("pepper.new");
                let mut open = OpenOptions::new();
                let mut file =
                    open.write(true).create(true).truncate(true).mode(0o600).open(&beside).map_err(failed)?;
                file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed)?;
                std::fs::rename(&beside, &path).map_err(failed)?;
                std::fs::File::open(data_dir).and_then(|dir| dir.sync_all()).map_err(failed)?;
            }
            Err(error) => return Err(failed(error)),
        }
        let bytes = SecretSlice::from(bytes);
        if bytes.expose_secret().len() < PEPPER_BYTES {
            return Err(LedgerError::Store(format!("{}: is shorter than {PEPPER_BYTES} bytes", path.display())));
        }
        Ok(Pepper::new(bytes.expose_secret()))
    }
}

pub fn random<const N: usize>() -> Result<[u8; N], LedgerError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| LedgerError::Store(format!("no random bytes: {error}")))?;
    Ok(bytes)
}

/// A key as calls are checked against it.
#[derive(Debug, Clone)]
pub struct KnownKey {
    pub principal: Arc<Principal>,
    pub expires_at: Option<i64>,
    pub revoked: bool,
}

/// All keys by digest. Readers take a snapshot; a change makes the next one.
pub struct Keyring {
    pepper: Pepper,
    known: ArcSwap<FxHashMap<Digest, KnownKey>>,
    /// One change at a time, or one of two would be lost.
    changing: Mutex<()>,
}

impl Keyring {
    pub fn new(pepper: Pepper, known: FxHashMap<Digest, KnownKey>) -> Keyring {
        Keyring { pepper, known: ArcSwap::from_pointee(known), changing: Mutex::new(()) }
    }

    pub fn digest(&self, key: &str) -> Digest {
        self.pepper.digest(key)
    }

    /// No lock, no I/O. The digest, which the caller cannot steer, is what is compared.
    pub fn authenticate(&self, presented: &str, now_ms: i64) -> Result<Arc<Principal>, KeyRefusal> {
        if !well_formed(presented) {
            return Err(KeyRefusal::Invalid);
        }
        let digest = self.pepper.digest(presented);
        let known = self.known.load();
        let key = known.get(&digest).ok_or(KeyRefusal::Invalid)?;
        if key.revoked {
            return Err(KeyRefusal::Revoked);
        }
        if key.expires_at.is_some_and(|at| at <= now_ms) {
            return Err(KeyRefusal::Expired);
        }
        Ok(key.principal.clone())
    }

    /// In force when it returns.
    pub fn put(&self, digest: Digest, key: KnownKey) {
        let _one = self.changing.lock();
        let mut known = FxHashMap::clone(&self.known.load());
        known.insert(digest, key);
        self.known.store(Arc::new(known));
    }
}
