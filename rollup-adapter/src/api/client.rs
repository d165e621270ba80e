//! One endpoint: bounded requests and responses.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use reqwest::{Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use weft_types::limits::MAX_BATCHES_BYTES;
use weft_types::slice::ProvenSlice;
use weft_types::{
    Address, Committee, Height, NamespaceId, SliceEntry, TransactionId, Unverified, Wei,
};

use super::events::Events;
use super::shapes::{Namespace, Problem, Status, TransactionStatus, UnprovenSlice, Validators};
use super::sse::SseError;

/// Largest slice that is read, in bytes of JSON: hex doubles what a block may carry, and each entry
/// comes with names.
pub const MAX_SLICE_JSON: usize = 4 * MAX_BATCHES_BYTES + 1024 * 1024;
/// Largest other answer that is read.
pub const MAX_ANSWER: usize = 1024 * 1024;
/// How long a request may take, its body included.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long connecting may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The type of what is borsh.
const BORSH: &str = "application/octet-stream";
/// For how long a busy endpoint that does not say is left alone.
const DEFAULT_REST: Duration = Duration::from_secs(1);
/// For how long a busy endpoint is left alone at most, whatever it says.
const MAX_REST: Duration = Duration::from_secs(60);

/// Why an endpoint did not answer as it should. All of them are its fault, or the network's.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// It cannot be reached, or the connection broke.
    #[error("{0}")]
    Transport(String),
    /// The answer is larger than any honest one.
    #[error("the answer has more than {0} bytes")]
    TooLarge(usize),
    /// The answer is not what the API says.
    #[error("the answer is malformed: {0}")]
    Malformed(String),
    /// The event stream is not what the API says.
    #[error("the stream is malformed: {0}")]
    Stream(#[from] SseError),
    /// It does not have what was asked for (yet).
    #[error("not found: {0}")]
    NotFound(String),
    /// It is over-full, and says for how long.
    #[error("busy")]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// It refused the request.
    #[error("refused with {status}: {reason}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it says is wrong.
        reason: String,
    },
}

impl ApiError {
    /// Whether the endpoint understood the request and will refuse it again.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if (400..500).contains(status))
    }

    /// For how long the endpoint has asked to be left alone, if it has.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after } => Some(*retry_after),
            _ => None,
        }
    }
}

pub(super) fn transport(error: reqwest::Error) -> ApiError {
    // reqwest's own message leaves the cause out.
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    ApiError::Transport(text)
}

/// A Weft node's HTTP API, as seen from here.
#[derive(Clone, Debug)]
pub struct Endpoint {
    base: Url,
    http: reqwest::Client,
}

impl Endpoint {
    /// An endpoint at a base URL. The client may be shared between endpoints.
    pub fn new(base: Url, http: reqwest::Client) -> Self {
        Self { base, http }
    }

    /// A client with the timeouts that endpoints need.
    pub fn http_client() -> Result<reqwest::Client, reqwest::Error> {
        reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .redirect(reqwest::redirect::Policy::none())
            .build()
    }

    /// Where it is.
    pub fn url(&self) -> &Url {
        &self.base
    }

    pub(super) fn path(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}{path}"));
        url
    }

    /// `GET /status`.
    pub async fn status(&self) -> Result<Status, ApiError> {
        self.get(self.path("/status"), MAX_ANSWER).await
    }

    /// `GET /v1/namespaces/{ns}`.
    pub async fn namespace(&self, namespace: NamespaceId) -> Result<Namespace, ApiError> {
        self.get(self.path(&format!("/v1/namespaces/{namespace}")), MAX_ANSWER).await
    }

    /// `GET /v1/accounts/{address}`: the balance in wei.
    pub async fn balance(&self, account: Address) -> Result<Wei, ApiError> {
        Ok(self.account(account).await?.balance)
    }

    /// `GET /v1/validators?height=`: who decides a height. Not checked.
    pub async fn committee(&self, height: Height) -> Result<Committee, ApiError> {
        let mut url = self.path("/v1/validators");
        url.set_query(Some(&format!("height={height}")));
        let validators: Validators = self.get(url, MAX_ANSWER).await?;
        Ok(validators.committee)
    }

    /// `GET /v1/namespaces/{namespace}/slices/{height}`: the entries of a slice, by the endpoint's word
    /// alone, as soon as the height is decided. `None` before. Nothing that lasts may be built on
    /// it.
    pub async fn unproven_slice(
        &self,
        namespace: NamespaceId,
        height: Height,
    ) -> Result<Option<Vec<SliceEntry>>, ApiError> {
        let url = self.path(&format!("/v1/namespaces/{namespace}/slices/{height}"));
        match self.get::<UnprovenSlice>(url, MAX_SLICE_JSON).await {
            Ok(slice) => Ok(Some(slice.entries)),
            Err(ApiError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `GET /v1/namespaces/{ns}/slices/{height}?proof=1`. `None` if it is not decided yet.
    pub async fn slice(
        &self,
        namespace: NamespaceId,
        height: Height,
    ) -> Result<Option<Unverified<ProvenSlice>>, ApiError> {
        let mut url = self.path(&format!("/v1/namespaces/{namespace}/slices/{height}"));
        url.set_query(Some("proof=1"));
        match self.get::<ProvenSlice>(url, MAX_SLICE_JSON).await {
            Ok(slice) if slice.header.height != height => Err(ApiError::Malformed(format!(
                "slice of height {} instead of {height}",
                slice.header.height
            ))),
            Ok(slice) => Ok(Some(Unverified::new(slice))),
            Err(ApiError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `POST /v1/transactions` with a transaction's borsh.
    pub async fn submit(&self, borsh: Vec<u8>) -> Result<TransactionStatus, ApiError> {
        let request = self
            .http
            .post(self.path("/v1/transactions"))
            .header("content-type", BORSH)
            .timeout(REQUEST_TIMEOUT)
            .body(borsh);
        let response = check(request.send().await.map_err(transport)?).await?;
        decode(&body(response, MAX_ANSWER).await?)
    }

    /// `GET /v1/transactions/{id}`. `None` if the node does not know it.
    pub async fn transaction(
        &self,
        id: TransactionId,
    ) -> Result<Option<TransactionStatus>, ApiError> {
        match self.get(self.path(&format!("/v1/transactions/{id}")), MAX_ANSWER).await {
            Ok(status) => Ok(Some(status)),
            Err(ApiError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `GET /v1/namespaces/{ns}/stream?from=`.
    pub async fn stream(
        &self,
        namespace: NamespaceId,
        from: Height,
    ) -> Result<SliceStream, ApiError> {
        let mut url = self.path(&format!("/v1/namespaces/{namespace}/stream"));
        url.set_query(Some(&format!("from={from}")));
        let bytes = self.open_stream(url).await?;
        Ok(SliceStream(Events::new(bytes, "slice", MAX_SLICE_JSON, from)))
    }

    /// Opens an event stream. Only that it begins has to happen in time.
    pub(super) async fn open_stream(
        &self,
        url: Url,
    ) -> Result<BoxStream<'static, reqwest::Result<bytes::Bytes>>, ApiError> {
        let request = self.http.get(url).header("accept", "text/event-stream").send();
        let response = tokio::time::timeout(REQUEST_TIMEOUT, request)
            .await
            .map_err(|_| ApiError::Transport("no answer in time".to_owned()))?
            .map_err(transport)?;
        let response = check(response).await?;
        let kind = response.headers().get("content-type").and_then(|v| v.to_str().ok());
        if !kind.is_some_and(|kind| kind.starts_with("text/event-stream")) {
            return Err(ApiError::Malformed("not an event stream".to_owned()));
        }
        Ok(response.bytes_stream().boxed())
    }

    /// Gets what is at a URL as borsh, undecoded.
    pub(super) async fn get_borsh(&self, url: Url, limit: usize) -> Result<Vec<u8>, ApiError> {
        let request = self.http.get(url).header("accept", BORSH).timeout(REQUEST_TIMEOUT);
        let response = check(request.send().await.map_err(transport)?).await?;
        let kind = response.headers().get("content-type").and_then(|v| v.to_str().ok());
        if kind != Some(BORSH) {
            return Err(ApiError::Malformed("not borsh".to_owned()));
        }
        body(response, limit).await
    }

    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        url: Url,
        limit: usize,
    ) -> Result<T, ApiError> {
        let request = self.http.get(url).timeout(REQUEST_TIMEOUT);
        let response = check(request.send().await.map_err(transport)?).await?;
        decode(&body(response, limit).await?)
    }
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| ApiError::Malformed(error.to_string()))
}

async fn check(response: Response) -> Result<Response, ApiError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    if status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE {
        let header = response.headers().get("retry-after").and_then(|v| v.to_str().ok());
        let asked = header.and_then(|v| v.parse().ok()).map_or(DEFAULT_REST, Duration::from_secs);
        return Err(ApiError::Busy { retry_after: asked.min(MAX_REST) });
    }
    let bytes = body(response, MAX_ANSWER).await.unwrap_or_default();
    let problem: Problem = serde_json::from_slice(&bytes).unwrap_or_default();
    let reason = if problem.detail.is_empty() { problem.title } else { problem.detail };
    let reason: String = reason.chars().take(300).collect();
    Err(match status {
        StatusCode::NOT_FOUND => ApiError::NotFound(reason),
        _ => ApiError::Refused { status: status.as_u16(), reason },
    })
}

async fn body(mut response: Response, limit: usize) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(transport)? {
        if bytes.len() + chunk.len() > limit {
            return Err(ApiError::TooLarge(limit));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// A stream of slices from one endpoint, one per height.
pub struct SliceStream(Events);

impl SliceStream {
    /// The height of the slice that comes next.
    pub fn height(&self) -> Height {
        self.0.height()
    }

    /// The next slice. Heights come in order and none is left out; what the slice says is not
    /// checked. Safe to drop while waiting.
    pub async fn next(&mut self) -> Result<Unverified<ProvenSlice>, ApiError> {
        self.0.next(|slice: &ProvenSlice| slice.header.height).await.map(Unverified::new)
    }
}
