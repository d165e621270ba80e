//! How far a block takes L1 in (protocol section 5, rules 6 and 7).
//!
//! The origin advances over the longest run of L1 blocks on each of which, hash and events,
//! embedded observations of a majority of all seats agree. Nobody judges by its own view: what a
//! majority has seen finalized, an honest validator has.

use std::collections::BTreeMap;

use weft_types::limits::{MAX_EVENTS_BYTES, MAX_L1_BLOCKS};
use weft_types::observation::L1Block;
use weft_types::{EventsDigest, L1Origin, Observation};

use crate::content::Content;
use crate::tip::Tip;

/// The L1 blocks that a block passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Where it gets to.
    pub origin: L1Origin,
    /// The events of each L1 block after the parent's origin up to there.
    pub events: Vec<EventsDigest>,
}

impl Passed {
    /// None: the origin stays.
    pub fn none(tip: &Tip) -> Self {
        Self { origin: tip.header.l1_origin, events: Vec::new() }
    }
}

/// The L1 blocks that observations of the next height pass, or the events that have to be held to
/// tell.
pub(crate) fn advance<'a>(
    tip: &Tip,
    observations: impl Iterator<Item = &'a Observation>,
    content: &impl Content,
) -> Result<Passed, Vec<EventsDigest>> {
    let mut passed = Passed::none(tip);
    let (mut bytes, mut missing) = (0, Vec::new());
    for block in agreed(tip, observations) {
        let Some(events) = content.events(&block.events_digest) else {
            if content.is_whole() {
                break;
            }
            missing.push(block.events_digest);
            continue;
        };
        bytes += events.witness().bytes as usize;
        if bytes > MAX_EVENTS_BYTES && !passed.events.is_empty() {
            break;
        }
        passed.origin = L1Origin { number: passed.origin.number + 1, hash: block.hash };
        passed.events.push(block.events_digest);
    }
    if missing.is_empty() { Ok(passed) } else { Err(missing) }
}

/// The run of L1 blocks, after the origin, on which a majority of all seats agrees.
fn agreed<'a>(tip: &Tip, observations: impl Iterator<Item = &'a Observation>) -> Vec<L1Block> {
    let committee = tip.committee();
    let mut seats: [BTreeMap<L1Block, u64>; MAX_L1_BLOCKS] = Default::default();
    for observation in observations {
        let held = committee.get(observation.body.observer).map_or(0, |member| member.seats);
        for (block, seats) in observation.body.l1.iter().zip(&mut seats) {
            *seats.entry(*block).or_default() += held;
        }
    }
    let majority = |seats: BTreeMap<L1Block, u64>| {
        seats.into_iter().find(|(_, held)| committee.is_majority(*held)).map(|(block, _)| block)
    };
    seats.into_iter().map_while(majority).collect()
}
