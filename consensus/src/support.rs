//! What the embedded observations support, and since when (protocol section 5, rules 3 to 5).

use std::collections::BTreeMap;

use weft_types::{Address, BatchDigest, Committee, Observation, TimeMs};

/// Names and times of the batches at each place of one lane, as observers report them.
#[derive(Default)]
pub(crate) struct LaneReports {
    /// `places[i]` is the place i + 1 after the cut (or from the start of a newer lane).
    places: Vec<BTreeMap<BatchDigest, Vec<Report>>>,
}

/// One observer's report of one batch.
#[derive(Clone, Copy)]
struct Report {
    seats: u64,
    /// When the observer held the batch, by its own clock.
    arrival: TimeMs,
}

/// Every lane that any embedded observation names.
pub(crate) type Reports = BTreeMap<Address, BTreeMap<u32, LaneReports>>;

/// Gathers what observations name. Observations are verified: indices are in the committee.
pub(crate) fn collect<'a>(
    committee: &Committee,
    observations: impl IntoIterator<Item = &'a Observation>,
) -> Reports {
    let mut reports = Reports::new();
    for observation in observations {
        let body = &observation.body;
        let Some(observer) = committee.get(body.observer) else { continue };
        for view in &body.lanes {
            let Some(author) = committee.get(view.author) else { continue };
            let lane =
                reports.entry(author.address).or_default().entry(view.incarnation).or_default();
            for (place, (digest, age)) in view.digests.iter().zip(&view.ages_ms).enumerate() {
                if lane.places.len() <= place {
                    lane.places.resize_with(place + 1, BTreeMap::new);
                }
                lane.places[place].entry(*digest).or_default().push(Report {
                    seats: observer.seats,
                    arrival: body.clock_ms.saturating_sub(u64::from(*age)),
                });
            }
        }
    }
    reports
}

impl LaneReports {
    /// The batches at a place that observers with more than a third of all seats name, each with
    /// the time by which they did.
    pub(crate) fn supported(
        &self,
        committee: &Committee,
        place: usize,
    ) -> Vec<(BatchDigest, TimeMs)> {
        let Some(named) = self.places.get(place) else { return Vec::new() };
        named
            .iter()
            .filter_map(|(digest, reports)| Some((*digest, support_time(committee, reports)?)))
            .collect()
    }

    /// How many places anybody names anything at.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }
}

/// The earliest time by which observers of more than a third of all seats report a batch, or
/// `None` if fewer do at all.
fn support_time(committee: &Committee, reports: &[Report]) -> Option<TimeMs> {
    let mut reports = reports.to_vec();
    reports.sort_unstable_by_key(|report| report.arrival);
    let mut seats = 0u64;
    reports.iter().find_map(|report| {
        seats = seats.saturating_add(report.seats);
        committee.is_support(seats).then_some(report.arrival)
    })
}

/// The median of the embedded observers' clocks by seats; the lower one of two.
pub(crate) fn median_clock<'a>(
    committee: &Committee,
    observations: impl IntoIterator<Item = &'a Observation>,
) -> TimeMs {
    let mut clocks: Vec<(TimeMs, u64)> = observations
        .into_iter()
        .filter_map(|o| Some((o.body.clock_ms, committee.get(o.body.observer)?.seats)))
        .collect();
    clocks.sort_unstable();
    let total: u64 = clocks.iter().map(|(_, seats)| seats).sum();
    let mut below = 0;
    clocks
        .iter()
        .find(|(_, seats)| {
            below += seats;
            below * 2 >= total
        })
        .map_or(0, |(clock, _)| *clock)
}
