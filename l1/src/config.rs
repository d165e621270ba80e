//! How Ethereum is to be looked at, as an operator configures it: the section `[l1]` of a node and of
//! a rollup.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use weft_types::{L1Contracts, L1Origin};

use crate::provider::Finality;
use crate::quorum::Rules;
use crate::rpc::{Bounds, Client, UrlError};
use crate::watcher::{self, Watcher};

/// Most providers.
const MAX_PROVIDERS: usize = 32;
/// How often a provider is asked, and how long it may take: from and to.
const PACES: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(60)];
/// Largest answers that can be configured, in bytes: from and to.
const ANSWERS: [usize; 2] = [64 * 1024, 256 * 1024 * 1024];

/// Whom to ask, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct L1Config {
    /// Providers to ask: JSON-RPC over `http`, `https`, `ws` or `wss`, each run by somebody else if
    /// it can be.
    pub providers: Vec<String>,
    /// How many of them have to say the same of a block: more than half of them without it.
    pub quorum: Option<usize>,
    /// Which blocks count as final.
    #[serde(with = "finality")]
    pub finality: Finality,
    /// How often each provider is asked, 50 ms to 60 s.
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    /// How long a provider may take to answer, 50 ms to 60 s.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// A provider more than this many blocks behind the furthest lags.
    pub max_lag: u64,
    /// Largest answer that is read, 64 KiB to 256 MiB, in bytes.
    pub max_answer: usize,
}

impl Default for L1Config {
    fn default() -> Self {
        Self {
            providers: Vec::new(),
            quorum: None,
            finality: Finality::Finalized,
            interval: Duration::from_secs(4),
            timeout: Duration::from_secs(4),
            max_lag: 8,
            max_answer: 16 * 1024 * 1024,
        }
    }
}

/// What is wrong with a configuration. Each names its key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum L1ConfigError {
    /// No URL of a provider.
    #[error("l1.providers: {0}")]
    Provider(#[from] UrlError),
    /// Too many of them.
    #[error("l1.providers has {0} URLs, at most {MAX_PROVIDERS}")]
    Providers(usize),
    /// Two halves could agree on two things, or there are not as many.
    #[error(
        "l1.quorum is {quorum}, expected more than half of the {providers} providers and not more \
         than all"
    )]
    Quorum {
        /// How many were to agree.
        quorum: usize,
        /// How many there are.
        providers: usize,
    },
    /// Too often, or too long.
    #[error("l1.{0} is {1:?}, expected {from:?} to {to:?}", from = PACES[0], to = PACES[1])]
    Pace(&'static str, Duration),
    /// Too small for what there is to read, or too large to hold.
    #[error("l1.max_answer is {0}, expected {from} to {to} bytes", from = ANSWERS[0], to = ANSWERS[1])]
    Answer(usize),
    /// Blocks that anything may replace.
    #[error("l1.finality is 0, expected a block or more above, \"safe\" or \"finalized\"")]
    Finality,
    /// Every provider would lag.
    #[error("l1.max_lag is 0, expected a block or more")]
    Lag,
}

impl L1Config {
    /// How many providers have to say the same of a block.
    pub fn quorum(&self) -> usize {
        self.quorum.unwrap_or(self.providers.len() / 2 + 1)
    }

    /// How far providers may go.
    pub fn bounds(&self) -> Bounds {
        Bounds { max_answer: self.max_answer, timeout: self.timeout }
    }

    /// The providers.
    pub fn clients(&self) -> Result<Vec<Client>, UrlError> {
        self.providers.iter().map(|url| Client::new(url, self.bounds())).collect()
    }

    /// Checks every value.
    pub fn check(&self) -> Result<(), L1ConfigError> {
        self.clients()?;
        let (providers, quorum) = (self.providers.len(), self.quorum());
        if providers > MAX_PROVIDERS {
            return Err(L1ConfigError::Providers(providers));
        }
        if providers > 0 && !(providers / 2 + 1..=providers).contains(&quorum) {
            return Err(L1ConfigError::Quorum { quorum, providers });
        }
        for (name, value) in [("interval", self.interval), ("timeout", self.timeout)] {
            if !(PACES[0]..=PACES[1]).contains(&value) {
                return Err(L1ConfigError::Pace(name, value));
            }
        }
        if !(ANSWERS[0]..=ANSWERS[1]).contains(&self.max_answer) {
            return Err(L1ConfigError::Answer(self.max_answer));
        }
        if self.finality == Finality::Depth(0) {
            return Err(L1ConfigError::Finality);
        }
        if self.max_lag == 0 {
            return Err(L1ConfigError::Lag);
        }
        Ok(())
    }

    /// Starts to watch the contracts, from `origin` on, `window` blocks ahead of it.
    pub fn watch(
        &self,
        contracts: L1Contracts,
        window: u64,
        origin: watch::Receiver<L1Origin>,
    ) -> Result<Watcher, UrlError> {
        let rules =
            Rules { quorum: self.quorum(), interval: self.interval, max_lag: self.max_lag, window };
        let (finality, providers) = (self.finality, self.clients()?);
        Ok(Watcher::start(watcher::Config { contracts, finality, rules, providers }, origin))
    }
}

/// `"finalized"`, `"safe"`, or how many blocks have to be above one.
mod finality {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::provider::Finality;

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Name(String),
        Depth(u64),
    }

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
    pub(super) fn serialize<S: Serializer>(finality: &Finality, out: S) -> Result<S::Ok, S::Error> {
        match finality {
            Finality::Finalized => out.serialize_str("finalized"),
            Finality::Safe => out.serialize_str("safe"),
            Finality::Depth(blocks) => out.serialize_u64(*blocks),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Finality, D::Error> {
        let wrong = || serde::de::Error::custom("expected \"finalized\", \"safe\" or a number");
        match Written::deserialize(input).map_err(|_: D::Error| wrong())? {
            Written::Name(name) if name == "finalized" => Ok(Finality::Finalized),
            Written::Name(name) if name == "safe" => Ok(Finality::Safe),
            // From the environment everything is text.
            Written::Name(name) => name.parse().map(Finality::Depth).map_err(|_| wrong()),
            Written::Depth(blocks) => Ok(Finality::Depth(blocks)),
        }
    }
}
