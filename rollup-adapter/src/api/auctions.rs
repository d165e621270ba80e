//! Auctions, as searchers see them (protocol section 8): what is for sale, what became of bids, who
//! has put up how much.

use weft_types::limits::MAX_BATCHES_BYTES;
use weft_types::{Address, Height, ProvenResult};

use super::client::{ApiError, Endpoint, MAX_ANSWER};
use super::events::Events;
use super::shapes::{Account, Auction, NextLots};

/// Largest auction that is read, in bytes of JSON. The most that bids of a block can grow to is
/// twelvefold: one with eight legs has 278 bytes there, and comes with eight lots. On top of that
/// comes what is for sale next.
pub const MAX_AUCTION_JSON: usize = 12 * MAX_BATCHES_BYTES + MAX_ANSWER;
/// Largest list of proven results that is read, in bytes of borsh: each result has up to 720.
pub const MAX_PROVEN_BORSH: usize = 24 * MAX_BATCHES_BYTES;

impl Endpoint {
    /// `GET /v1/auctions/next`: what is for sale at the next height, as of now.
    ///
    /// # Errors
    ///
    /// If the endpoint cannot be reached, is busy, or does not answer as the API says.
    pub async fn next_lots(&self) -> Result<NextLots, ApiError> {
        self.get(self.path("/v1/auctions/next"), MAX_ANSWER).await
    }

    /// `GET /v1/auctions/{height}`: the lots that were sold at a height, and what became of its
    /// bids. `None` if the height is not decided yet. Not checked: its
    /// [root](super::shapes::Auction::root) has to be the `results_root` of the header above.
    ///
    /// # Errors
    ///
    /// As for [`next_lots`](Self::next_lots).
    pub async fn auction(&self, height: Height) -> Result<Option<Auction>, ApiError> {
        let url = self.path(&format!("/v1/auctions/{height}"));
        match self.get::<Auction>(url, MAX_AUCTION_JSON).await {
            Ok(auction) if auction.height != height => Err(ApiError::Malformed(format!(
                "auction of height {} instead of {height}",
                auction.height
            ))),
            Ok(auction) => Ok(Some(auction)),
            Err(ApiError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `GET /v1/auctions/{height}?proof=1`: the same, each result with its path, for whoever is to be
    /// shown one of them alone: lots ascending by namespace, then bids in block order. Not checked:
    /// the [root](ProvenResult::root) that a result leads to has to be the `results_root` of the header above.
    ///
    /// # Errors
    ///
    /// As for [`next_lots`](Self::next_lots).
    pub async fn proven_results(
        &self,
        height: Height,
    ) -> Result<Option<Vec<ProvenResult>>, ApiError> {
        let mut url = self.path(&format!("/v1/auctions/{height}"));
        url.set_query(Some("proof=1"));
        let bytes = match self.get_borsh(url, MAX_PROVEN_BORSH).await {
            Ok(bytes) => bytes,
            Err(ApiError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let results = borsh::from_slice(&bytes);
        results.map(Some).map_err(|error| ApiError::Malformed(error.to_string()))
    }

    /// `GET /v1/auctions/stream?from=`: every height's auction from `from` on, as it is decided.
    /// [`next_lots`](Self::next_lots) says which height that is for whoever has seen none: the one
    /// before the height it names comes at once.
    ///
    /// # Errors
    ///
    /// As for [`next_lots`](Self::next_lots); `Busy` if too many streams are open.
    pub async fn auctions(&self, from: Height) -> Result<AuctionStream, ApiError> {
        let mut url = self.path("/v1/auctions/stream");
        url.set_query(Some(&format!("from={from}")));
        let bytes = self.open_stream(url).await?;
        Ok(AuctionStream(Events::new(bytes, "auction", MAX_AUCTION_JSON, from)))
    }

    /// `GET /v1/accounts/{address}`: balance and collateral as of the last height. An account that
    /// never held anything has neither.
    ///
    /// # Errors
    ///
    /// As for [`next_lots`](Self::next_lots).
    pub async fn account(&self, account: Address) -> Result<Account, ApiError> {
        self.get(self.path(&format!("/v1/accounts/{account}")), MAX_ANSWER).await
    }
}

/// Auctions from one endpoint, one per height.
pub struct AuctionStream(Events);

impl AuctionStream {
    /// The height of the auction that comes next: from where another stream goes on.
    pub fn height(&self) -> Height {
        self.0.height()
    }

    /// The next auction. Heights come in order, none is left out and none comes twice; what an
    /// auction says is not checked. Of the last height it also says what is for sale at the one
    /// after it. Safe to drop while waiting.
    ///
    /// # Errors
    ///
    /// If the connection breaks, is silent for [half a minute](super::events::STREAM_SILENCE), or
    /// brings something else than is due. The stream is then of no more use; to go on, open
    /// one from [`height`](Self::height), here or at another endpoint.
    pub async fn next(&mut self) -> Result<Auction, ApiError> {
        self.0.next(|auction: &Auction| auction.height).await
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};

    use super::*;

    fn event(height: u64) -> String {
        let auction = format!(r#"{{"height":"{height}","lots":[],"bids":[]}}"#);
        format!(": alive\n\nevent: auction\nid: {height}\ndata: {auction}\n\n")
    }

    /// A stream that brings this text, cut anywhere.
    fn stream_of(text: &str, from: Height) -> AuctionStream {
        let chunks: Vec<_> =
            text.as_bytes().chunks(7).map(|c| Ok(bytes::Bytes::copy_from_slice(c))).collect();
        let bytes = stream::iter(chunks).boxed();
        AuctionStream(Events::new(bytes, "auction", MAX_AUCTION_JSON, from))
    }

    #[tokio::test]
    async fn heights_come_in_order() {
        let mut stream = stream_of(&[event(7), event(8)].concat(), 7);
        assert_eq!(stream.next().await.unwrap().height, 7);
        assert_eq!(stream.next().await.unwrap().height, 8);
        assert_eq!(stream.height(), 9);
        assert!(matches!(stream.next().await, Err(ApiError::Transport(_))));
        assert_eq!(stream.height(), 9, "one that goes on misses nothing");
    }

    #[tokio::test]
    async fn a_height_that_is_left_out_or_repeated_is_refused() {
        for wrong in [7, 9] {
            let mut stream = stream_of(&[event(7), event(wrong)].concat(), 7);
            stream.next().await.unwrap();
            let error = stream.next().await.unwrap_err();
            assert!(matches!(&error, ApiError::Malformed(_)), "{error}");
            assert_eq!(stream.height(), 8);
        }
    }

    #[tokio::test]
    async fn events_of_another_name_are_passed_over() {
        let block = "event: block\ndata: {}\n\n";
        let mut stream = stream_of(&[block, &event(7)].concat(), 7);
        assert_eq!(stream.next().await.unwrap().height, 7);
    }
}
