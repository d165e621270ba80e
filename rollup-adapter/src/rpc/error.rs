//! Errors, with the codes that wallets know.

use alloy_primitives::Bytes;
use serde::Serialize;
use serde_json::Value;

use crate::evm::call::CallError;
use crate::evm::chain::ChainError;
use crate::evm::external::EngineError;
use crate::evm::store::StoreError;
use crate::gateway::Refusal;

/// A JSON-RPC error.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RpcError {
    /// What kind of error.
    pub code: i64,
    /// What is wrong.
    pub message: String,
    /// More about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

/// The code of an execution that reverted; its data is what it reverted with.
pub const REVERTED: i64 = 3;
/// The code of most errors of a node.
pub const SERVER: i64 = -32000;
/// The code of a limit that is reached.
pub const LIMIT: i64 = -32005;

impl RpcError {
    /// An error with a code.
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    /// The request is not JSON.
    pub fn parse() -> Self {
        Self::new(-32700, "parse error")
    }

    /// The request is no JSON-RPC request.
    pub fn request(message: impl Into<String>) -> Self {
        Self::new(-32600, message)
    }

    /// There is no such method.
    pub fn method(name: &str) -> Self {
        let name: String = name.chars().take(100).collect();
        Self::new(-32601, format!("the method {name} does not exist/is not available"))
    }

    /// A parameter is wrong.
    pub fn params(message: impl Into<String>) -> Self {
        Self::new(-32602, message)
    }

    /// Something is wrong here.
    pub fn internal(error: impl std::fmt::Display) -> Self {
        tracing::error!(%error, "rpc");
        Self::new(-32603, error.to_string())
    }

    /// What a node cannot do.
    pub fn server(message: impl Into<String>) -> Self {
        Self::new(SERVER, message)
    }

    /// A limit is reached.
    pub fn limit(message: impl Into<String>) -> Self {
        Self::new(LIMIT, message)
    }

    /// A block that is not there.
    pub fn no_block() -> Self {
        Self::server("header not found")
    }

    fn reverted(output: &Bytes) -> Self {
        let message = match revert_reason(output) {
            Some(reason) => format!("execution reverted: {reason}"),
            None => "execution reverted".to_owned(),
        };
        Self { code: REVERTED, message, data: Some(Value::String(output.to_string())) }
    }
}

impl From<StoreError> for RpcError {
    fn from(error: StoreError) -> Self {
        Self::internal(error)
    }
}

impl From<ChainError> for RpcError {
    fn from(error: ChainError) -> Self {
        match error {
            ChainError::Engine(error) => error.into(),
            error => Self::internal(error),
        }
    }
}

impl From<EngineError> for RpcError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Rpc { code, message, data } => Self { code, message, data },
            error => Self::new(-32603, error.to_string()),
        }
    }
}

impl From<CallError> for RpcError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Reverted(output) => Self::reverted(&output),
            CallError::Store(error) => error.into(),
            error => Self::server(error.to_string()),
        }
    }
}

impl From<Refusal> for RpcError {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            Refusal::Storage(_) | Refusal::Unavailable(_) => Self::internal(message),
            refusal if refusal.is_overload() => Self::limit(message),
            _ => Self::server(message),
        }
    }
}

/// The reason inside `Error(string)`, or what a `Panic(uint256)` code means.
fn revert_reason(output: &[u8]) -> Option<String> {
    const MAX_REASON: usize = 4096;
    let (selector, arguments) = output.split_first_chunk::<4>()?;
    match selector {
        [0x08, 0xc3, 0x79, 0xa0] => {
            let word = |at: usize| -> Option<usize> {
                let bytes = arguments.get(at..at.checked_add(32)?)?;
                if bytes[..24].iter().any(|byte| *byte != 0) {
                    return None;
                }
                usize::try_from(u64::from_be_bytes(bytes[24..].try_into().ok()?)).ok()
            };
            let at = word(0)?;
            let length = word(at)?.min(MAX_REASON);
            let from = at.checked_add(32)?;
            let text = arguments.get(from..from.checked_add(length)?)?;
            Some(String::from_utf8_lossy(text).into_owned())
        }
        [0x4e, 0x48, 0x7b, 0x71] => {
            let code = arguments.get(..32)?;
            if code[..31].iter().any(|byte| *byte != 0) {
                return None;
            }
            let meaning = match code[31] {
                0x01 => "assert(false)",
                0x11 => "arithmetic underflow or overflow",
                0x12 => "division or modulo by zero",
                0x21 => "enum overflow",
                0x22 => "invalid encoded storage byte array accessed",
                0x31 => "out-of-bounds array access; popping on an empty array",
                0x32 => "out-of-bounds access of an array or bytesN",
                0x41 => "out of memory",
                0x51 => "uninitialized function",
                code => return Some(format!("unknown panic code: {code:#x}")),
            };
            Some(meaning.to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_reasons() {
        let mut output = vec![0x08, 0xc3, 0x79, 0xa0];
        output.extend([0; 31]);
        output.push(32);
        output.extend([0; 31]);
        output.push(3);
        output.extend(b"no!");
        output.extend([0; 29]);
        let error = RpcError::reverted(&output.into());
        assert_eq!((error.code, error.message.as_str()), (3, "execution reverted: no!"));
        assert!(error.data.is_some());
        let mut panic = vec![0x4e, 0x48, 0x7b, 0x71];
        panic.extend([0; 31]);
        panic.push(0x11);
        assert_eq!(revert_reason(&panic).as_deref(), Some("arithmetic underflow or overflow"));
        assert_eq!(RpcError::reverted(&Bytes::new()).message, "execution reverted");
    }

    proptest! {
        #[test]
        fn garbage_never_panics(tail: Vec<u8>, panic: bool) {
            let selector =
                if panic { [0x4e, 0x48, 0x7b, 0x71] } else { [0x08, 0xc3, 0x79, 0xa0] };
            let _ = revert_reason(&[selector.as_slice(), &tail].concat());
        }
    }
}
