//! What a Weft transaction may cost, and what time it is in Weft, as endpoints say. Neither is
//! verified: a price only bounds what is offered, and the ledger charges what it charges; a time
//! only helps to choose `valid_until`, and is bounded by this machine's clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use weft_types::{NamespaceId, TimeMs, Wei};

use crate::api::Endpoint;
use crate::follow::Head;
use crate::shutdown::Shutdown;

/// How often endpoints are asked.
const INTERVAL: Duration = Duration::from_secs(1);
/// How much later than this machine's clock an endpoint's time is believed to be.
const CLOCK_TOLERANCE_MS: u64 = 5_000;
/// How far behind endpoints the verified height may be for transactions to be handed over.
const MAX_LAG_MS: u64 = 15_000;

/// What endpoints last said.
#[derive(Clone, Copy, Debug)]
pub struct Quote {
    /// What a byte costs in all, in wei.
    pub per_byte: Wei,
    /// Block time of the last height, capped by this machine's clock.
    pub time_ms: TimeMs,
    /// When that was.
    pub at: Instant,
}

/// This machine's clock.
pub fn wall_ms() -> TimeMs {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// Asks endpoints, again and again, until told to finish.
pub async fn keep_asking(
    endpoints: Vec<Endpoint>,
    namespace: NamespaceId,
    quotes: watch::Sender<Option<Quote>>,
    mut shutdown: Shutdown,
) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut first = 0;
    loop {
        tokio::select! {
            () = shutdown.requested() => return,
            _ = interval.tick() => {}
        }
        for turn in 0..endpoints.len() {
            let index = (first + turn) % endpoints.len();
            let asked = tokio::select! {
                () = shutdown.requested() => return,
                asked = ask(&endpoints[index], namespace) => asked,
            };
            match asked {
                Ok(quote) => {
                    quotes.send_replace(Some(quote));
                    first = index;
                    break;
                }
                Err(error) => {
                    tracing::debug!(endpoint = %endpoints[index].url(), %error, "no quote");
                }
            }
        }
    }
}

async fn ask(endpoint: &Endpoint, namespace: NamespaceId) -> Result<Quote, crate::api::ApiError> {
    let (status, prices) = tokio::try_join!(endpoint.status(), endpoint.namespace(namespace))?;
    Ok(Quote {
        per_byte: prices.price_per_byte.saturating_add(prices.global_price_per_byte),
        time_ms: status.time_ms.min(wall_ms().saturating_add(CLOCK_TOLERANCE_MS)),
        at: Instant::now(),
    })
}

/// Whether the verified height is near enough to what endpoints say the last one is.
pub fn is_caught_up(head: &Head, quote: &Quote) -> bool {
    head.time_ms > 0 && head.time_ms.saturating_add(MAX_LAG_MS) >= quote.time_ms
}

/// What time it probably is in Weft.
pub fn weft_now(head: &Head, quote: &Quote) -> TimeMs {
    let since = u64::try_from(quote.at.elapsed().as_millis()).unwrap_or(u64::MAX);
    quote.time_ms.saturating_add(since).max(head.time_ms)
}
