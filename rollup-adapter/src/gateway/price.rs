//! What a Weft transaction may cost, and what time it is in Weft, as endpoints say. Nothing they say
//! is verified, so one of them that lies must not be able to keep transactions from being ordered:
//!
//! - A price only bounds what is [offered](offer); the ledger charges its own. So the highest quote
//!   counts, the genesis file says what is the least, the configuration what is the most, and
//!   whatever was offered in vain is offered more.
//! - A time only helps to choose `valid_until`. The latest counts, bounded by this machine's clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use tokio::sync::watch;
use weft_types::{NamespaceId, Params, TimeMs, Wei};

use crate::api::{ApiError, Endpoint};
use crate::follow::Head;
use crate::random;
use crate::shutdown::Shutdown;
use crate::source::SourceStatus;
use crate::source::health::Health;

/// How often endpoints are asked.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long an endpoint may take to answer before the others' answers have to do.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);
/// How much later than this machine's clock an endpoint's time is believed to be.
const CLOCK_TOLERANCE_MS: u64 = 5_000;
/// How far behind endpoints the verified height may be for transactions to be handed over.
const MAX_LAG_MS: u64 = 15_000;

/// What endpoints last said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// What a byte costs in all, in wei: the highest of what they say.
    pub per_byte: Wei,
    /// Block time of the last height: the latest of what they say, capped by this machine's clock.
    pub time_ms: TimeMs,
    /// When that was.
    pub at: Instant,
}

impl Quote {
    /// What several quotes come to; `None` if there is none.
    pub fn combine(quotes: impl IntoIterator<Item = Self>) -> Option<Self> {
        quotes.into_iter().reduce(|a, b| Self {
            per_byte: a.per_byte.max(b.per_byte),
            time_ms: a.time_ms.max(b.time_ms),
            at: a.at.max(b.at),
        })
    }
}

/// Within which bounds is offered.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The least that a byte costs on this network, in wei.
    pub least: Wei,
    /// Most that is offered per byte, in wei.
    pub most: Wei,
    /// How many times the price of the moment is offered.
    pub headroom: u32,
}

/// The least that a byte of a submission costs, in wei: neither the global price nor a namespace's
/// falls below the floor (protocol section 6).
pub fn least_price(params: &Params) -> Wei {
    params.min_base_fee.saturating_mul(2)
}

/// What to offer per byte, in wei, for what was carried in vain so many times: twice as much each
/// time, since the quote may be wrong.
pub fn offer(quoted: Wei, bounds: &Bounds, attempts: u32) -> Wei {
    let raise = 1u128.checked_shl(attempts).unwrap_or(Wei::MAX);
    let price = quoted.max(bounds.least);
    price.saturating_mul(Wei::from(bounds.headroom)).saturating_mul(raise).min(bounds.most)
}

/// This machine's clock.
pub fn wall_ms() -> TimeMs {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// Asks all endpoints that are not quarantined, again and again, until told to finish.
pub async fn keep_asking(
    endpoints: Vec<Endpoint>,
    status: SourceStatus,
    namespace: NamespaceId,
    quotes: watch::Sender<Option<Quote>>,
    mut shutdown: Shutdown,
) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut health = Health::new(endpoints.len());
    let mut was_quoted = true;
    loop {
        tokio::select! {
            () = shutdown.requested() => return,
            _ = interval.tick() => {}
        }
        let may_ask = |index| status.is_trusted(index) && !health.is_resting(index, Instant::now());
        let asked = (0..).zip(&endpoints).filter(|(index, _)| may_ask(*index));
        let asked = join_all(
            asked.map(|(index, endpoint)| async move { (index, ask(endpoint, namespace).await) }),
        );
        let answers = tokio::select! {
            () = shutdown.requested() => return,
            answers = asked => answers,
        };
        let mut quotes_now = Vec::new();
        for (index, answer) in answers {
            match answer {
                Ok(quote) => quotes_now.push(quote),
                Err(error) => {
                    tracing::debug!(endpoint = %endpoints[index].url(), %error, "no quote");
                    health.fail(index, Instant::now(), random::fraction(), error.retry_after());
                }
            }
        }
        let quote = Quote::combine(quotes_now);
        if was_quoted && quote.is_none() {
            tracing::warn!(%namespace, "no endpoint says what a byte costs");
        }
        was_quoted = quote.is_some();
        if was_quoted {
            quotes.send_replace(quote);
        }
    }
}

async fn ask(endpoint: &Endpoint, namespace: NamespaceId) -> Result<Quote, ApiError> {
    let asked = async { tokio::try_join!(endpoint.status(), endpoint.namespace(namespace)) };
    let (status, prices) = tokio::time::timeout(ASK_TIMEOUT, asked)
        .await
        .map_err(|_| ApiError::Transport("no answer in time".to_owned()))??;
    Ok(Quote {
        per_byte: prices.price_per_byte.saturating_add(prices.global_price_per_byte),
        time_ms: status.time_ms.min(wall_ms().saturating_add(CLOCK_TOLERANCE_MS)),
        at: Instant::now(),
    })
}

/// Whether the verified height is near enough to what endpoints say the last one is, and the state is
/// the one that the next slice meets.
pub fn is_caught_up(head: &Head, quote: &Quote) -> bool {
    !head.is_fallback
        && head.time_ms > 0
        && head.time_ms.saturating_add(MAX_LAG_MS) >= quote.time_ms
}

/// What time it probably is in Weft.
pub fn weft_now(head: &Head, quote: &Quote) -> TimeMs {
    let since = u64::try_from(quote.at.elapsed().as_millis()).unwrap_or(u64::MAX);
    quote.time_ms.saturating_add(since).max(head.time_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { least: 200, most: 1_000_000, headroom: 4 };

    fn quote(per_byte: Wei, time_ms: TimeMs) -> Quote {
        Quote { per_byte, time_ms, at: Instant::now() }
    }

    #[test]
    fn who_quotes_nothing_does_not_lower_what_others_say() {
        for quotes in [[quote(0, 0), quote(500, 9)], [quote(500, 9), quote(0, 0)]] {
            let both = Quote::combine(quotes).unwrap();
            assert_eq!((both.per_byte, both.time_ms), (500, 9));
        }
        assert_eq!(Quote::combine([]), None);
    }

    #[test]
    fn never_less_is_offered_than_the_network_takes_nor_more_than_configured() {
        assert_eq!(offer(500, &BOUNDS, 0), 2_000);
        assert_eq!(offer(0, &BOUNDS, 0), 800, "all of them say that it costs nothing");
        for attempts in [0, 1, 127, 128, u32::MAX] {
            assert_eq!(offer(Wei::MAX, &BOUNDS, attempts), 1_000_000);
        }
    }

    #[test]
    fn what_was_offered_in_vain_is_offered_more() {
        // The price is a thousand times the floor, and every endpoint says that it is nothing.
        let offers: Vec<Wei> = (0..20).map(|attempts| offer(0, &BOUNDS, attempts)).collect();
        assert!(offers.is_sorted());
        assert!(offers.iter().position(|offer| *offer >= 200_000).unwrap() < 10, "{offers:?}");
        assert_eq!(offers.last(), Some(&1_000_000));
    }

    #[test]
    fn least_price_is_both_floors() {
        let params = Params { min_base_fee: 8, ..Params::default() };
        assert_eq!(least_price(&params), 16);
    }
}
