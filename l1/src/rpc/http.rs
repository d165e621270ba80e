//! JSON-RPC over HTTP.

use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{Response, StatusCode, Url};
use serde_json::Value;

use super::{Bounds, RpcError};

/// A provider over HTTP.
pub(super) struct Http {
    url: Url,
    client: Result<reqwest::Client, String>,
    max_answer: usize,
}

impl Http {
    pub(super) fn new(url: Url, bounds: Bounds) -> Self {
        crate::rpc::tls();
        let client = reqwest::Client::builder()
            .connect_timeout(bounds.timeout)
            // A provider that redirects is another one than was configured.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| error.to_string());
        Self { url, client, max_answer: bounds.max_answer }
    }

    pub(super) async fn exchange(&self, body: &Value) -> Result<Vec<u8>, RpcError> {
        let transport = |error: reqwest::Error| RpcError::Transport(cause(&error.without_url()));
        let client = self.client.as_ref().map_err(|e| RpcError::Transport(e.clone()))?;
        let request = client.post(self.url.clone()).json(body);
        let mut response = request.send().await.map_err(transport)?;
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            return Err(RpcError::RateLimited(retry_after(&response)));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(transport)? {
            if bytes.len() + chunk.len() > self.max_answer {
                return Err(RpcError::TooLarge(self.max_answer));
            }
            bytes.extend_from_slice(&chunk);
        }
        if !response.status().is_success() && bytes.first() != Some(&b'{') {
            return Err(RpcError::Transport(format!("HTTP status {}", response.status())));
        }
        Ok(bytes)
    }
}

/// How long to wait, if that is said in seconds.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// An error's innermost cause says most.
fn cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
