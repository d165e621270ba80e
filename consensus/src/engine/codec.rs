//! borsh for what the engine sends, syncs and logs.
//!
//! The wire types are Weft's own, with conversions both ways: what peers can send is a closed set,
//! decoded strictly, and nothing of the engine's internals is part of the protocol.

use arc_malachitebft_codec as codec;
use arc_malachitebft_core_consensus::{LivenessMsg, ProposedValue, SignedConsensusMsg};
use arc_malachitebft_core_types as engine;
use arc_malachitebft_sync as sync;
use borsh::{BorshDeserialize, BorshSerialize};
use bytes::Bytes;
use engine::{
    ExtendedCommitCertificate, ExtendedCommitSignature, PolkaCertificate, PolkaSignature, Round,
    RoundCertificate, RoundCertificateType, RoundSignature, SignedMessage, Validity,
};
use weft_types::limits::MAX_COMMITTEE;
use weft_types::{Address, BlockId, ProposedBlock, Signature};

use super::context::{Context, Height, Proposal, ValidatorId, Value, Vote};

/// The codec for everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Codec;

/// Why bytes are no message, or a message no bytes.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// Not borsh of the type.
    #[error("malformed: {0}")]
    Malformed(#[from] std::io::Error),
    /// A proposed block whose header does not commit to its observations.
    #[error("the header does not commit to the observations")]
    Inconsistent,
    /// A list longer than any committee.
    #[error("{0} signatures")]
    TooMany(usize),
    /// A vote or proposal outside any round.
    #[error("no round")]
    NoRound,
    /// A part of a proposal: Weft's fit in one message.
    #[error("proposals have no parts")]
    Part,
}

/// A signed vote.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct VoteMessage {
    /// The vote.
    pub vote: weft_types::Vote,
    /// Who claims to have signed it.
    pub voter: Address,
    /// The signature.
    pub signature: Signature,
}

/// A signed proposal with its block.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ProposalMessage {
    /// The round it is made in.
    pub round: u32,
    /// The round in which a quorum prevoted it, if it is made again.
    pub pol_round: Option<u32>,
    /// What is proposed. Its header says for which height.
    pub block: ProposedBlock,
    /// Who claims to have signed it.
    pub proposer: Address,
    /// The signature.
    pub signature: Signature,
}

/// A quorum's prevotes for a block.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PolkaMessage {
    /// The height.
    pub height: u64,
    /// The round.
    pub round: u32,
    /// The block.
    pub block: BlockId,
    /// Voters and their signatures.
    pub signatures: Vec<(Address, Signature)>,
}

/// Votes that justify entering a round.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RoundMessage {
    /// The height.
    pub height: u64,
    /// The round of the votes.
    pub round: u32,
    /// Whether they are a quorum's precommits of the round before, rather than enough votes of a
    /// later one.
    pub precommits: bool,
    /// The votes: kind and block with voter and signature.
    pub votes: Vec<VoteMessage>,
}

/// What validators tell each other about a height.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum ConsensusMessage {
    /// A vote. Boxed variants keep the common one small.
    Vote(VoteMessage),
    /// A proposal.
    Proposal(Box<ProposalMessage>),
    /// A polka, sent again when the height is slow.
    Polka(PolkaMessage),
    /// A round certificate, sent again when the height is slow.
    Round(RoundMessage),
}

impl ConsensusMessage {
    /// The height it is about.
    pub fn height(&self) -> u64 {
        match self {
            Self::Vote(message) => message.vote.height,
            Self::Proposal(message) => message.block.header.height,
            Self::Polka(message) => message.height,
            Self::Round(message) => message.height,
        }
    }

    /// From what the engine publishes.
    pub fn from_engine(message: &SignedConsensusMsg<Context>) -> Result<Self, CodecError> {
        match message {
            SignedConsensusMsg::Vote(vote) => vote_message(vote).map(Self::Vote),
            SignedConsensusMsg::Proposal(proposal) => {
                proposal_message(proposal).map(Box::new).map(Self::Proposal)
            }
        }
    }

    /// From what the engine publishes again when a height is slow.
    pub fn from_liveness(message: &LivenessMsg<Context>) -> Result<Self, CodecError> {
        match message {
            LivenessMsg::Vote(vote) => vote_message(vote).map(Self::Vote),
            LivenessMsg::PolkaCertificate(polka) => polka_message(polka).map(Self::Polka),
            LivenessMsg::SkipRoundCertificate(round) => round_message(round).map(Self::Round),
        }
    }
}

/// From the engine's vote.
fn vote_message(signed: &SignedMessage<Context, Vote>) -> Result<VoteMessage, CodecError> {
    let vote = signed.message.plain().ok_or(CodecError::NoRound)?;
    Ok(VoteMessage { vote, voter: signed.message.voter.0, signature: signed.signature })
}

/// To the engine's vote.
pub fn signed_vote(message: VoteMessage) -> SignedMessage<Context, Vote> {
    SignedMessage::new(Vote::from_plain(message.vote, message.voter), message.signature)
}

fn proposal_message(
    signed: &SignedMessage<Context, Proposal>,
) -> Result<ProposalMessage, CodecError> {
    let proposal = &signed.message;
    Ok(ProposalMessage {
        round: proposal.round.as_u32().ok_or(CodecError::NoRound)?,
        pol_round: proposal.pol_round.as_u32(),
        block: proposal.value.block().clone(),
        proposer: proposal.proposer.0,
        signature: signed.signature,
    })
}

/// To the engine's proposal, if the block is consistent.
pub fn signed_proposal(
    message: ProposalMessage,
) -> Result<SignedMessage<Context, Proposal>, CodecError> {
    // The signed form of "none".
    if message.pol_round == Some(u32::MAX) {
        return Err(CodecError::NoRound);
    }
    let value = Value::new(message.block).ok_or(CodecError::Inconsistent)?;
    let proposal = Proposal {
        height: Height(value.block().header.height),
        round: Round::new(message.round),
        pol_round: message.pol_round.map_or(Round::Nil, Round::new),
        value,
        proposer: ValidatorId(message.proposer),
    };
    Ok(SignedMessage::new(proposal, message.signature))
}

fn polka_message(polka: &PolkaCertificate<Context>) -> Result<PolkaMessage, CodecError> {
    Ok(PolkaMessage {
        height: polka.height.0,
        round: polka.round.as_u32().ok_or(CodecError::NoRound)?,
        block: polka.value_id,
        signatures: polka.polka_signatures.iter().map(|s| (s.address.0, s.signature)).collect(),
    })
}

/// To the engine's polka.
pub fn polka(message: PolkaMessage) -> Result<PolkaCertificate<Context>, CodecError> {
    let polka_signatures = bounded(message.signatures)?
        .into_iter()
        .map(|(voter, signature)| PolkaSignature::new(ValidatorId(voter), signature))
        .collect();
    Ok(PolkaCertificate {
        height: Height(message.height),
        round: Round::new(message.round),
        value_id: message.block,
        polka_signatures,
    })
}

fn round_message(certificate: &RoundCertificate<Context>) -> Result<RoundMessage, CodecError> {
    let round = certificate.round.as_u32().ok_or(CodecError::NoRound)?;
    let votes = certificate
        .votes(&Context)
        .map(|vote| vote_message(&vote))
        .collect::<Result<_, CodecError>>()?;
    Ok(RoundMessage {
        height: certificate.height.0,
        round,
        precommits: certificate.cert_type == RoundCertificateType::Precommit,
        votes,
    })
}

/// To the engine's round certificate. Votes of another height or round cannot be expressed in it:
/// they take the certificate's, and their signatures fail.
pub fn round(message: RoundMessage) -> Result<RoundCertificate<Context>, CodecError> {
    let round_signatures = bounded(message.votes)?
        .into_iter()
        .map(|vote| {
            let SignedMessage { message: vote, signature } = signed_vote(vote);
            RoundSignature::new(vote.kind, vote.value, vote.voter, signature)
        })
        .collect();
    Ok(RoundCertificate {
        height: Height(message.height),
        round: Round::new(message.round),
        cert_type: if message.precommits {
            RoundCertificateType::Precommit
        } else {
            RoundCertificateType::Skip
        },
        round_signatures,
    })
}

fn bounded<T>(list: Vec<T>) -> Result<Vec<T>, CodecError> {
    // A round certificate may hold a prevote and a precommit of each member.
    if list.len() > 2 * MAX_COMMITTEE { Err(CodecError::TooMany(list.len())) } else { Ok(list) }
}

/// A judged value, as the write-ahead log keeps it.
#[derive(BorshSerialize, BorshDeserialize)]
struct LoggedValue {
    height: u64,
    round: Option<u32>,
    valid_round: Option<u32>,
    proposer: Address,
    block: ProposedBlock,
    valid: bool,
}

/// A request for decided blocks.
#[derive(BorshSerialize, BorshDeserialize)]
struct SyncRequest {
    from: u64,
    to: u64,
}

/// Decided blocks, in order of height.
#[derive(BorshSerialize, BorshDeserialize)]
struct SyncResponse {
    from: u64,
    blocks: Vec<SyncedBlock>,
}

#[derive(BorshSerialize, BorshDeserialize)]
struct SyncedBlock {
    height: u64,
    round: u32,
    id: BlockId,
    signatures: Vec<(Address, Signature)>,
    block: Vec<u8>,
}

/// What a peer has decided.
#[derive(BorshSerialize, BorshDeserialize)]
struct SyncStatus {
    peer: Vec<u8>,
    tip: u64,
    from: u64,
}

fn to_bytes<T: BorshSerialize>(message: &T) -> Result<Bytes, CodecError> {
    Ok(Bytes::from(borsh::to_vec(message)?))
}

fn from_bytes<T: BorshDeserialize>(bytes: &Bytes) -> Result<T, CodecError> {
    Ok(borsh::from_slice(bytes)?)
}

impl codec::Codec<SignedConsensusMsg<Context>> for Codec {
    type Error = CodecError;

    fn decode(&self, bytes: Bytes) -> Result<SignedConsensusMsg<Context>, CodecError> {
        match from_bytes(&bytes)? {
            ConsensusMessage::Vote(vote) => Ok(SignedConsensusMsg::Vote(signed_vote(vote))),
            ConsensusMessage::Proposal(proposal) => {
                signed_proposal(*proposal).map(SignedConsensusMsg::Proposal)
            }
            ConsensusMessage::Polka(_) | ConsensusMessage::Round(_) => Err(CodecError::Part),
        }
    }

    fn encode(&self, message: &SignedConsensusMsg<Context>) -> Result<Bytes, CodecError> {
        to_bytes(&ConsensusMessage::from_engine(message)?)
    }
}

impl codec::Codec<LivenessMsg<Context>> for Codec {
    type Error = CodecError;

    fn decode(&self, bytes: Bytes) -> Result<LivenessMsg<Context>, CodecError> {
        match from_bytes(&bytes)? {
            ConsensusMessage::Vote(vote) => Ok(LivenessMsg::Vote(signed_vote(vote))),
            ConsensusMessage::Polka(message) => polka(message).map(LivenessMsg::PolkaCertificate),
            ConsensusMessage::Round(message) => {
                round(message).map(LivenessMsg::SkipRoundCertificate)
            }
            ConsensusMessage::Proposal(_) => Err(CodecError::Part),
        }
    }

    fn encode(&self, message: &LivenessMsg<Context>) -> Result<Bytes, CodecError> {
        to_bytes(&ConsensusMessage::from_liveness(message)?)
    }
}

impl codec::Codec<PolkaCertificate<Context>> for Codec {
    type Error = CodecError;

    fn decode(&self, bytes: Bytes) -> Result<PolkaCertificate<Context>, CodecError> {
        polka(from_bytes(&bytes)?)
    }

    fn encode(&self, polka: &PolkaCertificate<Context>) -> Result<Bytes, CodecError> {
        to_bytes(&polka_message(polka)?)
    }
}

impl codec::Codec<ProposedValue<Context>> for Codec {
    type Error = CodecError;

    fn decode(&self, bytes: Bytes) -> Result<ProposedValue<Context>, CodecError> {
        let logged: LoggedValue = from_bytes(&bytes)?;
        let round = |round: Option<u32>| round.map_or(Round::Nil, Round::new);
        Ok(ProposedValue {
            height: Height(logged.height),
            round: round(logged.round),
            valid_round: round(logged.valid_round),
            proposer: ValidatorId(logged.proposer),
            value: Value::new(logged.block).ok_or(CodecError::Inconsistent)?,
            validity: Validity::from_bool(logged.valid),
        })
    }

    fn encode(&self, value: &ProposedValue<Context>) -> Result<Bytes, CodecError> {
        to_bytes(&LoggedValue {
            height: value.height.0,
            round: value.round.as_u32(),
            valid_round: value.valid_round.as_u32(),
            proposer: value.proposer.0,
            block: value.value.block().clone(),
            valid: value.validity.is_valid(),
        })
    }
}

impl codec::Codec<sync::Status<Context>> for Codec {
    type Error = CodecError;

    fn decode(&self, bytes: Bytes) -> Result<sync::Status<Context>, CodecError> {
        let status: SyncStatus = from_bytes(&bytes)?;
        let peer_id = sync::PeerId::from_bytes(&status.peer).map_err(|_| {
            std::io::Error::new(std::io::ErrorKind::InvalidData, "malformed peer id")
        })?;
        let (tip_height, history_min_height) = (Height(status.tip), Height(status.from));
        Ok(sync::Status { peer_id, tip_height, history_min_height })
    }

    fn encode(&self, status: &sync::Status<Context>) -> Result<Bytes, CodecError> {
        to_bytes(&SyncStatus {
            peer: status.peer_id.to_bytes(),
            tip: status.tip_height.0,
            from: status.history_min_height.0,
        })
    }
}

impl codec::Codec<sync::Request<Context>> for Codec {
    type Error = CodecError;

    fn decode(&self, bytes: Bytes) -> Result<sync::Request<Context>, CodecError> {
        let request: SyncRequest = from_bytes(&bytes)?;
        let range = Height(request.from)..=Height(request.to);
        Ok(sync::Request::ValueRequest(sync::ValueRequest::new(range)))
    }

    fn encode(&self, request: &sync::Request<Context>) -> Result<Bytes, CodecError> {
        let sync::Request::ValueRequest(request) = request;
        let (from, to) = (request.range.start().0, request.range.end().0);
        to_bytes(&SyncRequest { from, to })
    }
}

impl codec::Codec<sync::Response<Context>> for Codec {
    type Error = CodecError;

    fn decode(&self, bytes: Bytes) -> Result<sync::Response<Context>, CodecError> {
        let response: SyncResponse = from_bytes(&bytes)?;
        let values = response
            .blocks
            .into_iter()
            .map(|block| {
                let commit_signatures = bounded(block.signatures)?
                    .into_iter()
                    .map(|(voter, signature)| {
                        ExtendedCommitSignature::new(ValidatorId(voter), signature, None)
                    })
                    .collect();
                let certificate = ExtendedCommitCertificate {
                    height: Height(block.height),
                    round: Round::new(block.round),
                    value_id: block.id,
                    commit_signatures,
                };
                Ok(sync::RawDecidedValue::new(Bytes::from(block.block), certificate))
            })
            .collect::<Result<_, CodecError>>()?;
        let start = Height(response.from);
        Ok(sync::Response::ValueResponse(sync::ValueResponse::new(start, values)))
    }

    fn encode(&self, response: &sync::Response<Context>) -> Result<Bytes, CodecError> {
        let sync::Response::ValueResponse(response) = response;
        let blocks = response
            .values
            .iter()
            .map(|value| {
                let certificate = &value.certificate;
                Ok(SyncedBlock {
                    height: certificate.height.0,
                    round: certificate.round.as_u32().ok_or(CodecError::NoRound)?,
                    id: certificate.value_id,
                    signatures: certificate
                        .commit_signatures
                        .iter()
                        .map(|s| (s.address.0, s.signature))
                        .collect(),
                    block: value.value_bytes.to_vec(),
                })
            })
            .collect::<Result<_, CodecError>>()?;
        to_bytes(&SyncResponse { from: response.start_height.0, blocks })
    }
}

impl codec::HasEncodedLen<sync::Response<Context>> for Codec {
    fn encoded_len(&self, response: &sync::Response<Context>) -> Result<usize, CodecError> {
        let sync::Response::ValueResponse(response) = response;
        // Lengths as borsh lays them out, without laying them out.
        let block = |value: &sync::RawDecidedValue<Context>| {
            let signatures = value.certificate.commit_signatures.len();
            8 + 4 + 32 + 4 + signatures * (20 + 65) + 4 + value.value_bytes.len()
        };
        Ok(8 + 4 + response.values.iter().map(block).sum::<usize>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arc_malachitebft_codec::{Codec as _, HasEncodedLen};
    use proptest::prelude::*;

    fn response(blocks: Vec<(u64, Vec<u8>, usize)>) -> sync::Response<Context> {
        let values = blocks
            .into_iter()
            .map(|(height, block, signatures)| {
                let certificate = ExtendedCommitCertificate {
                    height: Height(height),
                    round: Round::new(2),
                    value_id: BlockId::ZERO,
                    commit_signatures: (0..signatures)
                        .map(|i| {
                            let voter = ValidatorId(Address::with_last_byte(i as u8));
                            ExtendedCommitSignature::new(voter, Signature([3; 65]), None)
                        })
                        .collect(),
                };
                sync::RawDecidedValue::new(Bytes::from(block), certificate)
            })
            .collect();
        sync::Response::ValueResponse(sync::ValueResponse::new(Height(5), values))
    }

    proptest! {
        #[test]
        fn responses_come_back_and_their_length_is_known(
            blocks in proptest::collection::vec(
                (any::<u64>(), proptest::collection::vec(any::<u8>(), 0..300), 0usize..9), 0..5),
        ) {
            let response = response(blocks);
            let bytes = Codec.encode(&response).unwrap();
            prop_assert_eq!(Codec.encoded_len(&response).unwrap(), bytes.len());
            let back: sync::Response<Context> = Codec.decode(bytes).unwrap();
            prop_assert_eq!(back, response);
        }

        #[test]
        fn garbage_is_refused_without_panicking(
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
        ) {
            let bytes = Bytes::from(bytes);
            let _: Result<SignedConsensusMsg<Context>, _> = Codec.decode(bytes.clone());
            let _: Result<LivenessMsg<Context>, _> = Codec.decode(bytes.clone());
            let _: Result<PolkaCertificate<Context>, _> = Codec.decode(bytes.clone());
            let _: Result<ProposedValue<Context>, _> = Codec.decode(bytes.clone());
            let _: Result<sync::Status<Context>, _> = Codec.decode(bytes.clone());
            let _: Result<sync::Request<Context>, _> = Codec.decode(bytes.clone());
            let _: Result<sync::Response<Context>, _> = Codec.decode(bytes);
        }
    }
}
