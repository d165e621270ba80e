//! Rate limits per peer: who sends faster is read slower.

use std::time::Duration;

use tokio::time::{Instant, sleep};

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
