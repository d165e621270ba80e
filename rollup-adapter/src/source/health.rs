//! What is thought of each endpoint: which to use, which to wait for, which never again. Pure.

use std::time::{Duration, Instant};

/// Delay after the first failure; it doubles with each further one.
pub const BACKOFF_BASE: Duration = Duration::from_millis(100);
/// Longest delay.
pub const BACKOFF_CAP: Duration = Duration::from_secs(10);

/// What is known of one endpoint.
#[derive(Clone, Debug, Default)]
struct Record {
    /// Failures in a row.
    failures: u32,
    /// Not to be used before, since it failed.
    until: Option<Instant>,
    /// It has asked to be left alone until then.
    rests_until: Option<Instant>,
    /// It served a proof that does not hold.
    quarantined: Option<String>,
}

impl Record {
    /// Since when it may be used, or from when on.
    fn from(&self) -> Option<Instant> {
        self.until.max(self.rests_until)
    }

    fn is_ready(&self, now: Instant) -> bool {
        self.quarantined.is_none() && self.from().is_none_or(|from| from <= now)
    }
}

/// What is known of all endpoints.
#[derive(Clone, Debug)]
pub struct Health {
    records: Vec<Record>,
}

/// Which endpoint to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// This one, now.
    Now(usize),
    /// None before this time.
    Wait(Instant),
    /// None ever: each has served a proof that does not hold.
    Never,
}

impl Health {
    /// All endpoints start out well.
    pub fn new(count: usize) -> Self {
        Self { records: vec![Record::default(); count] }
    }

    /// The endpoint with the fewest failures in a row that may be used, lowest index first.
    pub fn pick(&self, now: Instant) -> Pick {
        let usable =
            || self.records.iter().enumerate().filter(|(_, record)| record.quarantined.is_none());
        let ready = usable()
            .filter(|(_, record)| record.is_ready(now))
            .min_by_key(|(index, record)| (record.failures, *index));
        match ready {
            Some((index, _)) => Pick::Now(index),
            None => match usable().filter_map(|(_, record)| record.from()).min() {
                Some(until) => Pick::Wait(until),
                None => Pick::Never,
            },
        }
    }

    /// Whether an endpoint may be used.
    pub fn is_ready(&self, index: usize, now: Instant) -> bool {
        self.records.get(index).is_some_and(|record| record.is_ready(now))
    }

    /// Whether an endpoint has asked to be left alone, and the time is not over.
    pub fn is_resting(&self, index: usize, now: Instant) -> bool {
        let rests_until = self.records.get(index).and_then(|record| record.rests_until);
        rests_until.is_some_and(|until| until > now)
    }

    /// It did what it should. If it has asked to be left alone, it still is.
    pub fn succeed(&mut self, index: usize) {
        if let Some(record) = self.records.get_mut(index) {
            record.failures = 0;
            record.until = None;
        }
    }

    /// It failed. `jitter` in `0.0..1.0` spreads retries over the upper half of the delay. It is
    /// left alone for at least as long as it has asked for. Returns for how long.
    pub fn fail(
        &mut self,
        index: usize,
        now: Instant,
        jitter: f64,
        retry_after: Option<Duration>,
    ) -> Duration {
        let Some(record) = self.records.get_mut(index) else { return Duration::ZERO };
        let delay = BACKOFF_BASE.saturating_mul(1 << record.failures.min(16)).min(BACKOFF_CAP);
        let delay = delay.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0);
        record.failures = record.failures.saturating_add(1);
        record.until = now.checked_add(delay);
        let Some(asked) = retry_after else { return delay };
        record.rests_until = record.rests_until.max(now.checked_add(asked));
        delay.max(asked)
    }

    /// It served something that does not hold: never use it again.
    pub fn quarantine(&mut self, index: usize, reason: String) {
        if let Some(record) = self.records.get_mut(index) {
            record.quarantined.get_or_insert(reason);
        }
    }

    /// Failures in a row, and why it is quarantined, if it is.
    pub fn of(&self, index: usize) -> (u32, Option<&str>) {
        let record = self.records.get(index);
        record.map_or((0, None), |r| (r.failures, r.quarantined.as_deref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fails_over_waits_and_gives_up() {
        let now = Instant::now();
        let mut health = Health::new(2);
        assert_eq!(health.pick(now), Pick::Now(0));
        let delay = health.fail(0, now, 1.0, None);
        assert_eq!(delay, BACKOFF_BASE);
        assert_eq!(health.pick(now), Pick::Now(1));
        health.fail(1, now, 0.0, None);
        assert_eq!(health.pick(now), Pick::Wait(now + BACKOFF_BASE / 2));
        // Later both may be used again; success forgets failures.
        let later = now + BACKOFF_CAP;
        assert_eq!(health.pick(later), Pick::Now(0));
        health.succeed(1);
        assert_eq!(health.pick(later), Pick::Now(1), "fewest failures first");
        health.quarantine(1, "lies".into());
        assert_eq!(health.pick(later), Pick::Now(0));
        health.quarantine(0, "lies".into());
        assert_eq!(health.pick(later), Pick::Never);
    }

    #[test]
    fn who_asks_to_be_left_alone_is() {
        let now = Instant::now();
        let asked = Duration::from_secs(42);
        let mut health = Health::new(2);
        assert_eq!(health.fail(0, now, 1.0, Some(asked)), asked);
        health.fail(1, now, 1.0, None);
        let later = now + asked - Duration::from_millis(1);
        assert_eq!(health.pick(later), Pick::Now(1));
        assert!(health.is_resting(0, later) && !health.is_ready(0, later));
        assert!(!health.is_resting(1, now), "a failure is no request");
        health.quarantine(1, "lies".into());
        // Neither another failure nor a success shortens it.
        health.fail(0, now, 1.0, Some(Duration::from_secs(1)));
        health.succeed(0);
        assert_eq!(health.pick(later), Pick::Wait(now + asked));
        assert_eq!(health.pick(now + asked), Pick::Now(0));
    }

    #[test]
    fn backoff_grows_up_to_its_cap() {
        let now = Instant::now();
        let mut health = Health::new(1);
        let delays: Vec<Duration> = (0..40).map(|_| health.fail(0, now, 1.0, None)).collect();
        assert!(delays.is_sorted());
        assert_eq!(delays[1], BACKOFF_BASE * 2);
        assert_eq!(*delays.last().unwrap(), BACKOFF_CAP);
    }
}
