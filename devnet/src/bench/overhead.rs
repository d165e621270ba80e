//! What observations cost: encoded one by one as they are sent, and together as a block's.

use weft_types::hash::blake3;
use weft_types::{
    BatchDigest, BlockId, LaneView, Observation, ObservationBody, ObservationSet, Signed,
};

use super::Figure;
use crate::plan::{CHAIN_ID, key};

/// Seats of the committees that are looked at, one each.
const SEATS: [u16; 3] = [4, 25, 100];

/// Batches that each lane has waiting.
const WAITING: u16 = 2;

pub fn run() -> eyre::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for seats in SEATS {
        let observations: Vec<Observation> =
            (0..seats).map(|observer| observation(observer, seats)).collect();
        let one = borsh::object_length(&observations[0])?;
        let apart: usize = observations
            .iter()
            .map(borsh::object_length)
            .collect::<Result<Vec<_>, _>>()?
            .iter()
            .sum();
        let together = borsh::object_length(&ObservationSet::new(observations)?)?;
        // What has to be there whatever the encoding: signatures, and each batch's digest once.
        let digests = usize::from(seats) * usize::from(WAITING);
        let least = 65 * usize::from(seats) + 32 * digests;
        #[expect(clippy::cast_precision_loss, reason = "kilobytes")]
        let ratios = (together as f64 / apart as f64, together as f64 / least as f64);
        figures.push(
            Figure::plain(
                format!("{seats} seats, {WAITING} batches waiting in each lane"),
                format!("observation {one} bytes, a block's {together} bytes"),
            )
            .against(
                format!("{apart} bytes one by one; {least} of signatures and digests"),
                format!("{:.2}; {:.2}", ratios.0, ratios.1),
            ),
        );
    }
    Ok(figures)
}

/// What an observer says that holds everything, each batch for a time of its own.
fn observation(observer: u16, seats: u16) -> Observation {
    let lanes = (0..seats)
        .map(|author| {
            let digest = |seq: u16| {
                BatchDigest(blake3(&[&author.to_be_bytes(), &seq.to_be_bytes()]).0.into())
            };
            let age = |seq: u16| (author.wrapping_mul(7) ^ observer.wrapping_mul(13)) % 90 + seq;
            LaneView {
                author,
                incarnation: 1,
                digests: (0..WAITING).map(digest).collect(),
                ages_ms: (0..WAITING).map(age).collect(),
            }
        })
        .collect();
    let body = ObservationBody {
        height: 1_000_000,
        parent: BlockId(blake3(&[b"parent"]).0.into()),
        observer,
        clock_ms: 1_800_000_000_000 + u64::from(observer % 40),
        lanes,
        l1: Vec::new(),
    };
    Signed::new(body, CHAIN_ID, &key("observer", observer.into()))
}
