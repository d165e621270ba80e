//! What a load came to.

use std::collections::BTreeMap;

use eyre::ensure;
use serde::Serialize;
use weft_types::TransactionId;

use super::Counts;

/// A distribution of latencies, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// How many were measured.
    pub count: usize,
    /// Half are faster.
    pub p50: f64,
    /// Nine of ten are faster.
    pub p90: f64,
    /// 99 of 100 are faster.
    pub p99: f64,
    /// The slowest.
    pub max: f64,
}

impl Percentiles {
    /// Of microseconds, in any order.
    pub fn of(mut micros: Vec<u32>) -> Self {
        micros.sort_unstable();
        let at = |part: usize| {
            let index = (micros.len() * part / 1000).min(micros.len().saturating_sub(1));
            micros.get(index).map_or(0.0, |micros| f64::from(*micros) / 1000.0)
        };
        Self { count: micros.len(), p50: at(500), p90: at(900), p99: at(990), max: at(1000) }
    }
}

/// What a load came to.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Transactions sent.
    pub sent: u64,
    /// Accepted.
    pub accepted: u64,
    /// Refused, by reason.
    pub refused: Counts,
    /// Never answered.
    pub unanswered: u64,
    /// Seen in a block of the node they were sent to.
    pub finals: u64,
    /// Accepted and never seen.
    pub missing: u64,
    /// Seen in two blocks.
    pub repeated: u64,
    /// For how long was sent.
    pub sending_seconds: f64,
    /// Until the last was seen.
    pub total_seconds: f64,
    /// From being due to being accepted.
    pub accepted_after: Percentiles,
    /// From being due to being final.
    pub final_after: Percentiles,
    /// At which height each transaction was shown to be final.
    #[serde(skip)]
    pub seen: BTreeMap<TransactionId, u64>,
}

impl Report {
    /// Transactions per second that became final.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 transactions")]
    pub fn throughput(&self) -> f64 {
        self.finals as f64 / self.total_seconds.max(0.001)
    }

    /// Whether everything that was accepted became final, once.
    pub fn check(&self) -> eyre::Result<()> {
        ensure!(self.missing == 0, "{} accepted transactions never became final", self.missing);
        ensure!(self.repeated == 0, "{} transactions became final twice", self.repeated);
        ensure!(self.finals > 0, "nothing became final");
        Ok(())
    }

    /// The report as a table.
    pub fn table(&self) -> String {
        let row = |name: &str, p: &Percentiles| {
            format!("{name:<12}{:>9.1}{:>9.1}{:>9.1}{:>9.1}\n", p.p50, p.p90, p.p99, p.max)
        };
        let mut text = format!(
            "sent {}  accepted {}  refused {}  unanswered {}  final {}  missing {}  repeated {}\n",
            self.sent,
            self.accepted,
            self.refused.values().sum::<u64>(),
            self.unanswered,
            self.finals,
            self.missing,
            self.repeated
        );
        text += &format!(
            "sent for {:.1} s, {:.0} final per second\n\n",
            self.sending_seconds,
            self.throughput()
        );
        text += &format!("{:<12}{:>9}{:>9}{:>9}{:>9}   ms\n", "", "p50", "p90", "p99", "max");
        text += &row("accepted", &self.accepted_after);
        text += &row("final", &self.final_after);
        for (reason, count) in &self.refused {
            text += &format!("refused {count}: {reason}\n");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::Percentiles;

    #[test]
    fn percentiles_of_a_ramp() {
        let p = Percentiles::of((0..1000).rev().map(|ms| ms * 1000).collect());
        assert_eq!((p.p50, p.p90, p.p99, p.max), (500.0, 900.0, 990.0, 999.0));
        assert_eq!(Percentiles::of(vec![]), Percentiles::default());
    }
}
