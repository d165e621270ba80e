//! One name for each way of being refused. The names are those of `spec/vectors/README.md`; every
//! match is exhaustive, so that a new refusal needs a name before it compiles.

use weft_types::batch::BatchError;
use weft_types::certificate::CertificateError;
use weft_types::committee::CommitteeError;
use weft_types::evidence::EvidenceError;
use weft_types::genesis::GenesisError;
use weft_types::l1::EventsError;
use weft_types::namespace::SettingsError;
use weft_types::observation::ObservationError;
use weft_types::signature::SignatureError;
use weft_types::slice::{ProvenSliceError, SliceProofError};
use weft_types::transaction::TransactionError;

macro_rules! reasons {
    ($($error:ty { $($pattern:pat => $name:expr,)* })*) => {
        $(impl From<Refusal<$error>> for String {
            fn from(Refusal(error): Refusal<$error>) -> String {
                match error {
                    $($pattern => String::from($name),)*
                }
            }
        })*
    };
}

/// An error on its way to becoming a name.
pub(crate) struct Refusal<E>(pub(crate) E);

fn within<E>(whole: &str, part: E) -> String
where
    String: From<Refusal<E>>,
{
    format!("{whole}/{}", String::from(Refusal(part)))
}

reasons! {
    SignatureError {
        SignatureError::RecoveryByte(_) => "recovery_byte",
        SignatureError::HighS => "high_s",
        SignatureError::Unrecoverable => "unrecoverable",
        SignatureError::WrongSigner { .. } => "wrong_signer",
    }
    SettingsError {
        SettingsError::TooManySubmitters(_) => "too_many_submitters",
        SettingsError::UnsortedSubmitters => "unsorted_submitters",
        SettingsError::EmptyQuota => "empty_quota",
        SettingsError::AuctionNever => "auction_never",
        SettingsError::AuctionFloor(_) => "auction_floor",
        SettingsError::Executors(_) => "executors",
        SettingsError::UnsortedExecutors => "unsorted_executors",
        SettingsError::Quorum { .. } => "quorum",
        SettingsError::HoldFee(_) => "hold_fee",
        SettingsError::TooManyPartners(_) => "too_many_partners",
        SettingsError::UnsortedPartners => "unsorted_partners",
        SettingsError::AtomicWithoutAuction => "atomic_without_auction",
    }
    TransactionError {
        TransactionError::ChainId { .. } => "chain_id",
        TransactionError::TooLarge(_) => "too_large",
        TransactionError::NoItems => "no_items",
        TransactionError::TooManyItems(_) => "too_many_items",
        TransactionError::EmptyItem(_) => "empty_item",
        TransactionError::NothingToWithdraw => "nothing_to_withdraw",
        TransactionError::NoCollateral => "no_collateral",
        TransactionError::TooManyLegs(_) => "too_many_legs",
        TransactionError::UnsortedLegs => "unsorted_legs",
        TransactionError::TooMuch(_) => "too_much",
        TransactionError::HalfBid => "half_bid",
        TransactionError::TooFewLegs(_) => "too_few_legs",
        TransactionError::AtomicLegs(_) => "atomic_legs",
        TransactionError::Settings(error) => within("settings", error),
        TransactionError::Signature(error) => within("signature", error),
    }
    BatchError {
        BatchError::Empty => "empty",
        BatchError::TooMany(_) => "too_many",
        BatchError::TooLarge(_) => "too_large",
        BatchError::Parent { .. } => "parent",
        BatchError::Signature(error) => within("signature", error),
    }
    ObservationError {
        ObservationError::UnknownObserver(_) => "unknown_observer",
        ObservationError::UnknownAuthor(_) => "unknown_author",
        ObservationError::Unsorted => "unsorted",
        ObservationError::TooMuchOfAuthor(_) => "too_much_of_author",
        ObservationError::MalformedLane(_) => "malformed_lane",
        ObservationError::TooManyL1Blocks(_) => "too_many_l1_blocks",
        ObservationError::Signature(error) => within("signature", error),
    }
    EventsError {
        EventsError::TooLarge(_) => "too_large",
        EventsError::Forced { .. } => "forced",
    }
    CommitteeError {
        CommitteeError::Size(_) => "size",
        CommitteeError::Unsorted => "unsorted",
        CommitteeError::Seats => "seats",
    }
    CertificateError {
        CertificateError::Unsorted => "unsorted",
        CertificateError::UnknownMember(_) => "unknown_member",
        CertificateError::Signature { error, .. } => within("signature", error),
        CertificateError::NoQuorum { .. } => "no_quorum",
    }
    EvidenceError {
        EvidenceError::NotSlashable => "not_slashable",
        EvidenceError::NotAscending => "not_ascending",
        EvidenceError::Signature(error) => within("signature", error),
        EvidenceError::TwoSigners(..) => "two_signers",
    }
    GenesisError {
        GenesisError::Committee(error) => within("validators", error),
        GenesisError::Unsorted(list) => format!("unsorted/{list}"),
        GenesisError::NoStake => "no_stake",
        GenesisError::L1Origin => "l1_origin",
        GenesisError::Namespace(_, error) => within("settings", error),
        GenesisError::Param(name, _) => format!("param/{name}"),
        GenesisError::TooMuchWei => "too_much_wei",
    }
    SliceProofError {
        SliceProofError::Root => "root",
        SliceProofError::WrongNamespace(_) => "wrong_namespace",
        SliceProofError::NotAdjacent => "not_adjacent",
        SliceProofError::Ambiguous => "ambiguous",
    }
    ProvenSliceError {
        ProvenSliceError::ChainId(_) => "chain_id",
        ProvenSliceError::NotParent => "not_parent",
        ProvenSliceError::WrongCommittee => "wrong_committee",
        ProvenSliceError::WrongCertificate => "wrong_certificate",
        ProvenSliceError::Certificate(error) => within("certificate", error),
        ProvenSliceError::Proof(error) => within("proof", error),
        ProvenSliceError::WrongEntries => "wrong_entries",
        ProvenSliceError::WrongHead => "wrong_head",
        ProvenSliceError::WrongLegs => "wrong_legs",
    }
}
