//! One process owns the money of a data directory: the lock file, and what it tells others. Must never know the ledger.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::LedgerError;

const FILE_NAME: &str = "lock";
/// Most bytes of the lock file that are read.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// What the lock file says of its owner.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Owner {
    pid: u32,
    admin_url: Option<String>,
}

/// Held as long as it lives.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Makes the directory (mode 0700) where it is missing, and takes its lock.
    pub fn take(data_dir: &Path, admin_url: Option<&str>) -> Result<Lock, LedgerError> {
        private_dir(data_dir)?;
        let path = data_dir.join(FILE_NAME);
        let failed = |error: std::io::Error| LedgerError::Store(format!("{}: {error}", path.display()));
        let mut open = OpenOptions::new();
        let mut file =
            open.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                // An owner that is just starting has not written its line yet: then 0.
                let mut text = String::new();
                (&file).take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
                let owner: Owner = serde_json::from_str(&text).unwrap_or_default();
                let path = data_dir.to_owned();
                return Err(LedgerError::Locked { path, pid: owner.pid, admin_url: owner.admin_url });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let owner = Owner { pid: std::process::id(), admin_url: admin_url.map(str::to_owned) };
        let text = serde_json::to_string(&owner).map_err(|error| failed(error.into()))?;
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(text.as_bytes())).map_err(failed)?;
        Ok(Lock { file })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // An empty file says that nobody is there. Unlocked by name: closing alone leaves the lock to a child process that was
        // just forked, until it executes.
        if let Err(error) = self.file.set_len(0).and_then(|()| self.file.unlock()) {
            tracing::warn!(%error, "the lock could not be let go cleanly");
        }
    }
}

/// A directory that only its owner can enter.
pub fn private_dir(path: &Path) -> Result<(), LedgerError> {
    let failed = |error: std::io::Error| LedgerError::Store(format!("{}: {error}", path.display()));
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    let mode = path.metadata().map_err(failed)?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    match std::fs::set_permissions(path, Permissions::from_mode(0o700)) {
        // A mounted volume may belong to somebody else.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            tracing::warn!(path = %path.display(), "others may enter the data directory, and it cannot be changed");
            Ok(())
        }
        done => done.map_err(failed),
    }
}
