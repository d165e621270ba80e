//! Passing on what slow heights need.
//!
//! Validators send their messages straight to each other. Where a link between two of them is
//! broken, a height may be slow; then the engine sends its votes and certificates again, marked as
//! such, and whoever gets one passes it on, once, after checking it. So any connected network
//! makes progress, and a calm one carries nothing twice.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use weft_types::{Address, B256, hash::blake3};

use super::peers::Peers;

/// How many messages are remembered.
const REMEMBERED: usize = 4096;

/// For how long. The engine repeats itself more slowly than that, and is listened to again.
const MEMORY: Duration = Duration::from_millis(400);

/// Messages of one signer that are passed on within [`BUDGET_PERIOD`]. An honest one has two votes
/// and at most a proposal in a round, and sends them again once a second.
const BUDGET: u32 = 64;

/// See [`BUDGET`].
const BUDGET_PERIOD: Duration = Duration::from_secs(1);

/// What has been passed on lately.
#[derive(Clone, Default)]
pub struct Relay(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    seen: VecDeque<(Instant, B256)>,
    /// Since when, and what was passed on for whom since then.
    spent: Option<(Instant, BTreeMap<Address, u32>)>,
}

impl Relay {
    /// Whether a message has not been seen lately; it has now.
    pub fn is_new(&self, frame: &[u8]) -> bool {
        let (hash, now) = (blake3(&[frame]), Instant::now());
        let seen = &mut self.0.lock().unwrap_or_else(PoisonError::into_inner).seen;
        while seen.front().is_some_and(|(at, _)| now.duration_since(*at) > MEMORY) {
            seen.pop_front();
        }
        if seen.iter().any(|(_, known)| *known == hash) {
            return false;
        }
        if seen.len() == REMEMBERED {
            seen.pop_front();
        }
        seen.push_back((now, hash));
        true
    }

    /// Whether one more message may be passed on for a signer; it is counted.
    pub fn may_pass_on(&self, signer: &Address) -> bool {
        let now = Instant::now();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, spent) = match &mut state.spent {
            Some(spent) if now.duration_since(spent.0) < BUDGET_PERIOD => spent,
            over => over.insert((now, BTreeMap::new())),
        };
        let spent = spent.entry(*signer).or_default();
        *spent = spent.saturating_add(1);
        *spent <= BUDGET
    }

    /// Queues a frame's content for every validator but the one it came from.
    pub fn pass_on(&self, peers: &Peers, content: &[u8], from: &Address) {
        let length = u32::try_from(content.len()).unwrap_or(u32::MAX).to_le_bytes();
        let frame = Bytes::from([&length[..], content].concat());
        peers.urgent(&frame, |peer| peer.validator().is_some_and(|v| v != *from));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signer_has_a_budget() {
        let relay = Relay::default();
        let signer = Address::with_last_byte(1);
        let passed = (0..1000).filter(|_| relay.may_pass_on(&signer)).count();
        assert!(passed >= BUDGET as usize && passed < 500, "{passed}");
        assert!(relay.may_pass_on(&Address::with_last_byte(2)));
    }

    #[test]
    fn a_message_is_new_once() {
        let relay = Relay::default();
        assert!(relay.is_new(b"a"));
        assert!(relay.is_new(b"b"));
        assert!(!relay.is_new(b"a"));
    }
}
