//! JSON-RPC 2.0 itself: requests, batches, answers. Pure.

use serde::Serialize;
use serde_json::{Value, json};

use super::error::RpcError;

/// An answer of up to so many bytes is never too large for a batch.
const SMALL_ANSWER: usize = 1024;

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

impl Answer {
    /// It as JSON.
    pub fn text(&self) -> String {
        // Nothing in an answer can fail to become JSON: keys are strings.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl From<Bad> for Answer {
    fn from(bad: Bad) -> Self {
        Self::new(bad.id, Err(bad.error))
    }
}

/// The answers of a batch as they come, up to so many bytes of JSON.
#[derive(Debug)]
pub struct Answers {
    text: String,
    limit: usize,
    is_full: bool,
}

impl Answers {
    /// None yet.
    pub fn new(limit: usize) -> Self {
        Self { text: String::new(), limit, is_full: false }
    }

    /// Whether one of them was too large for what was left: nothing more should be looked up.
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// Adds an answer, or an error in place of one that is too large for what is left. A
    /// small one is always added, so that every call has an answer.
    pub fn push(&mut self, answer: Answer) {
        let text = answer.text();
        let fits = self.text.len().saturating_add(text.len()) <= self.limit;
        self.text.push(if self.text.is_empty() { '[' } else { ',' });
        if fits || text.len() <= SMALL_ANSWER {
            self.text.push_str(&text);
        } else {
            self.is_full = true;
            self.text.push_str(&Answer::new(answer.id, Err(self.too_large())).text());
        }
    }

    /// The error of a call that is not answered for lack of room.
    pub fn too_large(&self) -> RpcError {
        RpcError::limit(format!(
            "the batch's answers have more than {} bytes: ask for less at a time",
            self.limit
        ))
    }

    /// All of them, as JSON; `None` if there are none.
    pub fn finish(mut self) -> Option<String> {
        if self.text.is_empty() {
            return None;
        }
        self.text.push(']');
        Some(self.text)
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

    #[test]
    fn senseless_depth_is_no_json() {
        assert_eq!(error_of(&"[".repeat(100_000)), -32700);
        assert_eq!(error_of(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))), -32700);
        assert_eq!(error_of(""), -32700);
        assert_eq!(error_of("{}"), -32600);
    }

    #[test]
    fn what_is_too_large_for_a_batch_is_answered_with_an_error() {
        assert_eq!(Answers::new(10).finish(), None);
        let mut answers = Answers::new(2 * SMALL_ANSWER);
        answers.push(Answer::new(json!(1), Ok(json!("small"))));
        assert!(!answers.is_full());
        answers.push(Answer::new(json!(2), Ok(json!("x".repeat(2 * SMALL_ANSWER)))));
        assert!(answers.is_full());
        answers.push(Answer::new(json!(3), Err(answers.too_large())));
        let text = answers.finish().unwrap();
        let read: Vec<Value> = serde_json::from_str(&text).unwrap();
        assert_eq!(read[0]["result"], json!("small"));
        for (place, answer) in read.iter().enumerate().skip(1) {
            assert_eq!(answer["id"], json!(place + 1));
            assert_eq!(answer["error"]["code"], json!(-32005));
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes: Vec<u8>) {
            let _ = read(&bytes, 10);
        }
    }
}
