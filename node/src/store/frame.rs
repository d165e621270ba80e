//! Frames of the block log.
//!
//! ```text
//! magic 4 | kind 1 | length u32 LE | durable u64 LE | head check 16 | check 16 | payload
//! ```
//!
//! `head check` is the first half of blake3, keyed with the segment's random salt, over the
//! frame's offset in the segment, kind, length and `durable`; `check` likewise over the head check
//! and the payload. So a frame is one only where it was written: bytes that somebody has put into
//! a transaction to look like a frame never are.
//!
//! `durable` is how much of the segment was on disk for certain when the frame was written: where
//! the last fsync before it ended. An intact head behind damage thus says what the damage is. If
//! the damaged place had been durable by then, the disk has lost it: corruption. If no head says
//! so, the damage is in what had not been synced, in which pages may be lost in any order: a torn
//! tail.

use std::io::{self, Read};

use weft_types::limits::{MAX_BATCHES_BYTES, MAX_EVENTS_BYTES};
use weft_types::observation::MAX_SET_BYTES;

/// Starts every frame, so that heads can be found behind damage.
const MAGIC: [u8; 4] = *b"wft\x02";

/// Bytes of a frame before its payload.
pub const HEADER: usize = 4 + 1 + 4 + 8 + CHECK + CHECK;

const CHECK: usize = 16;

/// Longest payload: the most batches that any genesis allows in a block, with observations that
/// agree on nothing, a header and counts.
pub const MAX_PAYLOAD: usize = MAX_BATCHES_BYTES + MAX_EVENTS_BYTES + MAX_SET_BYTES + 1024;

/// How much of a damaged tail is in memory at a time.
const WINDOW: usize = 1 << 20;

/// The secret of a segment that its frames are checked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Salt(pub [u8; 32]);

impl Salt {
    /// A fresh one.
    pub fn random() -> io::Result<Self> {
        let mut salt = [0; 32];
        getrandom::fill(&mut salt).map_err(io::Error::other)?;
        Ok(Self(salt))
    }

    /// The first half of the keyed hash of some parts.
    pub fn check(&self, parts: &[&[u8]]) -> [u8; CHECK] {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        for part in parts {
            hasher.update(part);
        }
        let mut half = [0; CHECK];
        half.copy_from_slice(&hasher.finalize().as_bytes()[..CHECK]);
        half
    }
}

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

/// What a frame says of itself before its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// What it holds.
    pub kind: Kind,
    /// Bytes of its payload, at most [`MAX_PAYLOAD`].
    pub length: u32,
    /// Up to which offset the segment was synced when it was written.
    pub durable: u64,
    head_check: [u8; CHECK],
    check: [u8; CHECK],
}

impl Head {
    /// The head of a frame with a payload that is written at an offset.
    pub fn new(
        salt: &Salt,
        offset: u64,
        durable: u64,
        kind: Kind,
        payload: &[u8],
    ) -> io::Result<Self> {
        let length =
            u32::try_from(payload.len()).ok().filter(|length| *length as usize <= MAX_PAYLOAD);
        let length = length.ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "payload above the largest block")
        })?;
        let head_check = check_head(salt, offset, kind, length, durable);
        let check = salt.check(&[&head_check, payload]);
        Ok(Self { kind, length, durable, head_check, check })
    }

    /// Lays it out at the end of `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&MAGIC);
        out.push(self.kind as u8);
        out.extend_from_slice(&self.length.to_le_bytes());
        out.extend_from_slice(&self.durable.to_le_bytes());
        out.extend_from_slice(&self.head_check);
        out.extend_from_slice(&self.check);
    }

    /// The intact head that stands at an offset. `None` if these bytes are none.
    pub fn read(salt: &Salt, offset: u64, bytes: &[u8; HEADER]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk::<4>()?;
        let (kind, rest) = rest.split_first()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (durable, rest) = rest.split_first_chunk::<8>()?;
        let (head_check, rest) = rest.split_first_chunk::<CHECK>()?;
        let check = rest.first_chunk::<CHECK>()?;
        let kind = Kind::of(*kind).filter(|_| *magic == MAGIC)?;
        let (length, durable) = (u32::from_le_bytes(*length), u64::from_le_bytes(*durable));
        let intact = length as usize <= MAX_PAYLOAD
            && *head_check == check_head(salt, offset, kind, length, durable);
        intact.then_some(Self { kind, length, durable, head_check: *head_check, check: *check })
    }

    /// Whether this is the payload it was written with.
    pub fn holds(&self, salt: &Salt, payload: &[u8]) -> bool {
        self.check == salt.check(&[&self.head_check, payload])
    }

    /// Bytes of the whole frame.
    pub fn frame_bytes(&self) -> u64 {
        HEADER as u64 + u64::from(self.length)
    }
}

/// Whether an intact head in `tail` says that what stands at `damage` had been durable. The tail
/// starts at that offset. Takes time linear in the tail, whatever it holds.
pub fn was_durable(salt: &Salt, damage: u64, mut tail: impl Read) -> io::Result<bool> {
    let mut window = Vec::new();
    let mut start = damage;
    loop {
        let read = (&mut tail).take(WINDOW as u64).read_to_end(&mut window)?;
        let mut from = 0;
        while let Some(at) = find(&window[from..]).map(|at| from + at) {
            let Some(bytes) = window[at..].first_chunk::<HEADER>() else { break };
            let head = Head::read(salt, start + at as u64, bytes);
            if head.is_some_and(|head| head.durable > damage) {
                return Ok(true);
            }
            from = at + 1;
        }
        if read == 0 {
            return Ok(false);
        }
        // A head may stand across two windows.
        let done = window.len().saturating_sub(HEADER - 1);
        window.drain(..done);
        start += done as u64;
    }
}

fn find(bytes: &[u8]) -> Option<usize> {
    bytes.windows(MAGIC.len()).position(|window| window == MAGIC)
}

fn check_head(salt: &Salt, offset: u64, kind: Kind, length: u32, durable: u64) -> [u8; CHECK] {
    let (offset, length, durable) =
        (offset.to_le_bytes(), length.to_le_bytes(), durable.to_le_bytes());
    salt.check(&[&offset, &[kind as u8], &length, &durable])
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: Salt = Salt([9; 32]);

    fn frame(offset: u64, durable: u64, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Head::new(&SALT, offset, durable, Kind::Block, payload).unwrap().write(&mut out);
        out.extend_from_slice(payload);
        out
    }

    /// Whether an intact frame stands at an offset, and nothing else.
    fn is_frame(salt: &Salt, offset: u64, bytes: &[u8]) -> bool {
        let Some((head, payload)) = bytes.split_first_chunk::<HEADER>() else { return false };
        let head = Head::read(salt, offset, head);
        head.is_some_and(|head| head.holds(salt, payload))
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let fine = frame(100, 70, b"some payload");
        assert!(is_frame(&SALT, 100, &fine));
        for bit in 0..fine.len() * 8 {
            let mut damaged = fine.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_frame(&SALT, 100, &damaged), "bit {bit}");
        }
        for length in 0..fine.len() {
            assert!(!is_frame(&SALT, 100, &fine[..length]), "cut to {length}");
        }
        assert!(!is_frame(&SALT, 101, &fine), "elsewhere");
        assert!(!is_frame(&Salt([8; 32]), 100, &fine), "in another segment");
    }

    #[test]
    fn heads_behind_damage_say_what_had_been_durable() {
        let was_durable = |damage, tail: &[u8]| was_durable(&SALT, damage, tail).unwrap();
        let behind = |durable, gap: usize| {
            let at = 100 + gap as u64;
            [vec![0xee; gap], frame(at, durable, b"behind")].concat()
        };
        assert!(was_durable(100, &behind(101, 30)));
        assert!(!was_durable(100, &behind(100, 30)), "of the same write");
        assert!(!was_durable(100, &behind(60, 30)));
        assert!(!was_durable(101, &behind(200, 30)), "not where it was written");
        assert!(!was_durable(100, &[]));
        assert!(!was_durable(100, &behind(101, 30)[..30 + HEADER - 1]), "half a head");
        // Wherever it stands to the edge of a window.
        for gap in (WINDOW - 2 * HEADER..WINDOW + HEADER).step_by(5) {
            assert!(was_durable(100, &behind(150, gap)), "gap of {gap}");
        }
    }

    #[test]
    fn too_long_a_payload_is_refused() {
        let long = vec![0; MAX_PAYLOAD + 1];
        assert!(Head::new(&SALT, 0, 0, Kind::Block, &long).is_err());
        assert!(Head::new(&SALT, 0, 0, Kind::Block, &long[1..]).is_ok());
    }
}
