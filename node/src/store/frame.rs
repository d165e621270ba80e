//! Frames of the block log.
//!
//! ```text
//! magic 4 | kind 1 | length u32 LE | check 16 | payload
//! ```
//!
//! `check` is the first half of blake3 over kind, length and payload. A frame that does not check
//! is damage. At the very end of the log, with nothing intact behind it, damage is a write that
//! was under way when the power went: a torn tail. Anywhere else it is corruption.

use std::io;

/// Starts every frame, so that intact ones can be found behind a damaged one.
const MAGIC: [u8; 4] = *b"wft\x01";

/// Bytes of a frame before its payload.
pub const HEADER: usize = 4 + 1 + 4 + 16;

/// Longest payload: the largest block.
pub const MAX_PAYLOAD: usize = weft_types::limits::MAX_BLOCK_BYTES;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A block, decided or not.
    Block = 1,
    /// The certificate of a block before it.
    Commit = 2,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Block),
            2 => Some(Self::Commit),
            _ => None,
        }
    }
}

/// Lays a frame out at the end of `out`.
pub fn append(kind: Kind, payload: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    if payload.len() > MAX_PAYLOAD {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "payload above the largest block"));
    }
    let length = u32::try_from(payload.len()).map_err(io::Error::other)?.to_le_bytes();
    out.extend_from_slice(&MAGIC);
    out.push(kind as u8);
    out.extend_from_slice(&length);
    out.extend_from_slice(&check(kind as u8, length, payload));
    out.extend_from_slice(payload);
    Ok(())
}

/// The intact frame that `bytes` start with: its kind and payload. `None` if there is none.
pub fn parse(bytes: &[u8]) -> Option<(Kind, &[u8])> {
    let header = bytes.get(..HEADER)?;
    let (magic, rest) = header.split_at(4);
    let kind = Kind::of(rest[0]).filter(|_| magic == MAGIC)?;
    let length: [u8; 4] = rest[1..5].try_into().ok()?;
    let size = u32::from_le_bytes(length) as usize;
    if size > MAX_PAYLOAD {
        return None;
    }
    let payload = bytes.get(HEADER..HEADER + size)?;
    (rest[5..] == check(kind as u8, length, payload)).then_some((kind, payload))
}

/// Whether an intact frame starts anywhere in `bytes`.
pub fn any_intact(bytes: &[u8]) -> bool {
    let mut from = 0;
    while let Some(at) = find(&bytes[from..], &MAGIC) {
        if parse(&bytes[from + at..]).is_some() {
            return true;
        }
        from += at + 1;
    }
    false
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn check(kind: u8, length: [u8; 4], payload: &[u8]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[kind]).update(&length).update(payload);
    let mut half = [0; 16];
    half.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    half
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        append(Kind::Block, payload, &mut out).unwrap();
        out
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let fine = frame(b"some payload");
        assert_eq!(parse(&fine), Some((Kind::Block, &b"some payload"[..])));
        for bit in 0..fine.len() * 8 {
            let mut damaged = fine.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(parse(&damaged), None, "bit {bit}");
        }
        for length in 0..fine.len() {
            assert_eq!(parse(&fine[..length]), None, "cut to {length}");
        }
    }

    #[test]
    fn intact_frames_are_found_behind_damage() {
        let mut log = frame(b"one");
        log[26] ^= 1;
        assert!(!any_intact(&log));
        log.extend(frame(b"two"));
        assert!(any_intact(&log));
        assert!(!any_intact(&log[..log.len() - 1]));
        assert!(!any_intact(&[]));
    }
}
