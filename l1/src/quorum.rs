//! What enough providers agree on, and which of them to trust. Pure: time and answers come in as
//! values.
//!
//! A block is agreed on once `quorum` providers that are not in quarantine say the same of it,
//! hash, parent, timestamp and events. Whoever says something else of an agreed block goes into
//! quarantine at once, and whoever answers nonsense twice in a row. It is asked on, and comes back
//! once it has said nothing else than the others in a few answers with enough agreed blocks in them. Who
//! lags or does not answer is not trusted less for it, since it says nothing wrong; but it is known and
//! shown, and who does not answer is asked less often.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::B256;
use weft_types::L1Origin;

use crate::provider::{Answer, Claim, ProviderError};
use crate::rpc::RpcError;

/// How many agreed blocks a provider in quarantine has to say the same of, in how many answers.
const READMIT_CLAIMS: u32 = 8;
const READMIT_ANSWERS: u32 = 3;

/// Nonsense in a row that leads to quarantine.
const GARBAGE: u32 = 2;

/// Failures in a row after which a provider is said to fail.
const FAILURES: u32 = 3;

/// Longest pause before a provider that fails is asked again, in polls.
const MAX_BACKOFF: u32 = 15;

/// How many polls long something has to be wrong to be an alarm: providers do not all answer at once.
const ALARM_AFTER: u32 = 3;

/// Longest time that a provider may ask to be left alone.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// How many polls long what a provider said counts while it says nothing new.
const STALE_AFTER: u32 = 5;

/// How agreement is reached.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// How many providers have to say the same.
    pub quorum: usize,
    /// How often each is asked.
    pub interval: Duration,
    /// More blocks than this behind the others is a lag.
    pub max_lag: u64,
    /// Blocks after the origin that are asked for.
    pub window: u64,
}

/// How a provider stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its word counts.
    Trusted,
    /// Its word counts, and is behind the others'.
    Lagging,
    /// It does not answer.
    Failing,
    /// It has said something wrong, and its word does not count.
    Quarantined,
}

/// How often a provider has done what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Score {
    /// Answers.
    pub answers: u64,
    /// Times it has gone into quarantine for saying something else than the others.
    pub disagreements: u64,
    /// Answers that make no sense.
    pub garbage: u64,
    /// Answers that did not come in time.
    pub timeouts: u64,
    /// Requests that it wanted fewer of.
    pub rate_limited: u64,
    /// Requests that failed otherwise.
    pub errors: u64,
}

/// A provider as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ProviderStatus {
    /// Scheme, host and port.
    pub name: String,
    /// How it stands.
    pub state: State,
    /// Why, if it is not trusted; or what went wrong last.
    pub reason: Option<String>,
    /// The last block that it says is final.
    #[serde(with = "weft_types::json::decimal")]
    pub finalized: u64,
    /// How many blocks it was, when it last answered, behind what others had said by then.
    #[serde(with = "weft_types::json::decimal")]
    pub lag: u64,
    /// How long its last answer took, in milliseconds.
    pub latency_ms: u64,
    /// Counts.
    pub score: Score,
}

/// What is known of L1.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Status {
    /// Up to where L1 has been taken in.
    pub origin: L1Origin,
    /// The last block after that on which enough providers agree.
    #[serde(with = "weft_types::json::decimal")]
    pub agreed: u64,
    /// How far the last final block of one provider is from that of another.
    #[serde(with = "weft_types::json::decimal")]
    pub variance: u64,
    /// What is wrong, if something is that needs looking after.
    pub alarm: Option<String>,
    /// Each provider, as configured.
    pub providers: Vec<ProviderStatus>,
}

/// All providers and what they say.
pub struct Tracker {
    rules: Rules,
    origin: L1Origin,
    providers: Vec<Provider>,
    /// What was agreed on lately, by number: what a provider in quarantine is measured by.
    agreed: BTreeMap<u64, B256>,
    /// What is wrong, and since when.
    trouble: Option<(String, Duration)>,
}

struct Provider {
    name: String,
    claims: BTreeMap<u64, Arc<Claim>>,
    finalized: u64,
    answered_at: Option<Duration>,
    due: Duration,
    latency: Duration,
    score: Score,
    failures: u32,
    garbage: u32,
    lag: u64,
    lagging: bool,
    problem: Option<String>,
    quarantine: Option<Quarantine>,
}

struct Quarantine {
    reason: String,
    claims: u32,
    answers: u32,
}

impl Tracker {
    /// Providers that have said nothing yet.
    pub fn new(rules: Rules, names: impl IntoIterator<Item = String>, origin: L1Origin) -> Self {
        let provider = |name| Provider {
            name,
            claims: BTreeMap::new(),
            finalized: 0,
            answered_at: None,
            due: Duration::ZERO,
            latency: Duration::ZERO,
            score: Score::default(),
            failures: 0,
            garbage: 0,
            lag: 0,
            lagging: false,
            problem: None,
            quarantine: None,
        };
        let providers = names.into_iter().map(provider).collect();
        Self { rules, origin, providers, agreed: BTreeMap::new(), trouble: None }
    }

    /// The blocks to ask about: the origin itself, to see that it still stands, and those after it.
    pub fn wanted(&self) -> RangeInclusive<u64> {
        let first = self.origin.number;
        first..=first.saturating_add(self.rules.window)
    }

    /// When a provider is to be asked next.
    pub fn due(&self, provider: usize) -> Duration {
        self.providers.get(provider).map_or(Duration::MAX, |provider| provider.due)
    }

    /// L1 has been taken in further. Who could say more is asked again at once, if little is left of
    /// what it said.
    pub fn move_origin(&mut self, origin: L1Origin, now: Duration) {
        self.origin = origin;
        for provider in &mut self.providers {
            provider.claims = provider.claims.split_off(&origin.number);
            let said = provider.claims.keys().next_back().copied().unwrap_or(origin.number);
            let little = said - origin.number < self.rules.window.div_ceil(2);
            let fine = provider.failures == 0 && provider.quarantine.is_none();
            if fine && little && said < provider.finalized {
                provider.due = provider.due.min(now);
            }
        }
        self.look_after(now);
    }

    /// A provider has answered.
    pub fn answered(&mut self, index: usize, answer: Answer, took: Duration, now: Duration) {
        let (interval, window) = (self.rules.interval, self.wanted());
        let Some(provider) = self.providers.get_mut(index) else { return };
        let pace = if provider.quarantine.is_some() { interval * 2 } else { interval };
        provider.due = now + pace;
        provider.answered_at = Some(now);
        provider.latency = took;
        provider.finalized = answer.finalized;
        (provider.failures, provider.garbage, provider.problem) = (0, 0, None);
        provider.score.answers += 1;
        let claims = answer.claims.into_iter().filter(|claim| window.contains(&claim.number));
        provider.claims = claims.map(|claim| (claim.number, Arc::new(claim))).collect();
        self.measure_lag(index);
        self.judge(now);
        self.readmit(index);
        self.look_after(now);
    }

    /// A provider has not answered, or with nonsense.
    pub fn failed(&mut self, index: usize, error: &ProviderError, now: Duration) {
        let interval = self.rules.interval;
        let Some(provider) = self.providers.get_mut(index) else { return };
        provider.failures = provider.failures.saturating_add(1);
        provider.problem = Some(error.to_string());
        let backoff = interval * (1 << provider.failures.min(8)).min(MAX_BACKOFF);
        let pause = match error {
            ProviderError::Rpc(RpcError::RateLimited(after)) => {
                provider.score.rate_limited += 1;
                after.unwrap_or_default().clamp(backoff, MAX_RETRY_AFTER)
            }
            ProviderError::Rpc(RpcError::Timeout(_)) => {
                provider.score.timeouts += 1;
                backoff
            }
            error if error.is_garbage() => {
                provider.score.garbage += 1;
                provider.garbage += 1;
                backoff
            }
            _ => {
                provider.score.errors += 1;
                backoff
            }
        };
        provider.due = now + pause;
        if provider.garbage >= GARBAGE {
            provider.shut_out(error.to_string());
        }
        self.judge(now);
        self.look_after(now);
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Duration) {
        self.look_after(now);
    }

    /// The blocks after the origin on which enough providers agree, in order, each the parent of
    /// the next.
    pub fn agreed(&self, now: Duration) -> Vec<Arc<Claim>> {
        let mut blocks = Vec::new();
        let mut last = self.origin;
        for number in self.wanted().skip(1) {
            let Some(claim) = self.agreed_on(number, now) else { break };
            if claim.parent != last.hash {
                break;
            }
            last = L1Origin { number, hash: claim.hash };
            blocks.push(claim);
        }
        blocks
    }

    /// How everything stands.
    pub fn status(&self, now: Duration) -> Status {
        let answering = self.providers.iter().filter(|provider| provider.failures < FAILURES);
        let furthest = answering.clone().map(|provider| provider.finalized).max().unwrap_or(0);
        let nearest = answering.map(|provider| provider.finalized).min().unwrap_or(0);
        let agreed = self.agreed(now).last().map_or(self.origin.number, |block| block.number);
        let patience = self.rules.interval * ALARM_AFTER;
        let alarm = self.trouble.as_ref().filter(|(_, since)| now >= *since + patience);
        Status {
            origin: self.origin,
            agreed,
            variance: furthest - nearest,
            alarm: alarm.map(|(what, _)| what.clone()),
            providers: self.providers.iter().map(Provider::status).collect(),
        }
    }

    /// Notes since when something is wrong, if something is.
    fn look_after(&mut self, now: Duration) {
        let since = self.trouble.as_ref().map_or(now, |(_, since)| *since);
        self.trouble = self.find_trouble(now).map(|what| (what, since));
    }

    fn find_trouble(&self, now: Duration) -> Option<String> {
        let useful = self.providers.iter().filter(|provider| provider.counts(&self.rules, now));
        let (useful, quorum) = (useful.count(), self.rules.quorum);
        if useful < quorum {
            return Some(format!("{useful} of {quorum} providers needed can be relied on"));
        }
        let origin = self.agreed_on(self.origin.number, now);
        if origin.is_some_and(|claim| claim.hash != self.origin.hash) {
            let number = self.origin.number;
            return Some(format!(
                "L1 block {number}, which the network has taken in, is another one by now: L1 was \
                 reorganised below finality, or these providers are on another chain"
            ));
        }
        let next = self.origin.number + 1;
        let furthest = self.providers.iter().map(|provider| provider.finalized).max();
        let stuck = furthest > Some(next + self.rules.max_lag) && self.agreed(now).is_empty();
        stuck.then(|| format!("the providers do not agree on L1 block {next}"))
    }

    /// What enough providers whose word counts say of a block.
    fn agreed_on(&self, number: u64, now: Duration) -> Option<Arc<Claim>> {
        let mut votes: BTreeMap<B256, (usize, &Arc<Claim>)> = BTreeMap::new();
        for provider in self.providers.iter().filter(|p| p.counts(&self.rules, now)) {
            if let Some(claim) = provider.claims.get(&number) {
                votes.entry(claim.digest()).or_insert((0, claim)).0 += 1;
            }
        }
        let enough = |(count, _): &(usize, &Arc<Claim>)| *count >= self.rules.quorum;
        votes.into_values().find(enough).map(|(_, claim)| Arc::clone(claim))
    }

    /// Finds out who says something else than enough others.
    fn judge(&mut self, now: Duration) {
        let agreed: Vec<(u64, B256)> = self
            .wanted()
            .filter_map(|number| Some((number, self.agreed_on(number, now)?.digest())))
            .collect();
        for provider in &mut self.providers {
            let differs = agreed.iter().find(|(number, digest)| {
                provider.claims.get(number).is_some_and(|claim| claim.digest() != *digest)
            });
            if let Some((number, _)) = differs
                && provider.quarantine.is_none()
            {
                provider.score.disagreements += 1;
                provider.shut_out(format!("says something else of block {number} than the others"));
            }
        }
        self.agreed.extend(agreed);
        let kept = self.agreed.len().saturating_sub(4 * READMIT_CLAIMS as usize);
        if let Some(first) = self.agreed.keys().nth(kept).copied() {
            self.agreed = self.agreed.split_off(&first);
        }
    }

    /// How far a provider that has just answered is behind what others had said by then.
    fn measure_lag(&mut self, index: usize) {
        let trusted = self.providers.iter().filter(|provider| provider.quarantine.is_none());
        let furthest = trusted.map(|provider| provider.finalized).max().unwrap_or(0);
        let Some(provider) = self.providers.get_mut(index) else { return };
        provider.lag = furthest.saturating_sub(provider.finalized);
        // It has to come well within the limit to be out of it again.
        let limit = if provider.lagging { self.rules.max_lag / 2 } else { self.rules.max_lag };
        provider.lagging = provider.lag > limit;
    }

    /// Lets a provider out of quarantine that has said the same as the others often enough. What it
    /// says wrong begins the count anew.
    fn readmit(&mut self, index: usize) {
        let Self { providers, agreed, origin, .. } = self;
        let Some(provider) = providers.get_mut(index) else { return };
        let Some(quarantine) = &mut provider.quarantine else { return };
        // What has been taken in counts as well: there may be too few others to agree on more.
        let taken_in =
            |claim: &Claim| (claim.number == origin.number).then_some(claim.hash == origin.hash);
        let known = provider.claims.values().filter_map(|claim| {
            let agreed = agreed.get(&claim.number).map(|digest| claim.digest() == *digest);
            agreed.or_else(|| taken_in(claim))
        });
        let (mut right, mut wrong) = (0, false);
        for same in known {
            right += u32::from(same);
            wrong |= !same;
        }
        if wrong {
            (quarantine.claims, quarantine.answers) = (0, 0);
        } else if right > 0 {
            quarantine.claims += right;
            quarantine.answers += 1;
        }
        if quarantine.claims >= READMIT_CLAIMS && quarantine.answers >= READMIT_ANSWERS {
            provider.quarantine = None;
        }
    }
}

impl Provider {
    /// Whether its word counts.
    fn counts(&self, rules: &Rules, now: Duration) -> bool {
        let stale = rules.interval * STALE_AFTER;
        self.quarantine.is_none() && self.answered_at.is_some_and(|at| now < at + stale)
    }

    fn shut_out(&mut self, reason: String) {
        self.quarantine = Some(Quarantine { reason, claims: 0, answers: 0 });
    }

    fn status(&self) -> ProviderStatus {
        let state = match (&self.quarantine, self.failures >= FAILURES, self.lagging) {
            (Some(_), ..) => State::Quarantined,
            (None, true, _) => State::Failing,
            (None, false, true) => State::Lagging,
            (None, false, false) => State::Trusted,
        };
        let quarantine = self.quarantine.as_ref().map(|quarantine| &quarantine.reason);
        ProviderStatus {
            name: self.name.clone(),
            state,
            reason: quarantine.or(self.problem.as_ref()).cloned(),
            finalized: self.finalized,
            lag: self.lag,
            latency_ms: u64::try_from(self.latency.as_millis()).unwrap_or(u64::MAX),
            score: self.score,
        }
    }
}

#[cfg(test)]
mod tests;
