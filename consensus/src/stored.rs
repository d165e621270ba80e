//! A block with everything it is made of: what goes into the log and comes by sync.

use std::sync::Arc;

use borsh::BorshSerialize;
use weft_types::observation::ObservationError;
use weft_types::{
    Batch, Block, Committee, Observation, ObservationSet, ProposedBlock, Unverified, Verified,
    batch::BatchError,
};

/// A block with everything it is made of, each part checked by itself. Whether the parts make this
/// block is for [`judge`](crate::validity::judge) to say.
#[derive(Clone, Debug)]
pub struct StoredBlock {
    /// The block as proposed.
    pub value: ProposedBlock,
    /// Its observations, in its order.
    pub observations: Vec<Verified<Observation>>,
    /// Its batches, in its order.
    pub batches: Vec<Arc<Verified<Batch>>>,
}

/// Why bytes are no block.
#[derive(Debug, thiserror::Error)]
pub enum StoredBlockError {
    /// Not the encoding of one.
    #[error("malformed: {0}")]
    Malformed(#[from] std::io::Error),
    /// An observation that does not check.
    #[error("observation: {0}")]
    Observation(#[from] ObservationError),
    /// A batch that does not check.
    #[error("batch: {0}")]
    Batch(#[from] BatchError),
}

impl StoredBlock {
    /// The borsh of the [`Block`] it is.
    pub fn encode(&self) -> std::io::Result<Vec<u8>> {
        let plain = self.observations.iter().map(|o| (**o).clone()).collect();
        let set = ObservationSet::new(plain)
            .map_err(|e| std::io::Error::new(std::io::ErrorKind::InvalidInput, e))?;
        let mut bytes = Vec::new();
        self.value.header.serialize(&mut bytes)?;
        set.serialize(&mut bytes)?;
        let count = u32::try_from(self.batches.len()).map_err(std::io::Error::other)?;
        count.serialize(&mut bytes)?;
        for batch in &self.batches {
            let batch: &Batch = batch;
            batch.serialize(&mut bytes)?;
        }
        Ok(bytes)
    }

    /// Decodes a block and checks every signature in it.
    pub fn decode(
        bytes: &[u8],
        chain_id: u64,
        committee: &Committee,
    ) -> Result<Self, StoredBlockError> {
        Self::check(borsh::from_slice(bytes)?, chain_id, committee)
    }

    /// Checks every signature in a block.
    pub fn check(
        block: Block,
        chain_id: u64,
        committee: &Committee,
    ) -> Result<Self, StoredBlockError> {
        let observations = block
            .observations
            .as_slice()
            .iter()
            .map(|o| Unverified::new(o.clone()).verify((chain_id, committee)))
            .collect::<Result<Vec<_>, _>>()?;
        let batches = block
            .batches
            .into_iter()
            .map(|batch| Unverified::new(batch).verify(chain_id).map(Arc::new))
            .collect::<Result<_, _>>()?;
        let hashes = observations.iter().map(|o| *o.witness()).collect();
        let value = ProposedBlock { header: block.header, observations: hashes };
        Ok(Self { value, observations, batches })
    }
}
