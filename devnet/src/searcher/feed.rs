//! The auctions of a network as they are decided, from whichever validator answers.

use std::time::Duration;

use eyre::{bail, eyre};
use tokio::time::timeout;
use weft_rollup_adapter::api::shapes::{Auction, NextLots};
use weft_rollup_adapter::api::{AuctionStream, Endpoint};
use weft_types::{Height, NamespaceId};

/// How long the next height may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A stream of auctions that goes on at another endpoint where one fails.
pub(super) struct Feed {
    endpoints: Vec<Endpoint>,
    /// Which of them is followed.
    at: usize,
    stream: AuctionStream,
}

impl Feed {
    /// Begins with the last height that is decided.
    pub async fn open(endpoints: &[Endpoint]) -> eyre::Result<Self> {
        let first = endpoints.first().ok_or_else(|| eyre!("no endpoints"))?;
        let next = first.next_lots().await?.height;
        let stream = first.auctions(next.saturating_sub(1)).await?;
        Ok(Self { endpoints: endpoints.to_vec(), at: 0, stream })
    }

    /// The next height's auction. None is left out and none comes twice, whoever tells of it.
    async fn next(&mut self) -> eyre::Result<Auction> {
        for _ in 0..=self.endpoints.len() {
            match timeout(PATIENCE, self.stream.next()).await {
                Ok(Ok(auction)) => return Ok(auction),
                Ok(Err(_)) | Err(_) => {
                    self.at = (self.at + 1) % self.endpoints.len();
                    let resumed = self.endpoints[self.at].auctions(self.stream.height()).await;
                    if let Ok(resumed) = resumed {
                        self.stream = resumed;
                    }
                }
            }
        }
        bail!("no endpoint tells of height {}", self.stream.height())
    }

    /// Waits for a height at which the heads of all these namespaces are for sale, and that is still to
    /// come.
    pub async fn next_lots(&mut self, of: &[NamespaceId]) -> eyre::Result<NextLots> {
        loop {
            let Some(lots) = self.next().await?.next else { continue };
            // An event may have waited here until it was read.
            let decided = self.endpoints[self.at].status().await?.height;
            if decided < lots.height && lots.reserve(of.iter().copied()).is_some() {
                return Ok(lots);
            }
        }
    }

    /// Waits for the auction of a height.
    pub async fn auction(&mut self, height: Height) -> eyre::Result<Auction> {
        while self.stream.height() <= height {
            let auction = self.next().await?;
            if auction.height == height {
                return Ok(auction);
            }
        }
        bail!("the auction of height {height} is past")
    }
}
