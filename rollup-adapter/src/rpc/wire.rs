//! JSON-RPC 2.0 itself: requests, batches, answers. Pure.

use serde::Serialize;
use serde_json::{Value, json};

use super::error::RpcError;

/// A call to answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// What to answer it with; `None` for a notification, which is not answered.
    pub id: Option<Value>,
    /// The method.
    pub method: String,
    /// Its parameters.
    pub params: Vec<Value>,
}

/// What a client has sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Incoming {
    /// One call, or why it is none.
    Single(Result<Call, Bad>),
    /// Several calls.
    Batch(Vec<Result<Call, Bad>>),
}

/// Something that is no call, and what it is answered with.
#[derive(Clone, Debug, PartialEq)]
pub struct Bad {
    /// Its id, as far as it has one.
    pub id: Value,
    /// What is wrong.
    pub error: RpcError,
}

/// Reads what a client has sent.
pub fn read(bytes: &[u8], max_batch: usize) -> Incoming {
    let bad = |error| Incoming::Single(Err(Bad { id: Value::Null, error }));
    match serde_json::from_slice(bytes) {
        Err(_) => bad(RpcError::parse()),
        Ok(Value::Array(calls)) if calls.is_empty() => bad(RpcError::request("empty batch")),
        Ok(Value::Array(calls)) if calls.len() > max_batch => {
            bad(RpcError::limit(format!("batch of {} calls, at most {max_batch}", calls.len())))
        }
        Ok(Value::Array(calls)) => Incoming::Batch(calls.into_iter().map(call).collect()),
        Ok(value) => Incoming::Single(call(value)),
    }
}

fn call(value: Value) -> Result<Call, Bad> {
    let Value::Object(mut fields) = value else {
        return Err(Bad { id: Value::Null, error: RpcError::request("a call is an object") });
    };
    let id = fields.remove("id");
    let bad = |message: &str| {
        let id = id.clone().filter(is_id).unwrap_or(Value::Null);
        Err(Bad { id, error: RpcError::request(message) })
    };
    if id.as_ref().is_some_and(|id| !is_id(id)) {
        return bad("an id is a string, a number or null");
    }
    if fields.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return bad("expected \"jsonrpc\": \"2.0\"");
    }
    let Some(Value::String(method)) = fields.remove("method") else {
        return bad("a call has a method");
    };
    let params = match fields.remove("params") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(params)) => params,
        Some(_) => return bad("params are an array"),
    };
    Ok(Call { id, method, params })
}

fn is_id(id: &Value) -> bool {
    matches!(id, Value::String(_) | Value::Number(_) | Value::Null)
}

/// An answer.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    jsonrpc: &'static str,
    id: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<RpcError>,
}

impl Answer {
    /// The answer to a call.
    pub fn new(id: Value, result: Result<Value, RpcError>) -> Self {
        let (result, error) = match result {
            Ok(result) => (Some(result), None),
            Err(error) => (None, Some(error)),
        };
        Self { jsonrpc: "2.0", id, result, error }
    }
}

impl From<Bad> for Answer {
    fn from(bad: Bad) -> Self {
        Self::new(bad.id, Err(bad.error))
    }
}

/// What a subscriber is told.
pub fn notification(subscription: &str, result: &Value) -> Value {
    json!({
        "jsonrpc": "2.0",
        "method": "eth_subscription",
        "params": { "subscription": subscription, "result": result },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn error_of(text: &str) -> i64 {
        match read(text.as_bytes(), 2) {
            Incoming::Single(Err(bad)) => bad.error.code,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn tells_calls_from_what_is_none() {
        let call = br#"{"jsonrpc":"2.0","id":7,"method":"m","params":[1]}"#;
        let expected = Call { id: Some(json!(7)), method: "m".into(), params: vec![json!(1)] };
        assert_eq!(read(call, 2), Incoming::Single(Ok(expected)));
        assert_eq!(error_of("{"), -32700);
        assert_eq!(error_of("[]"), -32600);
        assert_eq!(error_of("[1,2,3]"), -32005);
        assert_eq!(error_of("1"), -32600);
        assert_eq!(error_of(r#"{"jsonrpc":"1.0","id":1,"method":"m"}"#), -32600);
        assert_eq!(error_of(r#"{"jsonrpc":"2.0","id":{},"method":"m"}"#), -32600);
        assert_eq!(error_of(r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{}}"#), -32600);
        let Incoming::Batch(batch) = read(b"[1, {}]", 2) else { panic!() };
        assert!(batch.iter().all(Result::is_err));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes: Vec<u8>) {
            let _ = read(&bytes, 10);
        }
    }
}
