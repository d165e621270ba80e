//! Decided blocks for peers that are behind.

use arc_malachitebft_sync::RawDecidedValue;
use bytes::Bytes;
use weft_consensus::engine::{Context, convert};
use weft_types::Height;

use crate::chain::Chain;

/// Most bytes of blocks given to a peer at once, unless one alone has more.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// The blocks from `first` to `last` and their certificates, as far as they are there and fit.
/// Reads the disk.
pub fn decided_values(chain: &Chain, first: Height, last: Height) -> Vec<RawDecidedValue<Context>> {
    let mut values = Vec::new();
    let mut bytes = 0;
    for height in first..=last {
        let (block, certificate) = (chain.log().block_bytes(height), chain.certificate(height));
        let (Ok(Some(block)), Ok(Some(certificate))) = (block, certificate) else { break };
        bytes += block.len();
        if bytes > MAX_BYTES && !values.is_empty() {
            break;
        }
        let committee = chain.committee(height);
        let Some(certificate) = convert::sync_certificate(&certificate, &committee) else { break };
        values.push(RawDecidedValue::new(Bytes::from(block), certificate));
    }
    values
}
