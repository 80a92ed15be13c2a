//! References to secrets: `env:NAME` and `file:path`. Must never print what they resolve to.

use std::io::Read as _;
use std::path::Path;

use secrecy::SecretString;

/// A secret is a key or a token, not a document.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// A reference as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reference<'a> {
    Env(&'a str),
    File(&'a str),
}

impl<'a> Reference<'a> {
    /// `None` for anything else: a literal secret.
    pub fn parse(text: &'a str) -> Option<Reference<'a>> {
        match text.split_once(':')? {
            ("env", name) if is_variable(name) => Some(Reference::Env(name)),
            ("file", path) if !path.is_empty() => Some(Reference::File(path)),
            _ => None,
        }
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !name.as_bytes()[0].is_ascii_digit()
}

/// Resolves a reference. A file's last line break is not part of the secret. The error names the reference alone.
pub fn resolve(reference: &str) -> Result<SecretString, String> {
    let text = match Reference::parse(reference) {
        Some(Reference::Env(name)) => std::env::var(name).map_err(|_| format!("{name} is not set")),
        Some(Reference::File(path)) => read_file(Path::new(path)),
        None => Err("expected a reference, env:NAME or file:path".to_owned()),
    }?;
    match text.trim() {
        "" => Err(format!("{reference} is empty")),
        secret => Ok(SecretString::from(secret.to_owned())),
    }
}

fn read_file(path: &Path) -> Result<String, String> {
    let failed = |e: std::io::Error| format!("{} cannot be read: {e}", path.display());
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    let length = file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    if length as u64 > SECRET_BYTES_MAX {
        return Err(format!("{} is larger than {SECRET_BYTES_MAX} bytes", path.display()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn only_two_forms_are_references() {
        assert_eq!(Reference::parse("env:OPENAI_API_KEY"), Some(Reference::Env("OPENAI_API_KEY")));
        assert_eq!(Reference::parse("file:/run/key"), Some(Reference::File("/run/key")));
        for literal in ["sk-live", "env:", "env:A B", "env:1A", "file:", "ENV:A", "https://x", ""] {
            assert_eq!(Reference::parse(literal), None, "{literal:?}");
        }
    }

    #[test]
    fn a_file_is_read_without_the_white_space_around_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let reference = format!("file:{}", path.display());
        assert!(resolve(&reference).unwrap_err().contains("cannot be read"));
        std::fs::write(&path, " s3cret \r\n").unwrap();
        assert_eq!(resolve(&reference).unwrap().expose_secret(), "s3cret");
        std::fs::write(&path, "\n").unwrap();
        assert!(resolve(&reference).unwrap_err().ends_with("is empty"));
        std::fs::write(&path, "x".repeat(70_000)).unwrap();
        assert!(resolve(&reference).unwrap_err().contains("larger than"));
        assert!(resolve("env:QINGWAVE_TEST_SURELY_UNSET").unwrap_err().contains("is not set"));
    }
}
