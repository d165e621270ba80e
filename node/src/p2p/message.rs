//! What nodes say to each other, beside sync.
//!
//! Two one-way streams lead to each peer. The urgent one carries small things that a height waits
//! for; the bulk one carries batches and forwarded transactions, so that these never stand in the
//! way of a vote. On each, every frame is a u32 length and borsh; the first frame of the urgent
//! stream is a [`Hello`].

use borsh::{BorshDeserialize, BorshSerialize};
use libp2p::PeerId;
use weft_consensus::engine::codec::ConsensusMessage;
use weft_types::hash::keccak256;
use weft_types::limits::MAX_COMMITTEE;
use weft_types::{
    Address, B256, Batch, BatchDigest, BlockId, EventsDigest, Height, L1Events, Observation,
    ObservationHash, SecretKey, Signature, Slot, Transaction,
};

/// Version of what is said here. Nodes of different versions do not talk.
pub const WIRE_VERSION: u16 = 2;

/// Largest urgent frame: a round certificate of the largest committee, or a full observation.
pub const MAX_URGENT_FRAME: usize = 256 * 1024;

/// Largest bulk frame: a largest batch and its framing.
pub const MAX_BULK_FRAME: usize = weft_types::limits::MAX_BATCH_BYTES + 1024;

/// Longest agent string.
pub const MAX_AGENT: usize = 64;

/// Most transactions forwarded in one frame.
pub const MAX_FORWARDED: usize = 1024;

/// Who a node is and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Hello {
    /// [`WIRE_VERSION`].
    pub version: u16,
    /// The genesis block: which network it is on.
    pub genesis: BlockId,
    /// Name and version of its software.
    pub agent: String,
    /// The last height it has decided.
    pub tip: Height,
    /// Proof that it runs a validator, if it does.
    pub validator: Option<PeerProof>,
}

/// A validator's word that a peer id is its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PeerProof {
    /// The validator.
    pub address: Address,
    /// Its signature over the peer id, in slot *peer* (protocol section 3).
    pub signature: Signature,
}

impl PeerProof {
    /// Vouches for a peer id.
    pub fn new(key: &SecretKey, chain_id: u64, peer: &PeerId) -> Self {
        Self { address: key.address(), signature: key.sign(peer_hash(chain_id, peer)) }
    }

    /// Whether the validator vouches for the peer id.
    pub fn holds(&self, chain_id: u64, peer: &PeerId) -> bool {
        self.signature.check(peer_hash(chain_id, peer), self.address).is_ok()
    }
}

fn peer_hash(chain_id: u64, peer: &PeerId) -> B256 {
    Slot::Peer.signing_hash(chain_id, keccak256(&[&peer.to_bytes()]))
}

/// A frame of the urgent stream.
#[derive(Clone, Debug, PartialEq, BorshSerialize, BorshDeserialize)]
pub enum Urgent {
    /// The first frame, and no other.
    Hello(Hello),
    /// What the engine's sync wants peers to know of this node: opaque to the network.
    Status(Vec<u8>),
    /// The engine's own messages, between validators.
    Consensus(ConsensusMessage),
    /// The same, sent again since the height is slow: whoever gets it passes it on.
    Again(ConsensusMessage),
    /// An observation, between validators.
    Observation(Observation),
    /// Validators that the sender is connected to, at most [`MAX_INTRODUCED`]: so that each finds
    /// all others.
    Validators(Vec<Introduction>),
}

/// Where a validator can be reached, by somebody else's word.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Introduction {
    /// Its peer id.
    pub peer: Vec<u8>,
    /// Its own word that this is its peer id.
    pub proof: PeerProof,
    /// Multiaddrs in binary, at most [`MAX_ADDRESSES`] of at most [`MAX_ADDRESS`] bytes. Whoever
    /// answers there has to prove that it has the peer id.
    pub addresses: Vec<Vec<u8>>,
}

/// Most validators introduced at once: two full committees.
pub const MAX_INTRODUCED: usize = 2 * MAX_COMMITTEE;

/// Most addresses of one peer.
pub const MAX_ADDRESSES: usize = 4;

/// Longest address, in bytes.
pub const MAX_ADDRESS: usize = 96;

/// A frame of the bulk stream.
#[derive(Clone, Debug, PartialEq, BorshSerialize, BorshDeserialize)]
pub enum Bulk {
    /// A batch, from its author to every validator.
    Batch(Batch),
    /// Transactions that a full node passes on to a validator, at most [`MAX_FORWARDED`].
    Transactions(Vec<Transaction>),
}

/// Asks a validator for what it names.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum FetchRequest {
    /// Batches, at most [`MAX_FETCH`].
    Batches(Vec<BatchDigest>),
    /// Observations, at most [`MAX_FETCH`].
    Observations(Vec<ObservationHash>),
    /// Events of L1 blocks, at most [`MAX_FETCH`].
    Events(Vec<EventsDigest>),
}

/// What the asked one has of it.
#[derive(Clone, Debug, PartialEq, BorshSerialize, BorshDeserialize)]
pub enum FetchResponse {
    /// Batches.
    Batches(Vec<Batch>),
    /// Observations.
    Observations(Vec<Observation>),
    /// Events of L1 blocks.
    Events(Vec<L1Events>),
}

/// Most items in one fetch. Fewer come back if they would exceed [`MAX_FETCH_RESPONSE`].
pub const MAX_FETCH: usize = 256;

/// Largest fetch request.
pub const MAX_FETCH_REQUEST: usize = 64 + 32 * MAX_FETCH;

/// Largest fetch response: some largest batches.
pub const MAX_FETCH_RESPONSE: usize = 2 * 1024 * 1024;

impl FetchRequest {
    /// How many items are asked for.
    pub fn len(&self) -> usize {
        match self {
            Self::Batches(list) => list.len(),
            Self::Observations(list) => list.len(),
            Self::Events(list) => list.len(),
        }
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
