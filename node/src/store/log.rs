//! The block log: the one truth (architecture, "where truth lives").
//!
//! Append-only. A block with its observations and batches is written and fsynced before this node
//! votes for it, its certificate before anybody hears of the decision. One thread writes, so that
//! everything that waits is made durable by one fsync; any thread reads.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tracing::{info, warn};
use weft_types::{Block, BlockId, Certificate, Height};

use super::frame::{self, Kind};
use super::segment::{self, Place, Scan};
use super::{LogError, Opened};

/// Most sealed segments whose places are kept in memory.
const INDEX_CACHE: usize = 8;

/// The log, shared by whoever reads it.
#[derive(Clone)]
pub struct Log(Arc<Inner>);

struct Inner {
    directory: PathBuf,
    genesis: BlockId,
    segment_bytes: u64,
    segments: RwLock<Segments>,
    writer: Mutex<Writer>,
}

struct Segments {
    /// Sealed segments by first height, with the file to read from.
    sealed: BTreeMap<Height, Arc<Sealed>>,
    /// The segment that is written to.
    active: Active,
    /// Sealed segments whose places are in memory, oldest first.
    cached: Vec<Height>,
}

struct Sealed {
    path: PathBuf,
    file: File,
    places: Mutex<Option<Arc<Vec<Place>>>>,
}

struct Active {
    first: Height,
    path: PathBuf,
    file: Arc<File>,
    places: Vec<Place>,
}

struct Writer {
    file: Arc<File>,
    end: u64,
    undecided: segment::Undecided,
    /// The next height to commit.
    next: Height,
}

/// Something to write.
pub enum Record<'a> {
    /// A block, as its borsh, and its name.
    Block {
        /// Its id.
        id: BlockId,
        /// Its height.
        height: Height,
        /// Its borsh.
        bytes: &'a [u8],
    },
    /// The certificate of a block that was written.
    Commit(&'a Certificate),
}

impl Log {
    /// Opens the log in a directory, making it if there is none. Cuts off a torn tail; refuses a
    /// log that is damaged anywhere else.
    pub fn open(
        directory: &Path,
        genesis: BlockId,
        segment_bytes: u64,
    ) -> Result<(Self, Opened), LogError> {
        std::fs::create_dir_all(directory)?;
        let mut segments = segment::list(directory)?;
        let (first, path) = match segments.pop_last() {
            Some(last) => last,
            None => {
                segment::create(directory, 1, genesis)?;
                (1, segment::path(directory, 1))
            }
        };
        let scan = segment::scan(&path, first, genesis, true)?;
        let file = Arc::new(OpenOptions::new().read(true).write(true).open(&path)?);
        let end = cut_tail(&file, &path, &scan, genesis)?;

        let sealed = segments
            .into_iter()
            .map(|(first, path)| {
                let file = File::open(&path)?;
                Ok((first, Arc::new(Sealed { path, file, places: Mutex::default() })))
            })
            .collect::<io::Result<BTreeMap<_, _>>>()?;
        let opened = Opened {
            tip: first + scan.places.len() as u64 - 1,
            torn_bytes: scan.torn,
            undecided: scan.undecided.keys().copied().collect(),
        };
        let active = Active { first, path, file: Arc::clone(&file), places: scan.places };
        let writer = Writer { file, end, undecided: scan.undecided, next: opened.tip + 1 };
        let log = Self(Arc::new(Inner {
            directory: directory.to_owned(),
            genesis,
            segment_bytes,
            segments: RwLock::new(Segments { sealed, active, cached: Vec::new() }),
            writer: Mutex::new(writer),
        }));
        Ok((log, opened))
    }

    /// The last height whose certificate is in the log; 0 for none.
    pub fn tip(&self) -> Height {
        let segments = self.read();
        segments.active.first + segments.active.places.len() as u64 - 1
    }

    /// Writes records, in order, and makes them durable. Blocks that are in the log already are
    /// not written again. Without `sync` they are durable some time later.
    pub fn append(&self, records: &[Record<'_>], sync: bool) -> Result<(), LogError> {
        let mut writer = self.0.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = Vec::new();
        let mut places = Vec::new();
        for record in records {
            let offset = writer.end + bytes.len() as u64;
            match record {
                Record::Block { id, height, bytes: block } => {
                    if writer.undecided.contains_key(id) {
                        continue;
                    }
                    frame::append(Kind::Block, block, &mut bytes)?;
                    writer.undecided.insert(*id, (*height, offset));
                }
                Record::Commit(certificate) => {
                    if certificate.height != writer.next {
                        return Err(LogError::OutOfOrder {
                            expected: writer.next,
                            actual: certificate.height,
                        });
                    }
                    let (_, block) = writer
                        .undecided
                        .remove(&certificate.block)
                        .ok_or(LogError::NoBlock(certificate.block))?;
                    let payload = borsh::to_vec(certificate)?;
                    frame::append(Kind::Commit, &payload, &mut bytes)?;
                    places.push(Place { block, commit: offset });
                    writer.next += 1;
                    let decided = certificate.height;
                    writer.undecided.retain(|_, (height, _)| *height > decided);
                }
            }
        }
        writer.file.write_all_at(&bytes, writer.end)?;
        if sync {
            writer.file.sync_data()?;
        }
        writer.end += bytes.len() as u64;
        if !places.is_empty() {
            self.write().active.places.extend(places);
            if writer.end > self.0.segment_bytes {
                self.roll(&mut writer)?;
            }
        }
        Ok(())
    }

    /// Makes everything written so far durable.
    pub fn sync(&self) -> Result<(), LogError> {
        let file = {
            let writer = self.0.writer.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(&writer.file)
        };
        Ok(file.sync_data()?)
    }

    /// The decided block of a height, as its borsh.
    pub fn block_bytes(&self, height: Height) -> Result<Option<Vec<u8>>, LogError> {
        self.at(height, Kind::Block)
    }

    /// The decided block of a height.
    pub fn block(&self, height: Height) -> Result<Option<Block>, LogError> {
        self.block_bytes(height)?.map(|bytes| segment::block(&bytes)).transpose()
    }

    /// The certificate of a height.
    pub fn certificate(&self, height: Height) -> Result<Option<Certificate>, LogError> {
        self.at(height, Kind::Commit)?.map(|bytes| segment::certificate(&bytes)).transpose()
    }

    /// A block above the tip that was written and is not decided.
    pub fn undecided(&self, id: &BlockId) -> Result<Option<Block>, LogError> {
        let (file, offset) = {
            let writer = self.0.writer.lock().unwrap_or_else(PoisonError::into_inner);
            let Some((_, offset)) = writer.undecided.get(id) else { return Ok(None) };
            (Arc::clone(&writer.file), *offset)
        };
        let path = self.read().active.path.clone();
        segment::block(&segment::read(&file, &path, offset, Kind::Block)?).map(Some)
    }

    /// Reads and checks every frame of every segment. `seen` hears of each segment done.
    pub fn verify(&self, mut seen: impl FnMut(&Path, usize)) -> Result<Height, LogError> {
        let mut segments: Vec<(Height, PathBuf)> =
            self.read().sealed.iter().map(|(first, s)| (*first, s.path.clone())).collect();
        let active = (self.read().active.first, self.read().active.path.clone());
        let last = active.0;
        segments.push(active);
        let mut next = 1;
        for (first, path) in segments {
            if first != next {
                return Err(LogError::Gap { expected: next, actual: first });
            }
            let scan = segment::scan(&path, first, self.0.genesis, first == last)?;
            next = first + scan.places.len() as u64;
            seen(&path, scan.places.len());
        }
        Ok(next - 1)
    }

    fn at(&self, height: Height, kind: Kind) -> Result<Option<Vec<u8>>, LogError> {
        let offset = |place: &Place| match kind {
            Kind::Block => place.block,
            Kind::Commit => place.commit,
        };
        let (file, path, place) = {
            let segments = self.read();
            let active = &segments.active;
            if height >= active.first {
                let index = usize::try_from(height - active.first).unwrap_or(usize::MAX);
                let Some(place) = active.places.get(index) else { return Ok(None) };
                (Arc::clone(&active.file), active.path.clone(), *place)
            } else {
                let Some((first, sealed)) = segments.sealed.range(..=height).next_back() else {
                    return Ok(None);
                };
                let (first, sealed) = (*first, Arc::clone(sealed));
                drop(segments);
                let places = self.places(first, &sealed)?;
                let index = usize::try_from(height - first).unwrap_or(usize::MAX);
                let Some(place) = places.get(index) else { return Ok(None) };
                return segment::read(&sealed.file, &sealed.path, offset(place), kind).map(Some);
            }
        };
        segment::read(&file, &path, offset(&place), kind).map(Some)
    }

    /// Where heights stand in a sealed segment: read once, then kept for a while.
    fn places(&self, first: Height, sealed: &Sealed) -> Result<Arc<Vec<Place>>, LogError> {
        let mut places = sealed.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = &*places {
            return Ok(Arc::clone(places));
        }
        let scan = segment::scan(&sealed.path, first, self.0.genesis, false)?;
        let found = Arc::new(scan.places);
        *places = Some(Arc::clone(&found));
        drop(places);
        let mut segments = self.write();
        segments.cached.push(first);
        if segments.cached.len() > INDEX_CACHE {
            let oldest = segments.cached.remove(0);
            if let Some(oldest) = segments.sealed.get(&oldest).cloned() {
                drop(segments);
                *oldest.places.lock().unwrap_or_else(PoisonError::into_inner) = None;
            }
        }
        Ok(found)
    }

    /// Seals the active segment and starts the next. Undecided blocks stay behind: they are of
    /// heights that are over, or will be written again.
    fn roll(&self, writer: &mut Writer) -> Result<(), LogError> {
        writer.file.sync_all()?;
        let first = writer.next;
        let file = Arc::new(segment::create(&self.0.directory, first, self.0.genesis)?);
        let path = segment::path(&self.0.directory, first);
        let reader = Arc::new(File::open(&path)?);
        info!(segment = %path.display(), "started a new segment of the block log");
        let active = Active { first, path, file: reader, places: Vec::new() };
        let mut segments = self.write();
        let old = std::mem::replace(&mut segments.active, active);
        let sealed =
            Sealed { file: File::open(&old.path)?, path: old.path, places: Mutex::new(None) };
        segments.sealed.insert(old.first, Arc::new(sealed));
        writer.file = file;
        writer.end = segment::PREAMBLE;
        writer.undecided.clear();
        Ok(())
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Segments> {
        self.0.segments.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Segments> {
        self.0.segments.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Cuts a torn tail off and says so. Returns where to write on.
fn cut_tail(file: &File, path: &Path, scan: &Scan, genesis: BlockId) -> Result<u64, LogError> {
    if scan.torn > 0 {
        warn!(
            segment = %path.display(),
            offset = scan.end,
            bytes = scan.torn,
            "the block log ends in a write that was never finished; cutting it off"
        );
        file.set_len(scan.end)?;
    }
    let mut end = scan.end;
    if end < segment::PREAMBLE {
        let preamble = segment::preamble(genesis);
        file.write_all_at(&preamble, 0)?;
        end = segment::PREAMBLE;
    }
    file.sync_all()?;
    Ok(end)
}
