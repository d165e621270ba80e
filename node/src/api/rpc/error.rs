//! Errors of the JSON-RPC API.

use serde::Serialize;
use serde_json::{Value, json};

use crate::api::Problem;
use crate::chain::ChainError;

/// Why a call has no result.
#[derive(Clone, Debug, Serialize)]
pub struct RpcError {
    /// By JSON-RPC 2.0, and -32000 for what the node does not want, -32005 for too much.
    pub code: i32,
    /// What is wrong.
    pub message: String,
    /// The problem document of the same, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

impl RpcError {
    pub(super) fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    /// A parameter that is wrong.
    pub(super) fn params(name: &str, what: impl std::fmt::Display) -> Self {
        Self::new(-32602, format!("{name}: {what}"))
    }
}

impl From<Problem> for RpcError {
    fn from(problem: Problem) -> Self {
        let code = match problem.status {
            429 => -32005,
            400 => -32602,
            500.. => -32603,
            _ => -32000,
        };
        let field = problem.field.as_deref().map(|field| format!("{field}: ")).unwrap_or_default();
        Self { code, message: format!("{field}{}", problem.detail), data: Some(json!(problem)) }
    }
}

impl From<ChainError> for RpcError {
    fn from(error: ChainError) -> Self {
        Problem::from(error).into()
    }
}
