//! The framing of journal records: length, checksum, sequence, payload. Must never know what a payload means.
//!
//! A reader gets the whole prefix of records and stops at the first that is not whole: a torn tail, or the zeros that a
//! segment is pre-allocated with.

/// `length u32, checksum u32, sequence u64`, little-endian; the checksum covers length, sequence and payload.
pub const HEAD_BYTES: usize = 16;
/// Largest payload. A record is bounded far below it.
pub const PAYLOAD_BYTES_MAX: usize = 1 << 20;

/// A buffer that starts with room for a frame's head; the payload is written behind it.
pub fn begin() -> Vec<u8> {
    let mut frame = Vec::with_capacity(512);
    frame.resize(HEAD_BYTES, 0);
    frame
}

/// Fills in the head.
pub fn seal(frame: &mut [u8], sequence: u64) {
    let len = (frame.len() - HEAD_BYTES) as u32;
    frame[..4].copy_from_slice(&len.to_le_bytes());
    frame[8..HEAD_BYTES].copy_from_slice(&sequence.to_le_bytes());
    let check = checksum(frame);
    frame[4..8].copy_from_slice(&check.to_le_bytes());
}

fn checksum(frame: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&frame[..4]);
    hasher.update(&frame[8..]);
    hasher.finalize()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    pub sequence: u64,
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// Bytes of the frame with its head.
    pub fn size(&self) -> usize {
        HEAD_BYTES + self.payload.len()
    }
}

/// What the bytes begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next<'a> {
    Frame(Frame<'a>),
    /// Nothing more was written: no bytes, or zeros where a head would be.
    End,
    /// The rest of the frame is not among the bytes.
    Cut,
    /// Not a frame: its checksum or length is wrong.
    Damaged,
}

pub fn next(bytes: &[u8]) -> Next<'_> {
    if bytes.iter().take(HEAD_BYTES).all(|byte| *byte == 0) {
        return Next::End;
    }
    let Some(head) = bytes.first_chunk::<HEAD_BYTES>() else { return Next::Cut };
    let [l0, l1, l2, l3, c0, c1, c2, c3, sequence @ ..] = *head;
    let len = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    if len == 0 || len > PAYLOAD_BYTES_MAX {
        return Next::Damaged;
    }
    let Some(frame) = bytes.get(..HEAD_BYTES + len) else { return Next::Cut };
    if checksum(frame) != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Next::Damaged;
    }
    Next::Frame(Frame { sequence: u64::from_le_bytes(sequence), payload: &frame[HEAD_BYTES..] })
}
