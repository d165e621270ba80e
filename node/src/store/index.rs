//! Where heights stand in a sealed segment, beside it in a file of its own, so that the segment
//! need not be read for it.
//!
//! ```text
//! magic 8 | segment length u64 LE | check 16 | (block u64 LE | commit u64 LE)*
//! ```
//!
//! `check` is keyed with the segment's salt and covers all the rest. The file is no part of the
//! truth: one that is missing, damaged or of another segment is made anew from the segment.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::durable;
use super::segment::{Place, Segment};

const MAGIC: [u8; 8] = *b"weftidx1";

const START: usize = 8 + 8 + 16;

/// Bytes of one height's places.
const PLACE: usize = 16;

fn path(segment: &Path) -> PathBuf {
    segment.with_extension("idx")
}

/// Writes the index of a segment.
pub fn write(segment: &Segment, places: &[Place]) -> io::Result<()> {
    let length = segment.length()?.to_le_bytes();
    let list: Vec<u8> = places
        .iter()
        .flat_map(|place| [place.block.to_le_bytes(), place.commit.to_le_bytes()])
        .flatten()
        .collect();
    let check = segment.salt.check(&[&MAGIC, &length, &list]);
    durable::replace(&path(&segment.path), &[&MAGIC[..], &length, &check, &list].concat())
}

/// Reads the index of a segment, if there is one that checks.
pub fn read(segment: &Segment) -> Option<Vec<Place>> {
    let length = segment.length().ok()?;
    let mut bytes = Vec::new();
    // Each height takes more room in the segment than here.
    File::open(path(&segment.path)).ok()?.take(length).read_to_end(&mut bytes).ok()?;
    let (start, list) = bytes.split_at_checked(START)?;
    let (magic, rest) = start.split_at(8);
    let (of_length, check) = rest.split_at(8);
    let fits = magic == MAGIC
        && of_length == length.to_le_bytes()
        && check == segment.salt.check(&[magic, of_length, list])
        && list.len() % PLACE == 0;
    let number = |bytes: &[u8]| bytes.try_into().map(u64::from_le_bytes).unwrap_or_default();
    let place = |bytes: &[u8]| Place { block: number(&bytes[..8]), commit: number(&bytes[8..]) };
    fits.then(|| list.chunks_exact(PLACE).map(place).collect())
}
