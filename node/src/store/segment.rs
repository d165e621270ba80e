//! Segments: files that the block log consists of, each a run of heights.
//!
//! A segment is named after its first height. It starts with the id of the genesis block, so that
//! a log is never read as another network's, and with the salt of its frames:
//!
//! ```text
//! magic 8 | genesis 32 | salt 32 | check 16
//! ```
//!
//! Only the last one is written to; the others are sealed. A segment gets its name when all that
//! it starts with is durable.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use weft_types::{Block, BlockId, Certificate, Height};

use super::frame::{self, HEADER, Head, Kind, Salt};
use super::{LogError, durable};

/// Length of what a segment starts with.
pub const PREAMBLE: u64 = PREAMBLE_BYTES as u64;

const PREAMBLE_BYTES: usize = 8 + 32 + 32 + 16;

const MAGIC: [u8; 8] = *b"weftlog2";

/// Bytes of a segment that are read at once while scanning.
const READ_AHEAD: usize = 256 * 1024;

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
    /// Where the last intact frame ends.
    pub end: u64,
    /// Bytes behind that: a torn tail.
    pub torn: u64,
}

/// An open segment.
#[derive(Debug)]
pub struct Segment {
    /// Its first height.
    pub first: Height,
    /// Its file's name.
    pub path: PathBuf,
    /// Its file.
    pub file: File,
    /// What its frames are checked with.
    pub salt: Salt,
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
            .and_then(|digits| digits.parse().ok())
            .filter(|first| *first > 0);
        if let Some(first) = first {
            segments.insert(first, path);
        }
    }
    Ok(segments)
}

/// Creates a segment that holds blocks which are not decided yet, and makes it durable. Returns
/// where the blocks stand as well, in their order.
pub fn create(
    directory: &Path,
    first: Height,
    genesis: BlockId,
    undecided: impl IntoIterator<Item = Result<Vec<u8>, LogError>>,
) -> Result<(Segment, Vec<u64>), LogError> {
    let salt = Salt::random()?;
    let path = path(directory, first);
    let temporary = path.with_extension("tmp");
    let file =
        OpenOptions::new().create(true).truncate(true).read(true).write(true).open(&temporary)?;
    let mut start = [&MAGIC[..], genesis.as_bytes(), &salt.0].concat();
    start.extend_from_slice(&salt.check(&[&start]));
    file.write_all_at(&start, 0)?;
    let (mut end, mut offsets) = (PREAMBLE, Vec::new());
    for block in undecided {
        let block = block?;
        let head = Head::new(&salt, end, PREAMBLE, Kind::Block, &block)?;
        let mut bytes = Vec::with_capacity(HEADER + block.len());
        head.write(&mut bytes);
        bytes.extend_from_slice(&block);
        file.write_all_at(&bytes, end)?;
        offsets.push(end);
        end += head.frame_bytes();
    }
    file.sync_all()?;
    durable::rename(&temporary, &path)?;
    Ok((Segment { first, path, file, salt }, offsets))
}

impl Segment {
    /// Opens a segment, to write to it as well if it is the last.
    pub fn open(
        path: &Path,
        first: Height,
        genesis: BlockId,
        writes: bool,
    ) -> Result<Self, LogError> {
        let file = OpenOptions::new().read(true).write(writes).open(path)?;
        let mut start = [0; PREAMBLE_BYTES];
        let short = |e: io::Error| match e.kind() {
            io::ErrorKind::UnexpectedEof => corrupt(path, 0, "the segment is cut short"),
            _ => LogError::Io(e),
        };
        file.read_exact_at(&mut start, 0).map_err(short)?;
        let (content, check) = start.split_at(8 + 32 + 32);
        let (magic, content_rest) = content.split_at(8);
        let (network, salt) = content_rest.split_at(32);
        let salt = Salt(salt.try_into().unwrap_or_default());
        if magic != MAGIC || check != salt.check(&[content]) {
            return Err(corrupt(path, 0, "the segment does not start like one"));
        }
        if network != genesis.as_bytes() {
            return Err(LogError::OtherNetwork(path.display().to_string()));
        }
        Ok(Self { first, path: path.to_owned(), file, salt })
    }

    /// Its length in bytes.
    pub fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Reads the whole segment, checking every frame, with one frame in memory at a time. Damage
    /// is an error, unless the segment is the `last` one and the damage is a torn tail.
    pub fn scan(&self, last: bool) -> Result<Scan, LogError> {
        let length = self.length()?;
        let mut input = self.reader(PREAMBLE)?;
        let mut scan = Scan { end: PREAMBLE, ..Scan::default() };
        let (mut bytes, mut durable) = (Vec::new(), PREAMBLE);
        while scan.end < length {
            let offset = scan.end;
            let corrupt = |what| corrupt(&self.path, offset, what);
            let Some(head) = self.next(&mut input, offset, &mut bytes)? else {
                if !last || frame::was_durable(&self.salt, offset, self.reader(offset)?)? {
                    return Err(corrupt("a frame is damaged"));
                }
                scan.torn = length - offset;
                return Ok(scan);
            };
            if head.durable < durable || head.durable > offset {
                return Err(corrupt("a frame out of order"));
            }
            durable = head.durable;
            scan.end += head.frame_bytes();
            scan.take(head.kind, &bytes, offset, self.first).map_err(corrupt)?;
        }
        Ok(scan)
    }

    /// The next frame's head, with its payload in `bytes`. `None` if it is damaged.
    fn next(
        &self,
        input: &mut impl Read,
        offset: u64,
        bytes: &mut Vec<u8>,
    ) -> io::Result<Option<Head>> {
        if !fill(input, HEADER, bytes)? {
            return Ok(None);
        }
        let head = bytes.first_chunk().and_then(|start| Head::read(&self.salt, offset, start));
        let Some(head) = head else { return Ok(None) };
        let whole = fill(input, head.length as usize, bytes)?;
        Ok((whole && head.holds(&self.salt, bytes)).then_some(head))
    }

    fn reader(&self, offset: u64) -> io::Result<impl Read> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(offset))?;
        Ok(BufReader::with_capacity(READ_AHEAD, file))
    }

    /// Reads the payload of one frame of an expected kind.
    pub fn read(&self, offset: u64, kind: Kind) -> Result<Vec<u8>, LogError> {
        let corrupt = |what| corrupt(&self.path, offset, what);
        let cut = |e: io::Error| match e.kind() {
            io::ErrorKind::UnexpectedEof => corrupt("a frame is cut short"),
            _ => LogError::Io(e),
        };
        let mut head = [0; HEADER];
        self.file.read_exact_at(&mut head, offset).map_err(cut)?;
        let head = Head::read(&self.salt, offset, &head).ok_or(corrupt("a frame is damaged"))?;
        if head.kind != kind {
            return Err(corrupt("a frame of another kind"));
        }
        let mut payload = vec![0; head.length as usize];
        self.file.read_exact_at(&mut payload, offset + HEADER as u64).map_err(cut)?;
        if !head.holds(&self.salt, &payload) {
            return Err(corrupt("a frame is damaged"));
        }
        Ok(payload)
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
                self.undecided.retain(|_, (height, _)| *height > certificate.height);
            }
        }
        Ok(())
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

/// Reads so many bytes, if there are as many.
fn fill(input: &mut impl Read, length: usize, bytes: &mut Vec<u8>) -> io::Result<bool> {
    bytes.clear();
    Ok(input.take(length as u64).read_to_end(bytes)? == length)
}

fn corrupt(path: &Path, offset: u64, what: &'static str) -> LogError {
    LogError::Corrupt { segment: path.display().to_string(), offset, what }
}
