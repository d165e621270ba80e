//! Segments: files that the block log consists of, each a run of heights.
//!
//! A segment is named after its first height and starts with the id of the genesis block, so that
//! a log is never read as another network's. Only the last one is written to; the others are
//! sealed.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use weft_types::{Block, BlockId, Certificate, Height};

use super::LogError;
use super::frame::{self, Kind};

/// Length of a segment's own header: magic, genesis.
pub const PREAMBLE: u64 = 8 + 32;

const PREAMBLE_MAGIC: [u8; 8] = *b"weftlog1";

/// Where a decided height's two frames stand in its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Offset of the block's frame.
    pub block: u64,
    /// Offset of the certificate's frame.
    pub commit: u64,
}

/// A block that was logged and not decided in this segment, by id.
pub type Undecided = BTreeMap<BlockId, (Height, u64)>;

/// What reading a segment from front to back finds.
#[derive(Debug, Default)]
pub struct Scan {
    /// Decided heights in order, from the segment's first.
    pub places: Vec<Place>,
    /// Blocks above the last decided height.
    pub undecided: Undecided,
    /// The block decided last.
    pub last: Option<BlockId>,
    /// Where the last intact frame ends.
    pub end: u64,
    /// Bytes behind that, none of them an intact frame.
    pub torn: u64,
}

/// The file of the segment that starts at a height.
pub fn path(directory: &Path, first: Height) -> PathBuf {
    directory.join(format!("{first:020}.log"))
}

/// The segments in a directory by first height.
pub fn list(directory: &Path) -> io::Result<BTreeMap<Height, PathBuf>> {
    let mut segments = BTreeMap::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let first = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_suffix(".log"))
            .filter(|digits| digits.len() == 20)
            .and_then(|digits| digits.parse().ok());
        if let Some(first) = first {
            segments.insert(first, path);
        }
    }
    Ok(segments)
}

/// The bytes a segment starts with.
pub fn preamble(genesis: BlockId) -> Vec<u8> {
    [&PREAMBLE_MAGIC[..], genesis.as_bytes()].concat()
}

/// Reads a whole segment that starts at height `first`, checking every frame. Damage is an error,
/// unless the segment is the `last` one and nothing intact follows.
pub fn scan(path: &Path, first: Height, genesis: BlockId, last: bool) -> Result<Scan, LogError> {
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)?;
    let corrupt = |offset: u64, what: &'static str| LogError::Corrupt {
        segment: path.display().to_string(),
        offset,
        what,
    };
    let start = preamble(genesis);
    if !bytes.starts_with(&start) {
        // A segment is created with its preamble in one write; half of one is a torn tail.
        return if last && start.starts_with(&bytes) {
            Ok(Scan { end: 0, torn: bytes.len() as u64, ..Scan::default() })
        } else if bytes.starts_with(&PREAMBLE_MAGIC) && bytes.len() as u64 >= PREAMBLE {
            Err(LogError::OtherNetwork(path.display().to_string()))
        } else {
            Err(corrupt(0, "the segment does not start like one"))
        };
    }
    let mut scan = Scan { end: PREAMBLE, ..Scan::default() };
    loop {
        let offset = scan.end;
        let rest = usize::try_from(offset).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
        if rest.is_empty() {
            return Ok(scan);
        }
        let Some((kind, payload)) = frame::parse(rest) else {
            if !last || frame::any_intact(rest) {
                return Err(corrupt(offset, "a frame is damaged"));
            }
            scan.torn = rest.len() as u64;
            return Ok(scan);
        };
        scan.end += (frame::HEADER + payload.len()) as u64;
        scan.take(kind, payload, offset, first).map_err(|what| corrupt(offset, what))?;
    }
}

impl Scan {
    fn take(
        &mut self,
        kind: Kind,
        payload: &[u8],
        offset: u64,
        first: Height,
    ) -> Result<(), &'static str> {
        let next = first + self.places.len() as u64;
        match kind {
            Kind::Block => {
                let header = payload
                    .get(..weft_types::header::HEADER_LENGTH)
                    .and_then(|layout| borsh::from_slice::<weft_types::Header>(layout).ok())
                    .ok_or("a block without a header")?;
                self.undecided.insert(header.id(), (header.height, offset));
            }
            Kind::Commit => {
                let certificate: Certificate =
                    borsh::from_slice(payload).map_err(|_| "a certificate that is none")?;
                if certificate.height != next {
                    return Err("a certificate out of order");
                }
                let (_, block) = self
                    .undecided
                    .remove(&certificate.block)
                    .ok_or("a certificate without its block")?;
                self.places.push(Place { block, commit: offset });
                self.last = Some(certificate.block);
                self.undecided.retain(|_, (height, _)| *height > certificate.height);
            }
        }
        Ok(())
    }
}

/// Reads one frame of an expected kind.
pub fn read(file: &File, name: &Path, offset: u64, kind: Kind) -> Result<Vec<u8>, LogError> {
    let corrupt = |what| LogError::Corrupt { segment: name.display().to_string(), offset, what };
    let mut header = [0; frame::HEADER];
    file.read_exact_at(&mut header, offset).map_err(|_| corrupt("a frame is cut short"))?;
    let length: [u8; 4] = header[5..9].try_into().unwrap_or_default();
    let size = u32::from_le_bytes(length) as usize;
    if size > frame::MAX_PAYLOAD {
        return Err(corrupt("a frame is damaged"));
    }
    let mut bytes = vec![0; frame::HEADER + size];
    file.read_exact_at(&mut bytes, offset).map_err(|_| corrupt("a frame is cut short"))?;
    match frame::parse(&bytes) {
        Some((found, _)) if found == kind => {
            bytes.drain(..frame::HEADER);
            Ok(bytes)
        }
        Some(_) => Err(corrupt("a frame of another kind")),
        None => Err(corrupt("a frame is damaged")),
    }
}

/// Decodes a block that was read.
pub fn block(bytes: &[u8]) -> Result<Block, LogError> {
    borsh::from_slice(bytes).map_err(|e| LogError::Undecodable(e.to_string()))
}

/// Decodes a certificate that was read.
pub fn certificate(bytes: &[u8]) -> Result<Certificate, LogError> {
    borsh::from_slice(bytes).map_err(|e| LogError::Undecodable(e.to_string()))
}

/// Creates a segment and makes its existence durable.
pub fn create(directory: &Path, first: Height, genesis: BlockId) -> io::Result<File> {
    let path = path(directory, first);
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
    file.write_all_at(&preamble(genesis), 0)?;
    file.sync_all()?;
    File::open(directory)?.sync_all()?;
    Ok(file)
}
