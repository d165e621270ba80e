//! A block with everything it is made of: what goes into the log and comes by sync.

use std::sync::Arc;

use borsh::BorshSerialize;
use weft_types::observation::ObservationError;
use weft_types::{
    Batch, Block, Committee, L1Events, Observation, ObservationSet, ProposedBlock, Unverified,
    Verified, Verify, batch::BatchError, l1::EventsError,
};

/// A block with everything it is made of, each part checked by itself. Whether the parts make this
/// block is for [`judge`](crate::validity::judge) to say.
#[derive(Clone, Debug)]
pub struct StoredBlock {
    /// The block as proposed.
    pub value: ProposedBlock,
    /// Its observations, in its order.
    pub observations: Vec<Verified<Observation>>,
    /// What the L1 blocks brought that it passes, in their order.
    pub events: Vec<Arc<Verified<L1Events>>>,
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
    /// Events that do not check.
    #[error("events: {0}")]
    Events(#[from] EventsError),
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
        write_list(&self.events, &mut bytes)?;
        write_list(&self.batches, &mut bytes)?;
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
        let events = block
            .events
            .into_iter()
            .map(|events| Unverified::new(events).verify(()).map(Arc::new))
            .collect::<Result<_, _>>()?;
        let batches = block
            .batches
            .into_iter()
            .map(|batch| Unverified::new(batch).verify(chain_id).map(Arc::new))
            .collect::<Result<_, _>>()?;
        let hashes = observations.iter().map(|o| *o.witness()).collect();
        let value = ProposedBlock { header: block.header, observations: hashes };
        Ok(Self { value, observations, events, batches })
    }
}

/// The borsh of a list of checked things.
fn write_list<T: Verify + BorshSerialize>(
    list: &[Arc<Verified<T>>],
    out: &mut Vec<u8>,
) -> std::io::Result<()> {
    u32::try_from(list.len()).map_err(std::io::Error::other)?.serialize(out)?;
    list.iter().try_for_each(|item| (***item).serialize(out))
}
