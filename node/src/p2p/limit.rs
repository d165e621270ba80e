//! Limits: a peer that sends faster is read slower, a signer that says more is not listened to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use weft_types::{B256, hash::blake3};

/// New messages taken for one key in [`PERIOD`]. An honest validator has two votes and at most a
/// proposal in a round; there is no end to what a bad one can sign.
const MESSAGES: u32 = 64;

/// For how long copies are recognised. The engine repeats itself once a second, and is listened to
/// again.
const PERIOD: Duration = Duration::from_millis(500);

/// Tells copies and floods of messages, by signer or whatever else they are told apart by.
pub struct Budget<K>(Mutex<Spent<K>>);

struct Spent<K> {
    since: Instant,
    seen: BTreeSet<B256>,
    taken: BTreeMap<K, u32>,
}

impl<K> Spent<K> {
    fn nothing(since: Instant) -> Self {
        Self { since, seen: BTreeSet::new(), taken: BTreeMap::new() }
    }
}

impl<K> Default for Budget<K> {
    fn default() -> Self {
        Self(Mutex::new(Spent::nothing(Instant::now())))
    }
}

impl<K: Ord> Budget<K> {
    /// Whether a message may be taken: it is new, and not one too many. Copies count for nothing,
    /// or anybody could use up what another one may say.
    pub fn spend(&self, key: K, message: &[u8]) -> bool {
        self.spend_at(key, blake3(&[message]), Instant::now())
    }

    fn spend_at(&self, key: K, message: B256, now: Instant) -> bool {
        let mut spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(spent.since) >= PERIOD {
            *spent = Spent::nothing(now);
        }
        if spent.seen.contains(&message) {
            return false;
        }
        let taken = spent.taken.entry(key).or_default();
        if *taken >= MESSAGES {
            return false;
        }
        *taken += 1;
        spent.seen.insert(message)
    }
}

/// A token bucket over bytes and frames. Waiting for tokens stops reading, and with that, by the
/// transport's own flow control, the sender.
pub struct Limit {
    bytes_per_second: f64,
    frames_per_second: f64,
    bytes: f64,
    frames: f64,
    at: Instant,
}

impl Limit {
    /// Full buckets that hold two seconds' worth.
    pub fn new(bytes_per_second: u32, frames_per_second: u32) -> Self {
        let (bytes_per_second, frames_per_second) =
            (f64::from(bytes_per_second), f64::from(frames_per_second));
        Self {
            bytes_per_second,
            frames_per_second,
            bytes: 2.0 * bytes_per_second,
            frames: 2.0 * frames_per_second,
            at: Instant::now(),
        }
    }

    /// Takes a frame's worth, waiting until there is enough.
    pub async fn take(&mut self, bytes: usize) {
        let wait = self.charge(bytes, Instant::now());
        if !wait.is_zero() {
            sleep(wait).await;
        }
    }

    /// Takes a frame's worth at `now` and says how long to wait before the next.
    #[expect(clippy::cast_precision_loss, reason = "frames are far below 2^52 bytes")]
    fn charge(&mut self, bytes: usize, now: Instant) -> Duration {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.bytes =
            (self.bytes + elapsed * self.bytes_per_second).min(2.0 * self.bytes_per_second);
        self.frames =
            (self.frames + elapsed * self.frames_per_second).min(2.0 * self.frames_per_second);
        self.bytes -= bytes as f64;
        self.frames -= 1.0;
        let owed = (-self.bytes / self.bytes_per_second).max(-self.frames / self.frames_per_second);
        Duration::try_from_secs_f64(owed.max(0.0)).unwrap_or(Duration::from_secs(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_signer_has_a_budget_of_its_own_for_a_while() {
        let budget = Budget::default();
        let now = Instant::now();
        let message = |i: u64| blake3(&[&i.to_be_bytes()]);
        let taken = (0..1000).filter(|i| budget.spend_at(1, message(*i), now)).count();
        assert_eq!(taken, MESSAGES as usize);
        assert!(budget.spend_at(2, message(1000), now));
        assert!(!budget.spend_at(1, message(2000), now + PERIOD / 2));
        assert!(budget.spend_at(1, message(0), now + PERIOD * 2));
    }

    #[test]
    fn copies_use_up_nothing() {
        let budget = Budget::default();
        let now = Instant::now();
        assert!(budget.spend_at(1, B256::ZERO, now));
        assert!((0..1000).all(|_| !budget.spend_at(1, B256::ZERO, now)));
        assert!(budget.spend_at(1, B256::repeat_byte(1), now));
    }

    #[test]
    fn a_burst_passes_and_a_flood_waits() {
        let mut limit = Limit::new(1000, 10);
        let now = Instant::now();
        for _ in 0..20 {
            assert!(limit.charge(10, now).is_zero());
        }
        let wait = limit.charge(10, now);
        assert!((0.09..0.11).contains(&wait.as_secs_f64()), "{wait:?}");
        assert!(limit.charge(10, now + Duration::from_secs(1)).is_zero());
        let wait = limit.charge(5000, now + Duration::from_secs(1));
        assert!(wait > Duration::from_secs(2), "{wait:?}");
    }
}
