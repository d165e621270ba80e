//! A method's parameters.

use alloy_eips::{BlockId, BlockNumberOrTag};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::RpcError;

/// The parameters of a call, by place.
#[derive(Clone, Debug)]
pub struct Params(pub Vec<Value>);

impl Params {
    /// A parameter that has to be there.
    pub fn get<T: DeserializeOwned>(&self, place: usize) -> Result<T, RpcError> {
        self.optional(place)?
            .ok_or_else(|| RpcError::params(format!("missing value for required argument {place}")))
    }

    /// A parameter that may be missing or null.
    pub fn optional<T: DeserializeOwned>(&self, place: usize) -> Result<Option<T>, RpcError> {
        match self.0.get(place) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => T::deserialize(value)
                .map(Some)
                .map_err(|error| RpcError::params(format!("invalid argument {place}: {error}"))),
        }
    }

    /// A block, the last one if none is named.
    pub fn block(&self, place: usize) -> Result<BlockId, RpcError> {
        Ok(self.optional(place)?.unwrap_or(BlockId::Number(BlockNumberOrTag::Latest)))
    }
}
