//! The block log: the one truth (architecture, "where truth lives").
//!
//! Append-only. A block with its observations and batches is written and fsynced before this node
//! votes for it, its certificate before anybody hears of the decision. One thread writes, so that
//! everything that waits is made durable by one fsync; any thread reads.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tracing::{info, warn};
use weft_types::{Block, BlockId, Certificate, Height};

use super::frame::{Head, Kind};
use super::segment::{self, Place, Segment};
use super::{LogError, Opened, durable, index};

/// Most sealed segments whose places are kept in memory.
const INDEX_CACHE: usize = 8;

/// How long what is written without waiting for the disk may stay in memory alone.
const SYNC_EVERY: Duration = Duration::from_secs(5);

/// The log, shared by whoever reads it.
#[derive(Clone)]
pub struct Log(Arc<Inner>);

struct Inner {
    directory: PathBuf,
    genesis: BlockId,
    segment_bytes: u64,
    segments: RwLock<Segments>,
    writer: Mutex<Writer>,
    /// Held while a sealed segment or its index is read as a whole: one at a time.
    reading: Mutex<()>,
}

struct Segments {
    /// Sealed segments by first height.
    sealed: BTreeMap<Height, Arc<Sealed>>,
    /// The segment that is written to.
    active: Active,
    /// Sealed segments whose places are in memory, oldest first.
    cached: Vec<Height>,
}

struct Sealed {
    segment: Arc<Segment>,
    places: Mutex<Option<Arc<Vec<Place>>>>,
}

struct Active {
    segment: Arc<Segment>,
    places: Vec<Place>,
}

struct Writer {
    segment: Arc<Segment>,
    end: u64,
    /// Whether something torn stands behind the end. It is cut off before anything is written, and
    /// until then left for whoever opens the log next.
    torn: bool,
    /// How much of the segment is on disk for certain.
    durable: u64,
    synced_at: Instant,
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
    /// Opens the log in a directory, making it if there is none. Refuses a log that is damaged,
    /// unless the damage is a torn tail; that is cut off with the first write.
    pub fn open(
        directory: &Path,
        genesis: BlockId,
        segment_bytes: u64,
    ) -> Result<(Self, Opened), LogError> {
        durable::create_directory(directory)?;
        let mut segments = segment::list(directory)?;
        let last = match segments.pop_last() {
            Some((first, path)) => Segment::open(&path, first, genesis, true)?,
            None => segment::create(directory, 1, genesis, [])?.0,
        };
        let scan = last.scan(true)?;
        if scan.torn > 0 {
            warn!(
                segment = %last.path.display(),
                offset = scan.end,
                bytes = scan.torn,
                "the block log has a torn tail: a write that was never finished. It will be cut off"
            );
        }
        // A process that was killed may have left what only memory holds.
        last.file.sync_all()?;

        let sealed = segments
            .into_iter()
            .map(|(first, path)| {
                let segment = Arc::new(Segment::open(&path, first, genesis, false)?);
                Ok((first, Arc::new(Sealed { segment, places: Mutex::default() })))
            })
            .collect::<Result<BTreeMap<_, _>, LogError>>()?;
        let opened = Opened {
            tip: last.first + scan.places.len() as u64 - 1,
            torn_bytes: scan.torn,
            undecided: scan.undecided.keys().copied().collect(),
        };
        let segment = Arc::new(last);
        let writer = Writer {
            segment: Arc::clone(&segment),
            end: scan.end,
            torn: scan.torn > 0,
            durable: scan.end,
            synced_at: Instant::now(),
            undecided: scan.undecided,
            next: opened.tip + 1,
        };
        let active = Active { segment, places: scan.places };
        let log = Self(Arc::new(Inner {
            directory: directory.to_owned(),
            genesis,
            segment_bytes,
            segments: RwLock::new(Segments { sealed, active, cached: Vec::new() }),
            writer: Mutex::new(writer),
            reading: Mutex::default(),
        }));
        Ok((log, opened))
    }

    /// The last height whose certificate is in the log; 0 for none.
    pub fn tip(&self) -> Height {
        let segments = self.read();
        segments.active.segment.first + segments.active.places.len() as u64 - 1
    }

    /// Writes records, in order, and makes them durable. Blocks that are in the log already are
    /// not written again. Without `sync` they are durable when more has been written some seconds
    /// later.
    pub fn append(&self, records: &[Record<'_>], sync: bool) -> Result<(), LogError> {
        let mut writer = self.writer();
        writer.cut_tail()?;
        let mut bytes = Vec::new();
        let mut places = Vec::new();
        for record in records {
            let offset = writer.end + bytes.len() as u64;
            match record {
                Record::Block { id, height, bytes: block } => {
                    if writer.undecided.contains_key(id) {
                        continue;
                    }
                    writer.lay_out(Kind::Block, block, &mut bytes)?;
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
                    writer.lay_out(Kind::Commit, &payload, &mut bytes)?;
                    places.push(Place { block, commit: offset });
                    writer.next += 1;
                    let decided = certificate.height;
                    writer.undecided.retain(|_, (height, _)| *height > decided);
                }
            }
        }
        writer.segment.file.write_all_at(&bytes, writer.end)?;
        writer.end += bytes.len() as u64;
        if sync || writer.synced_at.elapsed() >= SYNC_EVERY {
            writer.sync()?;
        }
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
        self.writer().sync()
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
        let (segment, offset) = {
            let writer = self.writer();
            let Some((_, offset)) = writer.undecided.get(id) else { return Ok(None) };
            (Arc::clone(&writer.segment), *offset)
        };
        segment::block(&segment.read(offset, Kind::Block)?).map(Some)
    }

    fn at(&self, height: Height, kind: Kind) -> Result<Option<Vec<u8>>, LogError> {
        let Some((segment, place)) = self.place(height)? else { return Ok(None) };
        let offset = match kind {
            Kind::Block => place.block,
            Kind::Commit => place.commit,
        };
        segment.read(offset, kind).map(Some)
    }

    /// Where a decided height stands.
    fn place(&self, height: Height) -> Result<Option<(Arc<Segment>, Place)>, LogError> {
        let at = |places: &[Place], first: Height| {
            let index = usize::try_from(height.checked_sub(first)?).ok()?;
            places.get(index).copied()
        };
        let segments = self.read();
        let active = &segments.active;
        if height >= active.segment.first {
            let place = at(&active.places, active.segment.first);
            return Ok(place.map(|place| (Arc::clone(&active.segment), place)));
        }
        let sealed = segments.sealed.range(..=height).next_back().map(|(_, s)| Arc::clone(s));
        drop(segments);
        let Some(sealed) = sealed else { return Ok(None) };
        let place = at(&self.places(&sealed)?, sealed.segment.first);
        Ok(place.map(|place| (Arc::clone(&sealed.segment), place)))
    }

    /// Where heights stand in a sealed segment: from its index, or else from itself. Kept for a
    /// while.
    fn places(&self, sealed: &Sealed) -> Result<Arc<Vec<Place>>, LogError> {
        let mut places = lock(&sealed.places);
        if let Some(places) = &*places {
            return Ok(Arc::clone(places));
        }
        let segment = &sealed.segment;
        let one_at_a_time = lock(&self.0.reading);
        let found = match index::read(segment) {
            Some(found) => found,
            None => {
                let scan = segment.scan(false)?;
                write_index(segment, &scan.places);
                scan.places
            }
        };
        drop(one_at_a_time);
        let found = Arc::new(found);
        *places = Some(Arc::clone(&found));
        drop(places);
        let mut segments = self.write();
        segments.cached.push(segment.first);
        if segments.cached.len() > INDEX_CACHE {
            let oldest = segments.cached.remove(0);
            if let Some(oldest) = segments.sealed.get(&oldest).cloned() {
                drop(segments);
                *lock(&oldest.places) = None;
            }
        }
        Ok(found)
    }

    /// Seals the active segment and starts the next. Blocks above the tip are taken along: they
    /// have been reported durable, and may be decided.
    fn roll(&self, writer: &mut Writer) -> Result<(), LogError> {
        writer.sync()?;
        let old = Arc::clone(&writer.segment);
        let blocks = writer.undecided.values().map(|(_, offset)| old.read(*offset, Kind::Block));
        let (next, offsets) =
            segment::create(&self.0.directory, writer.next, self.0.genesis, blocks)?;
        info!(segment = %next.path.display(), "started a new segment of the block log");
        for ((_, offset), moved) in writer.undecided.values_mut().zip(offsets) {
            *offset = moved;
        }
        writer.end = next.length()?;
        writer.durable = writer.end;
        writer.segment = Arc::new(next);

        let active = Active { segment: Arc::clone(&writer.segment), places: Vec::new() };
        let mut segments = self.write();
        let sealed = std::mem::replace(&mut segments.active, active);
        let places = sealed.places;
        let sealed = Sealed { segment: sealed.segment, places: Mutex::default() };
        segments.sealed.insert(old.first, Arc::new(sealed));
        drop(segments);
        write_index(&old, &places);
        Ok(())
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        lock(&self.0.writer)
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Segments> {
        self.0.segments.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Segments> {
        self.0.segments.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    /// Lays out a frame behind those that are about to be written.
    fn lay_out(&self, kind: Kind, payload: &[u8], out: &mut Vec<u8>) -> Result<(), LogError> {
        let offset = self.end + out.len() as u64;
        let head = Head::new(&self.segment.salt, offset, self.durable, kind, payload)?;
        head.write(out);
        out.extend_from_slice(payload);
        Ok(())
    }

    fn cut_tail(&mut self) -> Result<(), LogError> {
        if self.torn {
            self.segment.file.set_len(self.end)?;
            self.segment.file.sync_all()?;
            self.torn = false;
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), LogError> {
        self.segment.file.sync_data()?;
        self.durable = self.end;
        self.synced_at = Instant::now();
        Ok(())
    }
}

/// Reads and checks every frame of every segment in a directory, and changes nothing. `seen` hears
/// of each segment done and how many heights it holds.
pub fn verify(
    directory: &Path,
    genesis: BlockId,
    mut seen: impl FnMut(&Path, usize),
) -> Result<Opened, LogError> {
    let segments = segment::list(directory)?;
    let last = segments.keys().next_back().copied();
    let mut opened = Opened { tip: 0, torn_bytes: 0, undecided: Vec::new() };
    for (first, path) in segments {
        let expected = opened.tip + 1;
        if first != expected {
            return Err(LogError::Gap { expected, actual: first });
        }
        let scan = Segment::open(&path, first, genesis, false)?.scan(Some(first) == last)?;
        opened = Opened {
            tip: opened.tip + scan.places.len() as u64,
            torn_bytes: scan.torn,
            undecided: scan.undecided.into_keys().collect(),
        };
        seen(&path, scan.places.len());
    }
    Ok(opened)
}

/// Without its index a segment is read as a whole; that is all.
fn write_index(segment: &Segment, places: &[Place]) {
    if let Err(error) = index::write(segment, places) {
        warn!(%error, segment = %segment.path.display(), "the segment's index cannot be written");
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
