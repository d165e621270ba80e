//! An event stream of one endpoint, read event by event.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use serde::de::DeserializeOwned;
use weft_types::Height;

use super::client::{ApiError, transport};
use super::sse::{Event, Parser};

/// How long a stream may be silent, keep-alives included, before it counts as dead.
pub const STREAM_SILENCE: Duration = Duration::from_secs(30);

/// What an open connection brings, as values of one kind, one per height.
pub(super) struct Events {
    bytes: BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    parser: Parser,
    /// Events that have arrived, last one first.
    arrived: Vec<Event>,
    /// The `event` field of those that are wanted.
    name: &'static str,
    next: Height,
}

impl Events {
    /// Events called `name`, of up to `limit` bytes each, from the height `next` on.
    pub(super) fn new(
        bytes: BoxStream<'static, reqwest::Result<bytes::Bytes>>,
        name: &'static str,
        limit: usize,
        next: Height,
    ) -> Self {
        Self { bytes, parser: Parser::new(limit), arrived: Vec::new(), name, next }
    }

    /// The height of what comes next.
    pub(super) fn height(&self) -> Height {
        self.next
    }

    /// What comes next. It has to be of the height that is due, so nothing is left out or repeated.
    /// Safe to drop while waiting.
    pub(super) async fn next<T: DeserializeOwned>(
        &mut self,
        height: impl Fn(&T) -> Height,
    ) -> Result<T, ApiError> {
        loop {
            while let Some(event) = self.arrived.pop() {
                if event.name != self.name {
                    continue;
                }
                let value: T = serde_json::from_str(&event.data)
                    .map_err(|error| ApiError::Malformed(error.to_string()))?;
                let (found, due) = (height(&value), self.next);
                if found != due {
                    let what = format!("{} of height {found} where {due} was due", self.name);
                    return Err(ApiError::Malformed(what));
                }
                self.next = self.next.saturating_add(1);
                return Ok(value);
            }
            let chunk = tokio::time::timeout(STREAM_SILENCE, self.bytes.next())
                .await
                .map_err(|_| ApiError::Transport("the stream has gone silent".to_owned()))?
                .ok_or_else(|| ApiError::Transport("the stream has ended".to_owned()))?
                .map_err(transport)?;
            self.parser.push(&chunk, &mut self.arrived)?;
            self.arrived.reverse();
        }
    }
}
