//! Secrets that are made once and kept in the data directory, readable by their owner alone.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use secrecy::SecretString;

const SECRET_BYTES_MAX: u64 = 4096;

/// The admin key of a data directory; made at the first start.
pub fn admin_key(data_dir: &Path) -> Result<SecretString, String> {
    keep(&data_dir.join("admin.key"), || {
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|e| format!("no random numbers: {e}"))?;
        Ok(format!("sk-qw-admin-{}", random.iter().map(|b| format!("{b:02x}")).collect::<String>()))
    })
}

/// The secret in a file, or the one that `make` gives, kept there from now on.
pub fn keep(file: &Path, make: impl FnOnce() -> Result<String, String>) -> Result<SecretString, String> {
    if let Some(secret) = read(file)? {
        return Ok(secret);
    }
    let secret = make()?;
    let failed = |e: std::io::Error| format!("{}: {e}", file.display());
    let mut options = fs::OpenOptions::new();
    let mut out = options.write(true).create_new(true).mode(0o600).open(file).map_err(failed)?;
    out.write_all(secret.as_bytes()).and_then(|()| out.sync_all()).map_err(failed)?;
    Ok(secret.into())
}

fn read(file: &Path) -> Result<Option<SecretString>, String> {
    let failed = |e: std::io::Error| format!("{}: {e}", file.display());
    let opened = match fs::File::open(file) {
        Ok(opened) => opened,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut text = String::new();
    opened.take(SECRET_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
    match text.trim() {
        "" => Err(format!("{} is empty: delete it, and another is made", file.display())),
        secret => Ok(Some(secret.to_owned().into())),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_secret_is_made_once_and_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let first = super::admin_key(folder.path()).unwrap();
        let second = super::admin_key(folder.path()).unwrap();
        assert_eq!(first.expose_secret(), second.expose_secret());
        let mode = std::fs::metadata(folder.path().join("admin.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
