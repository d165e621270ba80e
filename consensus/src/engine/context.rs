//! The types that the engine is generic over.

use std::fmt;
use std::sync::Arc;

use arc_malachitebft_core_types as engine;
use borsh::{BorshDeserialize, BorshSerialize};
use engine::{LinearTimeouts, NilOrVal, Round, SignedMessage, VoteType, VotingPower};
use weft_types::{Address, BlockId, Committee, ProposedBlock, VoteKind};

use super::signing::Scheme;
use crate::leader::Rotation;

/// Weft, as the engine sees it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context;

/// A height.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
)]
pub struct Height(pub u64);

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl engine::Height for Height {
    const ZERO: Self = Self(0);
    const INITIAL: Self = Self(1);

    fn increment_by(&self, n: u64) -> Self {
        Self(self.0.saturating_add(n))
    }

    fn decrement_by(&self, n: u64) -> Option<Self> {
        self.0.checked_sub(n).map(Self)
    }

    fn as_u64(&self) -> u64 {
        self.0
    }
}

/// A validator's address. It serves as its public key as well: signatures recover to it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub struct ValidatorId(pub Address);

impl fmt::Display for ValidatorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl engine::Address for ValidatorId {}

/// A member of the committee.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validator {
    id: ValidatorId,
    seats: u64,
}

impl engine::Validator<Context> for Validator {
    fn address(&self) -> &ValidatorId {
        &self.id
    }

    fn public_key(&self) -> &ValidatorId {
        &self.id
    }

    fn voting_power(&self) -> VotingPower {
        self.seats
    }
}

/// The committee of a height and who proposes in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatorSet(Arc<Members>);

#[derive(Debug, PartialEq, Eq)]
struct Members {
    validators: Vec<Validator>,
    seats: u64,
    rotation: Rotation,
}

impl ValidatorSet {
    /// The set for a committee in which proposers rotate like this.
    pub fn new(committee: &Committee, rotation: Rotation) -> Self {
        let validators = committee
            .members()
            .iter()
            .map(|member| Validator { id: ValidatorId(member.address), seats: member.seats })
            .collect();
        Self(Arc::new(Members { validators, seats: committee.seats(), rotation }))
    }

    /// The proposer of a round.
    pub fn proposer(&self, height: u64, round: u32) -> &Validator {
        let index = usize::from(self.0.rotation.proposer(height, round));
        // A rotation deals indices of its committee, which has a member.
        self.0.validators.get(index).unwrap_or(&self.0.validators[0])
    }

    /// Whether an address is in the set.
    pub fn contains(&self, address: &Address) -> bool {
        engine::ValidatorSet::get_by_address(self, &ValidatorId(*address)).is_some()
    }
}

impl engine::ValidatorSet<Context> for ValidatorSet {
    fn count(&self) -> usize {
        self.0.validators.len()
    }

    fn total_voting_power(&self) -> VotingPower {
        self.0.seats
    }

    fn get_by_address(&self, address: &ValidatorId) -> Option<&Validator> {
        let index = self.0.validators.binary_search_by_key(address, |v| v.id).ok()?;
        self.0.validators.get(index)
    }

    fn get_by_index(&self, index: usize) -> Option<&Validator> {
        self.0.validators.get(index)
    }
}

/// A proposed block and its id, which commits to all of it.
#[derive(Clone, Debug)]
pub struct Value {
    id: BlockId,
    block: Arc<ProposedBlock>,
}

impl Value {
    /// The value that proposes a block; `None` unless the block's header commits to its
    /// observations, so that one id never names two values.
    pub fn new(block: ProposedBlock) -> Option<Self> {
        block.is_consistent().then(|| Self { id: block.header.id(), block: Arc::new(block) })
    }

    /// The block.
    pub fn block(&self) -> &ProposedBlock {
        &self.block
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Value {}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.id.cmp(&other.id)
    }
}

impl engine::Value for Value {
    type Id = BlockId;

    fn id(&self) -> BlockId {
        self.id
    }
}

/// A vote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vote {
    /// Prevote or precommit.
    pub kind: VoteType,
    /// The height.
    pub height: Height,
    /// The round.
    pub round: Round,
    /// The block, or nil.
    pub value: NilOrVal<BlockId>,
    /// Who votes.
    pub voter: ValidatorId,
}

impl Vote {
    /// Weft's own form of it; `None` for a vote outside any round, which nobody casts.
    pub fn plain(&self) -> Option<weft_types::Vote> {
        let kind = match self.kind {
            VoteType::Prevote => VoteKind::Prevote,
            VoteType::Precommit => VoteKind::Precommit,
        };
        let block = match self.value {
            NilOrVal::Nil => None,
            NilOrVal::Val(id) => Some(id),
        };
        let round = self.round.as_u32()?;
        Some(weft_types::Vote { kind, height: self.height.0, round, block })
    }

    /// The engine's form of a vote.
    pub fn from_plain(vote: weft_types::Vote, voter: Address) -> Self {
        Self {
            kind: match vote.kind {
                VoteKind::Prevote => VoteType::Prevote,
                VoteKind::Precommit => VoteType::Precommit,
            },
            height: Height(vote.height),
            round: Round::new(vote.round),
            value: vote.block.map_or(NilOrVal::Nil, NilOrVal::Val),
            voter: ValidatorId(voter),
        }
    }
}

impl engine::Vote<Context> for Vote {
    fn height(&self) -> Height {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &NilOrVal<BlockId> {
        &self.value
    }

    fn take_value(self) -> NilOrVal<BlockId> {
        self.value
    }

    fn vote_type(&self) -> VoteType {
        self.kind
    }

    fn validator_address(&self) -> &ValidatorId {
        &self.voter
    }

    // Weft uses no vote extensions: no height asks for them.
    fn extension(&self) -> Option<&SignedMessage<Context, ()>> {
        None
    }

    fn take_extension(&mut self) -> Option<SignedMessage<Context, ()>> {
        None
    }

    fn extend(self, _: SignedMessage<Context, ()>) -> Self {
        self
    }
}

/// A proposal. It carries the whole value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The height.
    pub height: Height,
    /// The round.
    pub round: Round,
    /// The round in which a quorum prevoted the value, if it is proposed again.
    pub pol_round: Round,
    /// The value.
    pub value: Value,
    /// Who proposes.
    pub proposer: ValidatorId,
}

impl Proposal {
    /// What of it is signed; `None` for a proposal outside any round, which nobody makes.
    pub fn plain(&self) -> Option<weft_types::Proposal> {
        Some(weft_types::Proposal {
            height: self.height.0,
            round: self.round.as_u32()?,
            block: engine::Value::id(&self.value),
            pol_round: self.pol_round.as_u32(),
        })
    }
}

impl engine::Proposal<Context> for Proposal {
    fn height(&self) -> Height {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &Value {
        &self.value
    }

    fn take_value(self) -> Value {
        self.value
    }

    fn pol_round(&self) -> Round {
        self.pol_round
    }

    fn validator_address(&self) -> &ValidatorId {
        &self.proposer
    }
}

/// Proposal parts, of which there are none: the type has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoPart {}

impl engine::ProposalPart<Context> for NoPart {
    fn is_first(&self) -> bool {
        match *self {}
    }

    fn is_last(&self) -> bool {
        match *self {}
    }
}

impl engine::Context for Context {
    type Address = ValidatorId;
    type Height = Height;
    type ProposalPart = NoPart;
    type Proposal = Proposal;
    type Validator = Validator;
    type ValidatorSet = ValidatorSet;
    type Timeouts = LinearTimeouts;
    type Value = Value;
    type Vote = Vote;
    type Extension = ();
    type SigningScheme = Scheme;

    fn select_proposer<'a>(
        &self,
        validator_set: &'a ValidatorSet,
        height: Height,
        round: Round,
    ) -> &'a Validator {
        validator_set.proposer(height.0, round.as_u32().unwrap_or(0))
    }

    fn new_proposal(
        &self,
        height: Height,
        round: Round,
        value: Value,
        pol_round: Round,
        proposer: ValidatorId,
    ) -> Proposal {
        Proposal { height, round, pol_round, value, proposer }
    }

    fn new_prevote(
        &self,
        height: Height,
        round: Round,
        value: NilOrVal<BlockId>,
        voter: ValidatorId,
    ) -> Vote {
        Vote { kind: VoteType::Prevote, height, round, value, voter }
    }

    fn new_precommit(
        &self,
        height: Height,
        round: Round,
        value: NilOrVal<BlockId>,
        voter: ValidatorId,
    ) -> Vote {
        Vote { kind: VoteType::Precommit, height, round, value, voter }
    }
}
