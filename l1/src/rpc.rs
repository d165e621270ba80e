//! JSON-RPC, with bounded answers.
//!
//! A client speaks HTTP or WebSocket, by its URL. Whatever comes back is read up to a limit and no
//! further, and within a time limit.

mod http;
mod ws;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::Url;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

/// Most calls in one request.
pub const MAX_BATCH: usize = 64;

/// How far a client lets the other end go.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Largest answer that is read, in bytes.
    pub max_answer: usize,
    /// How long a request may take.
    pub timeout: Duration,
}

/// Why a call came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RpcError {
    /// It cannot be reached, or the connection broke.
    #[error("cannot be reached: {0}")]
    Transport(String),
    /// It did not answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// It answered with more than is read.
    #[error("answered with more than {0} bytes")]
    TooLarge(usize),
    /// It asks to be left alone, for so long if it says so.
    #[error("asks for fewer requests")]
    RateLimited(Option<Duration>),
    /// It answered with an error.
    #[error("{message} (code {code})")]
    Refused {
        /// The JSON-RPC error code.
        code: i64,
        /// What it says, cut to a hundred characters.
        message: String,
        /// What it adds, if that is hex: a contract's error.
        data: Option<String>,
    },
    /// Its answer makes no sense.
    #[error("the answer makes no sense: {0}")]
    Malformed(String),
}

/// Why a URL is no provider's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Not a URL.
    #[error("{0}: not a URL")]
    Malformed(String),
    /// Neither HTTP nor WebSocket.
    #[error("{0}: expected http, https, ws or wss")]
    Scheme(String),
}

/// One provider's JSON-RPC.
pub struct Client {
    transport: Transport,
    bounds: Bounds,
    next_id: AtomicU64,
    name: String,
}

enum Transport {
    Http(http::Http),
    Ws(Box<ws::Ws>),
}

/// A call: a method and its parameters.
pub type Call = (&'static str, Value);

#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    result: Value,
    #[serde(default)]
    error: Option<ErrorObject>,
}

#[derive(Deserialize)]
struct ErrorObject {
    code: i64,
    #[serde(default)]
    message: String,
    #[serde(default)]
    data: Value,
}

/// A number as JSON-RPC writes it.
#[derive(Clone, Copy, Deserialize)]
pub struct Quantity(#[serde(deserialize_with = "quantity")] pub u64);

pub(crate) fn quantity<'de, D: Deserializer<'de>>(input: D) -> Result<u64, D::Error> {
    let text = String::deserialize(input)?;
    let digits = text.strip_prefix("0x").filter(|digits| !digits.is_empty());
    let parsed = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    parsed.ok_or_else(|| serde::de::Error::custom("expected a 0x-hex number"))
}

/// What providers answer with if they are asked too often.
const LIMIT_EXCEEDED: [i64; 2] = [-32005, 429];

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Client").field(&self.name).finish()
    }
}

impl Client {
    /// A provider at a URL.
    pub fn new(url: &str, bounds: Bounds) -> Result<Self, UrlError> {
        let parsed = Url::parse(url).map_err(|_| UrlError::Malformed(shorten(url, 60)))?;
        let name = name_of(&parsed);
        let transport = match parsed.scheme() {
            "http" | "https" => Transport::Http(http::Http::new(parsed, bounds)),
            "ws" | "wss" => Transport::Ws(Box::new(ws::Ws::new(parsed, bounds))),
            _ => return Err(UrlError::Scheme(name)),
        };
        Ok(Self { transport, bounds, next_id: AtomicU64::new(1), name })
    }

    /// Scheme, host and port: what may be shown. Keys tend to be in the rest of a URL.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Calls a method.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: Value,
    ) -> Result<T, RpcError> {
        let mut results = self.batch(&[(method, params)]).await?;
        let result = results.pop().unwrap_or(Ok(Value::Null))?;
        decode(result)
    }

    /// Calls a method without parameters that answers with a number.
    pub async fn number(&self, method: &'static str) -> Result<u64, RpcError> {
        Ok(self.call::<Quantity>(method, json!([])).await?.0)
    }

    /// Makes up to [`MAX_BATCH`] calls in one request. Answers come in the order of the calls.
    pub async fn batch(&self, calls: &[Call]) -> Result<Vec<Result<Value, RpcError>>, RpcError> {
        let requests: Vec<Value> = calls.iter().map(|call| self.request(call)).collect();
        let body = match &requests[..] {
            [one] => one.clone(),
            _ => Value::Array(requests.clone()),
        };
        let answered = tokio::time::timeout(self.bounds.timeout, self.exchange(body)).await;
        let bytes = answered.map_err(|_| RpcError::Timeout(self.bounds.timeout))??;
        let mut replies = parse(&bytes)?;
        // An error without an id is about the whole request.
        if let [Reply { id: Value::Null, error: Some(_), .. }] = &replies[..] {
            return Err(replies.remove(0).result().err().unwrap_or_else(no_answer));
        }
        let answer_to = |request: &Value| {
            let at = replies.iter().position(|reply| reply.id == request["id"]);
            at.map_or_else(|| Err(no_answer()), |at| replies.swap_remove(at).result())
        };
        let results: Vec<_> = requests.iter().map(answer_to).collect();
        match results.iter().find(|result| matches!(result, Err(RpcError::RateLimited(_)))) {
            Some(Err(limited)) => Err(limited.clone()),
            _ => Ok(results),
        }
    }

    /// Waits until the provider says, unasked, that there is a new block. Providers over HTTP never
    /// do.
    pub async fn news(&self) {
        match &self.transport {
            Transport::Http(_) => std::future::pending().await,
            Transport::Ws(ws) => ws.news().await,
        }
    }

    fn request(&self, (method, params): &Call) -> Value {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
    }

    async fn exchange(&self, body: Value) -> Result<Vec<u8>, RpcError> {
        match &self.transport {
            Transport::Http(http) => http.exchange(&body).await,
            Transport::Ws(ws) => ws.exchange(&body).await,
        }
    }
}

impl Reply {
    fn result(self) -> Result<Value, RpcError> {
        let Some(ErrorObject { code, message, data }) = self.error else { return Ok(self.result) };
        if LIMIT_EXCEEDED.contains(&code) {
            return Err(RpcError::RateLimited(None));
        }
        let hex = |text: &str| text.starts_with("0x") && text.len() < 4096;
        // Some put what a contract says one level deeper.
        let data = data.as_str().or_else(|| data["data"].as_str()).filter(|data| hex(data));
        let (message, data) = (shorten(&message, 100), data.map(str::to_owned));
        Err(RpcError::Refused { code, message, data })
    }
}

/// One reply or several.
fn parse(bytes: &[u8]) -> Result<Vec<Reply>, RpcError> {
    let malformed = |e: serde_json::Error| RpcError::Malformed(e.to_string());
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        serde_json::from_slice(bytes).map_err(malformed)
    } else {
        Ok(vec![serde_json::from_slice(bytes).map_err(malformed)?])
    }
}

/// Makes sense of a result.
pub fn decode<T: DeserializeOwned>(result: Value) -> Result<T, RpcError> {
    serde_json::from_value(result).map_err(|e| RpcError::Malformed(shorten(&e.to_string(), 100)))
}

/// Installs the process's TLS, once.
fn tls() {
    // Fails if one is installed already: then that is the one.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn no_answer() -> RpcError {
    RpcError::Malformed("an answer is missing".to_owned())
}

fn name_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or("?");
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{host}{port}", url.scheme())
}

fn shorten(text: &str, most: usize) -> String {
    let printable = text.chars().filter(|c| !c.is_control());
    printable.take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_told_apart_and_keep_their_keys_to_themselves() {
        let bounds = Bounds { max_answer: 1, timeout: Duration::from_secs(1) };
        let name = |url| Client::new(url, bounds).map(|client| client.name().to_owned());
        assert_eq!(name("https://node.example/v3/secret").unwrap(), "https://node.example");
        assert_eq!(name("ws://user:pass@10.0.0.1:8546/x?key=1").unwrap(), "ws://10.0.0.1:8546");
        assert_eq!(name("ftp://node.example"), Err(UrlError::Scheme("ftp://node.example".into())));
        assert!(matches!(name("nonsense"), Err(UrlError::Malformed(_))));
    }

    #[test]
    fn replies_say_what_is_wrong() {
        let result =
            |json: &str| parse(json.as_bytes()).map(|mut replies| replies.remove(0).result());
        assert_eq!(result(r#"{"id":1,"result":"0x1"}"#), Ok(Ok(json!("0x1"))));
        let reverted = r#"{"id":1,"error":{"code":3,"message":"reverted","data":"0xabcd"}}"#;
        let Ok(Err(RpcError::Refused { code: 3, data, .. })) = result(reverted) else {
            panic!("it is refused");
        };
        assert_eq!(data.as_deref(), Some("0xabcd"));
        let limited = r#"{"id":1,"error":{"code":-32005,"message":"slow down"}}"#;
        assert_eq!(result(limited), Ok(Err(RpcError::RateLimited(None))));
        for garbage in ["", "[", "{}x", "[1]", "null", "\"text\"", "\u{0}"] {
            assert!(matches!(result(garbage), Err(RpcError::Malformed(_))), "{garbage}");
        }
    }
}
