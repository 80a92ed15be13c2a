//! One file of the journal: its name, its header, and how it is made and found. Must never know what records mean.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 4] = b"QWJL";
const VERSION: u32 = 1;
/// Records begin here.
pub const HEADER_BYTES: u64 = 64;
/// Header bytes that are used: magic, version, number, base, sequence, checksum.
const HEADER_USED: usize = 36;

/// A segment that is open.
#[derive(Debug)]
pub struct Segment {
    pub number: u64,
    /// Position of its first record.
    pub base: u64,
    pub file: File,
    pub path: PathBuf,
}

/// What the header of a segment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub number: u64,
    pub base: u64,
    /// Sequence of its first record.
    pub sequence: u64,
}

/// A segment on disk. Without a header it was pre-allocated and never used.
#[derive(Debug)]
pub struct Found {
    pub number: u64,
    pub path: PathBuf,
    pub header: Option<Header>,
}

/// A file of `bytes` zeros under the name of segment `number`: no later write to it can run out of space.
pub fn allocate(dir: &Path, number: u64, bytes: u64) -> io::Result<(File, PathBuf)> {
    let path = dir.join(format!("{number:010}.qwj"));
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    let allocated = match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes) {
        // A file system that cannot pre-allocate: the file grows as it is written.
        Err(rustix::io::Errno::OPNOTSUPP) => file.set_len(bytes),
        done => done.map_err(io::Error::from),
    };
    if let Err(error) = allocated {
        let _ = std::fs::remove_file(&path);
        return Err(error);
    }
    Ok((file, path))
}

impl Header {
    pub fn write(&self, file: &File) -> io::Result<()> {
        let mut bytes = [0; HEADER_USED];
        bytes[..4].copy_from_slice(MAGIC);
        bytes[4..8].copy_from_slice(&VERSION.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.number.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.base.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.sequence.to_le_bytes());
        let check = crc32fast::hash(&bytes[..32]);
        bytes[32..].copy_from_slice(&check.to_le_bytes());
        file.write_all_at(&bytes, 0)
    }

    /// `Ok(None)` for a header that was never written, or not wholly. A version of another build is an error.
    fn read(file: &File) -> io::Result<Option<Header>> {
        let mut bytes = [0; HEADER_USED];
        match file.read_exact_at(&mut bytes, 0) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let check = crc32fast::hash(&bytes[..32]);
        if !bytes.starts_with(MAGIC) || bytes[32..] != check.to_le_bytes() {
            return Ok(None);
        }
        let word = |at: usize| bytes[at..at + 8].iter().rev().fold(0u64, |n, byte| n << 8 | u64::from(*byte));
        if bytes[4..8] != VERSION.to_le_bytes() {
            return Err(io::Error::other("the journal was written by another version"));
        }
        Ok(Some(Header { number: word(8), base: word(16), sequence: word(24) }))
    }
}

/// The segments of a directory, by number.
pub fn list(dir: &Path) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "qwj") {
            continue;
        }
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
        let Some(number) = number else { continue };
        let header = Header::read(&File::open(&path)?)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        found.push(Found { number, path, header });
    }
    found.sort_by_key(|segment| segment.number);
    Ok(found)
}
