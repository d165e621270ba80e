//! A tiny Weft chain: real headers, certificates and proofs from real keys, without consensus.

use weft_rollup_adapter::cursor::Cursor;
use weft_rollup_adapter::derivation::Derivation;
use weft_rollup_adapter::light::{LightClient, VerifiedSlice};
use weft_types::certificate::CommitSignature;
use weft_types::genesis::GenesisNamespace;
use weft_types::slice::{NamespaceTree, ProvenSlice};
use weft_types::{
    Address, B256, BidMode, BlockId, Bytes, Certificate, Committee, Genesis, Header, Height,
    L1Origin, LegPlace, Member, NamespaceId, NamespaceSettings, Outcome, Params, Results,
    SecretKey, Slice, SliceEntry, SoldLot, Submitters, TransactionId, Unverified, block,
};

pub const CHAIN_ID: u64 = 4242;
pub const GENESIS_TIME_MS: u64 = 1_700_000_000_000;

/// Validators that decide together.
#[derive(Clone)]
pub struct Validators {
    keys: Vec<SecretKey>,
    pub committee: Committee,
}

impl Validators {
    pub fn new(seed: u8, count: u8) -> Self {
        let mut keys: Vec<SecretKey> =
            (1..=count).map(|i| SecretKey::from_bytes([seed ^ (i * 3); 32]).unwrap()).collect();
        keys.sort_by_key(SecretKey::address);
        let members = keys.iter().map(|k| Member { address: k.address(), seats: 1 }).collect();
        Self { committee: Committee::new(members).unwrap(), keys }
    }

    /// The certificate of a header by as many validators as make a quorum.
    pub fn certify(&self, header: &Header) -> Certificate {
        let quorum = (0..).find(|n| self.committee.is_quorum(*n)).unwrap();
        let mut certificate =
            Certificate { height: header.height, round: 0, block: header.id(), signatures: vec![] };
        let hash = certificate.vote().signing_hash(header.chain_id);
        certificate.signatures = (0..quorum)
            .zip(&self.keys)
            .zip(0u16..)
            .map(|((_, key), member)| CommitSignature { member, signature: key.sign(hash) })
            .collect();
        certificate
    }
}

struct Block {
    header: Header,
    certificate: Certificate,
    /// The namespace's entries.
    entries: Vec<SliceEntry>,
    tree: NamespaceTree,
    results: Results,
}

/// The chain, as one namespace sees it.
pub struct Chain {
    pub genesis: Genesis,
    pub namespace: NamespaceId,
    blocks: Vec<Block>,
    /// Who decides from which height on, ascending.
    validators: Vec<(Height, Validators)>,
    next_salt: u64,
    /// The L1 origin of the next headers.
    pub l1_origin: L1Origin,
}

impl Chain {
    /// A chain that has its genesis block.
    pub fn new(namespace: u64) -> Self {
        Self::with_validators(namespace, Validators::new(0x40, 4))
    }

    pub fn with_validators(namespace: u64, validators: Validators) -> Self {
        let settings = NamespaceSettings {
            owner: Address::ZERO,
            revenue_recipient: Address::ZERO,
            submitters: Submitters::Anyone,
            quota: None,
            auction: None,
            atomic: None,
        };
        let namespace = NamespaceId(namespace);
        let genesis = Genesis {
            chain_id: CHAIN_ID,
            time_ms: GENESIS_TIME_MS,
            l1_origin: L1Origin::default(),
            l1: None,
            params: Params::default(),
            validators: validators.committee.members().to_vec(),
            stakes: Vec::new(),
            accounts: vec![],
            namespaces: vec![GenesisNamespace { namespace, settings }],
        };
        let header = genesis.header(&validators.committee);
        let certificate = validators.certify(&header);
        let tree = NamespaceTree::new(vec![]).unwrap();
        let results = Results::default();
        let block = Block { header, certificate, entries: vec![], tree, results };
        Self {
            genesis,
            namespace,
            blocks: vec![block],
            validators: vec![(0, validators)],
            next_salt: 0,
            l1_origin: L1Origin::default(),
        }
    }

    /// Other validators decide from a height on, which has to lie two above the last one.
    pub fn change_validators(&mut self, from: Height, validators: Validators) {
        assert!(from > self.height() + 1);
        self.validators.push((from, validators));
    }

    pub fn validators_at(&self, height: Height) -> &Validators {
        &self.validators.iter().rev().find(|(from, _)| *from <= height).unwrap().1
    }

    fn block(&self, height: Height) -> Option<&Block> {
        self.blocks.get(usize::try_from(height).unwrap())
    }

    /// The last height decided.
    pub fn height(&self) -> Height {
        self.blocks.len() as u64 - 1
    }

    pub fn time_ms(&self) -> u64 {
        self.blocks.last().unwrap().header.time_ms
    }

    pub fn header(&self, height: Height) -> &Header {
        &self.block(height).unwrap().header
    }

    /// The head of a slice that brings items: what a bid with this number won.
    pub fn head(number: u8, mode: BidMode, data: Vec<Bytes>) -> SliceEntry {
        SliceEntry::Head {
            transaction: TransactionId(B256::repeat_byte(number)),
            bidder: Address::repeat_byte(0x77),
            mode,
            place: LegPlace { index: 0, count: 2, root: B256::ZERO },
            data,
        }
    }

    /// Decides a block with one submission per list of items, 300 ms after the last.
    pub fn push(&mut self, submissions: Vec<Vec<Bytes>>) -> Height {
        let entries = submissions
            .into_iter()
            .map(|data| {
                self.next_salt += 1;
                SliceEntry::Submission {
                    transaction: TransactionId(B256::from(alloy_primitives::U256::from(
                        self.next_salt,
                    ))),
                    submitter: Address::repeat_byte(0x99),
                    data,
                }
            })
            .collect();
        self.push_entries(entries, 300)
    }

    /// Decides a block with these entries.
    pub fn push_entries(&mut self, entries: Vec<SliceEntry>, after_ms: u64) -> Height {
        let height = self.height() + 1;
        let parent = self.blocks.last().unwrap();
        let next = self.validators_at(height + 1).committee.hash();
        let validators = self.validators_at(height).clone();
        let header = Header {
            version: weft_types::header::PROTOCOL_VERSION,
            chain_id: self.genesis.chain_id,
            height,
            time_ms: parent.header.time_ms + after_ms,
            parent: parent.header.id(),
            proposer: validators.committee.members()[0].address,
            validators_hash: validators.committee.hash(),
            next_validators_hash: next,
            l1_origin: self.l1_origin,
            observations_root: block::observations_root(&[]),
            batches_root: block::batches_root(&[]),
            events_root: block::events_root(&[]),
            parent_outcome: Outcome {
                ledger_root: B256::from(alloy_primitives::U256::from(height)),
                slices_root: parent.tree.slices_root(),
                results_root: parent.results.root(),
                ..Outcome::default()
            },
        };
        // Neighbours on both sides at most heights, so that absence is proven in every way.
        let mut slices = Vec::new();
        for (other, every) in [(self.namespace.0 - 1, 2), (self.namespace.0 + 1, 3)] {
            if height.is_multiple_of(every) {
                let data = vec![Bytes::from(height.to_be_bytes().to_vec())];
                slices.push(Slice {
                    namespace: NamespaceId(other),
                    entries: vec![SliceEntry::Submission {
                        transaction: TransactionId::ZERO,
                        submitter: Address::ZERO,
                        data,
                    }],
                });
            }
        }
        if !entries.is_empty() {
            slices.push(Slice { namespace: self.namespace, entries: entries.clone() });
        }
        slices.sort_by_key(|slice| slice.namespace);
        let tree = NamespaceTree::new(slices.iter().map(Slice::leaf).collect()).unwrap();
        let certificate = validators.certify(&header);
        let sold = entries.first().and_then(|entry| match entry {
            SliceEntry::Head { transaction, bidder, .. } => Some(SoldLot {
                namespace: self.namespace,
                reserve: 0,
                bid: *transaction,
                bidder: *bidder,
                payment: 1,
                revenue: 0,
            }),
            _ => None,
        });
        let results = Results { lots: sold.into_iter().collect(), ..Results::default() };
        self.blocks.push(Block { header, certificate, entries, tree, results });
        height
    }

    /// The slice of a height, if the height above is decided.
    pub fn proven(&self, height: Height) -> Option<ProvenSlice> {
        let block = self.block(height)?;
        let child = self.block(height + 1)?;
        Some(ProvenSlice {
            header: block.header,
            child: child.header,
            certificate: child.certificate.clone(),
            proof: block.tree.prove(self.namespace),
            entries: block.entries.clone(),
            lot: block.results.proven_lot(self.namespace),
        })
    }

    pub fn genesis_id(&self) -> BlockId {
        self.blocks[0].header.id()
    }

    /// Where a rollup stands that has taken in nothing.
    pub fn start(&self) -> Cursor {
        Cursor::start(&self.genesis).unwrap()
    }

    /// A derivation that begins at a place.
    pub fn derivation(&self, at: &Cursor) -> Derivation {
        Derivation::new(self.namespace, self.genesis_id(), at)
    }

    /// All slices from a place on, verified.
    pub fn slices_from(&self, at: &Cursor) -> Vec<VerifiedSlice> {
        let mut at = *at;
        let mut slices = Vec::new();
        while let Some(slice) = self.verified(&at) {
            at = Cursor { next: at.next + 1, header: slice.child(), ..at };
            slices.push(slice);
        }
        slices
    }

    /// The slice of a height as whoever has followed up to there verifies it.
    pub fn verified(&self, at: &Cursor) -> Option<VerifiedSlice> {
        let mut light = LightClient::new(&self.genesis, self.namespace, at).unwrap();
        let slice = Unverified::new(self.proven(at.next)?);
        if let Some((height, hash)) = light.needs(&slice).unwrap() {
            let committee = self.validators_at(height).committee.clone();
            light.learn(height, hash, committee).unwrap();
        }
        Some(light.advance(slice).unwrap())
    }
}
