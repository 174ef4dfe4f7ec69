//! The thread that writes: all that waits becomes one write and one sync, while more gathers.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::frame::{BlockInfo, Compressor, Header, MAX_BLOCKS, Packed};
use super::segment::{self, Found};
use super::shared::{Handle, Segment};
use super::{Limits, Offset, Records};
use crate::StoreError;
use crate::snapshots::sync_folder;

/// Batches from this size on are compressed by whoever appends them; smaller ones together, by the thread.
pub(super) const LARGE: usize = 64 << 10;
/// Bytes of small batches that one frame gathers.
const GATHERED: usize = 1 << 20;
/// Compressors that are kept.
const COMPRESSORS: usize = 16;
/// Bytes that are handed to the system at once.
const BUFFERED: usize = 4 << 20;

/// Called with the answer, on the thread.
pub(super) type Done = Box<dyn FnOnce(Result<Offset, StoreError>) + Send>;

/// What waits to be written.
struct Waiting {
    what: What,
    /// Bytes that it holds.
    bytes: usize,
    done: Done,
}

enum What {
    /// A large batch, compressed.
    Packed(Packed),
    /// A small one.
    Plain(BlockInfo, Records),
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    closing: bool,
}

struct Desk {
    queue: Mutex<Queue>,
    /// Something waits, or the log closes.
    arrived: Condvar,
    /// There is room in the queue.
    taken: Condvar,
    compressors: Mutex<Vec<Compressor>>,
    limit: usize,
}

/// The way to the thread; dropping it lets the thread finish what waits.
pub(super) struct Writer {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(shared: Handle, limits: Limits) -> Result<Self, StoreError> {
        let desk = Arc::new(Desk {
            queue: Mutex::default(),
            arrived: Condvar::new(),
            taken: Condvar::new(),
            compressors: Mutex::default(),
            limit: limits.max_waiting_bytes,
        });
        let folder = shared.folder.clone();
        let thread = Thread {
            desk: desk.clone(),
            shared,
            limits,
            active: None,
        };
        let thread = std::thread::Builder::new()
            .name("neph-log".to_owned())
            .spawn(move || thread.run())
            .map_err(|error| StoreError::io("start a thread for", &folder, error))?;
        Ok(Self {
            desk,
            thread: Some(thread),
        })
    }

    /// Hands a batch over. Is there no room in the queue, it waits for it, or with `now` is busy.
    pub(super) fn append(&self, info: BlockInfo, records: Records, now: bool, done: Done) {
        let bytes = records.bytes.len() + records.ends.len() * size_of::<u32>();
        if !self.desk.has_room(bytes, now) {
            return done(Err(StoreError::Busy));
        }
        let what = match records.bytes.len() < LARGE {
            true => Ok(What::Plain(info, records)),
            false => self.desk.pack(vec![(info, records)]).map(What::Packed),
        };
        match what {
            Ok(what) => self.desk.put(Waiting { what, bytes, done }),
            Err(error) => {
                self.desk.leave(bytes);
                done(Err(error));
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.desk.queue().closing = true;
        self.desk.arrived.notify_all();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

impl Desk {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes room in the queue.
    fn has_room(&self, bytes: usize, now: bool) -> bool {
        let mut queue = self.queue();
        // One batch always has room, however large.
        while queue.bytes > 0 && queue.bytes + bytes > self.limit {
            if now {
                return false;
            }
            queue = self.taken.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.bytes += bytes;
        true
    }

    fn leave(&self, bytes: usize) {
        let mut queue = self.queue();
        queue.bytes = queue.bytes.saturating_sub(bytes);
        drop(queue);
        self.taken.notify_all();
    }

    fn put(&self, waiting: Waiting) {
        self.queue().waiting.push_back(waiting);
        self.arrived.notify_one();
    }

    fn pack(&self, blocks: Vec<(BlockInfo, Records)>) -> Result<Packed, StoreError> {
        let failed = |error: std::io::Error| StoreError::Refused {
            why: format!("it cannot be compressed: {error}"),
        };
        let pooled = self
            .compressors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let mut compressor = match pooled {
            Some(compressor) => compressor,
            None => Compressor::new().map_err(failed)?,
        };
        let packed = Packed::new(blocks, &mut compressor).map_err(failed);
        let mut kept = self.compressors.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < COMPRESSORS {
            kept.push(compressor);
        }
        packed
    }

    /// All that waits; waits itself while there is nothing. Empty when the log closes.
    fn take(&self) -> VecDeque<Waiting> {
        let mut queue = self.queue();
        while queue.waiting.is_empty() && !queue.closing {
            queue = self.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::take(&mut queue.waiting)
    }
}

/// A frame to be written, and who waits for which of its blocks: at which distance from the frame's offset it begins.
struct Job {
    packed: Packed,
    done: Vec<(u64, Done)>,
}

/// Small batches that become one frame.
#[derive(Default)]
struct Small {
    blocks: Vec<(BlockInfo, Records)>,
    done: Vec<(u64, Done)>,
    span: u64,
    bytes: usize,
}

impl Small {
    fn close(&mut self, desk: &Desk, jobs: &mut VecDeque<Job>) {
        let Self { blocks, done, .. } = std::mem::take(self);
        if blocks.is_empty() {
            return;
        }
        match desk.pack(blocks) {
            Ok(packed) => jobs.push_back(Job { packed, done }),
            Err(error) => done.into_iter().for_each(|(_, done)| done(Err(error.clone()))),
        }
    }
}

struct Thread {
    desk: Arc<Desk>,
    shared: Handle,
    limits: Limits,
    active: Option<Active>,
}

/// The segment that is written.
struct Active {
    file: File,
    path: PathBuf,
    /// Where the last durable frame ends.
    length: u64,
    /// Something may stand behind `length` that is not acknowledged, and must go first.
    dirty: bool,
    /// A sync failed: what the system still holds of this file cannot be trusted, so nothing more is added to it.
    distrusted: bool,
}

impl Thread {
    fn run(mut self) {
        loop {
            let waiting = self.desk.take();
            if waiting.is_empty() {
                return;
            }
            let bytes = waiting.iter().map(|one| one.bytes).sum();
            let mut jobs = self.jobs(waiting);
            while !jobs.is_empty() {
                self.write_some(&mut jobs);
            }
            self.desk.leave(bytes);
        }
    }

    /// Frames of what waits, in its order: small batches that stand together share one.
    fn jobs(&self, waiting: VecDeque<Waiting>) -> VecDeque<Job> {
        let mut jobs = VecDeque::new();
        let mut small = Small::default();
        for one in waiting {
            match one.what {
                What::Packed(packed) => {
                    small.close(&self.desk, &mut jobs);
                    jobs.push_back(Job {
                        packed,
                        done: vec![(0, one.done)],
                    });
                }
                What::Plain(info, records) => {
                    if small.bytes >= GATHERED || small.blocks.len() >= MAX_BLOCKS {
                        small.close(&self.desk, &mut jobs);
                    }
                    small.done.push((small.span, one.done));
                    small.span += info.span();
                    small.bytes += one.bytes;
                    small.blocks.push((info, records));
                }
            }
        }
        small.close(&self.desk, &mut jobs);
        jobs
    }

    /// Writes jobs from the front, as many as go into the segment, syncs once, and answers all of them.
    fn write_some(&mut self, jobs: &mut VecDeque<Job>) {
        let first = jobs.front().map_or(0, |job| job.packed.length() as u64);
        let room = match self.make_ready(first) {
            Ok(room) => room,
            Err(error) => return self.fail(jobs.drain(..), &error),
        };
        let mut taken: Vec<Job> = Vec::new();
        let mut length = 0;
        while let Some(job) = jobs.front() {
            length += job.packed.length() as u64;
            // A segment takes one frame at least.
            if length > room && !taken.is_empty() {
                break;
            }
            taken.extend(jobs.pop_front());
        }
        match self.check_room(length).and_then(|()| self.write(&mut taken)) {
            Ok(offsets) => {
                self.shared.tell();
                for (job, offset) in taken.into_iter().zip(offsets) {
                    for (distance, done) in job.done {
                        done(Ok(offset + distance));
                    }
                }
            }
            Err(error) => self.fail(taken, &error),
        }
    }

    fn fail(&self, jobs: impl IntoIterator<Item = Job>, error: &StoreError) {
        for job in jobs {
            let mut state = self.shared.state();
            for (info, _) in &job.packed.blocks {
                state.refuse(info.received, u64::from(info.records), error);
            }
            drop(state);
            for (_, done) in job.done {
                done(Err(error.clone()));
            }
        }
    }

    /// Sees to it that there is a segment that can take a frame of this length; gives the bytes that it has left.
    fn make_ready(&mut self, first: u64) -> Result<u64, StoreError> {
        let mut active = match self.active.take() {
            Some(active) => active,
            None => self.open_last()?,
        };
        let mended = active.mend();
        let full = active.length > 0 && active.length + first > self.limits.segment_bytes;
        if mended.is_ok() && (full || active.distrusted) {
            // Is there nothing in the old one, the new one takes its place.
            match self.begin_segment() {
                Ok(new) => active = new,
                Err(error) => {
                    self.active = Some(active);
                    return Err(error);
                }
            }
        }
        let room = self.limits.segment_bytes.saturating_sub(active.length);
        self.active = Some(active);
        mended.map(|()| room)
    }

    fn open_last(&self) -> Result<Active, StoreError> {
        let (begin, length) = {
            let state = self.shared.state();
            let last = state.segments.back();
            last.map_or((state.end, 0), |segment| (segment.begin, segment.length))
        };
        let path = segment::path(&self.shared.folder, begin);
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| StoreError::io("open", &path, error))?;
        Ok(Active::new(file, path, length))
    }

    fn begin_segment(&self) -> Result<Active, StoreError> {
        let begin = self.shared.state().end;
        let path = segment::path(&self.shared.folder, begin);
        // No record stands in a file of this name: its first would have this offset.
        let file = File::create(&path).map_err(|error| StoreError::io("create", &path, error))?;
        sync_folder(&self.shared.folder)?;
        {
            let mut state = self.shared.state();
            if state.segments.back().is_none_or(|last| last.begin < begin) {
                state.segments.push_back(Segment::new(begin));
            }
        }
        // An index that cannot be written is made anew when it is needed.
        self.shared.save_indexes().ok();
        Ok(Active::new(file, path, 0))
    }

    fn check_room(&self, more: u64) -> Result<(), StoreError> {
        let limits = &self.limits;
        // Retention keeps the log below its limit now and then; in between it may grow by an eighth.
        let stored: u64 = self
            .shared
            .state()
            .segments
            .iter()
            .map(|segment| segment.length)
            .sum();
        let most = limits.max_bytes.saturating_add(limits.max_bytes / 8);
        if stored.saturating_add(more) > most {
            return Err(StoreError::Full {
                why: format!(
                    "the event log has {stored} bytes, and may have {}",
                    limits.max_bytes
                ),
            });
        }
        match free_bytes(&self.shared.folder) {
            Some(free) if free < limits.min_free_bytes.saturating_add(more) => Err(StoreError::Full {
                why: format!(
                    "the disk has {free} bytes left, and {} are to stay free",
                    limits.min_free_bytes
                ),
            }),
            _ => Ok(()),
        }
    }

    /// Writes and syncs frames; gives the offset of each.
    fn write(&mut self, jobs: &mut [Job]) -> Result<Vec<Offset>, StoreError> {
        let Some(active) = &mut self.active else {
            return Ok(Vec::new());
        };
        let mut offset = self.shared.state().end;
        let mut headers = Vec::with_capacity(jobs.len());
        let mut position = active.length;
        active.dirty = true;
        let written = active.write(
            jobs.iter().map(|job| &job.packed),
            |header| {
                headers.push((position, header));
                position += header.length();
            },
            &mut offset,
        );
        if let Err(error) = written {
            // Room that the failed frames took may be what others need.
            active.mend().ok();
            return Err(error);
        }
        active.length = position;
        active.dirty = false;
        let mut state = self.shared.state();
        let mut offsets = Vec::with_capacity(jobs.len());
        for (job, (position, header)) in jobs.iter_mut().zip(headers) {
            offsets.push(header.offset);
            let blocks = std::mem::take(&mut job.packed.blocks);
            let infos: Vec<BlockInfo> = blocks.iter().map(|(info, _)| info.clone()).collect();
            if let Some(first) = infos.first() {
                state.accept(first.received);
            }
            if let Some(last) = state.segments.back_mut() {
                last.add(&Found {
                    position,
                    header,
                    infos,
                });
            }
            state.recent.add(header.offset, blocks);
        }
        state.end = offset;
        Ok(offsets)
    }
}

impl Active {
    fn new(file: File, path: PathBuf, length: u64) -> Self {
        Self {
            file,
            path,
            length,
            // What was written by a process that was killed was cut off when the log was opened.
            dirty: false,
            distrusted: false,
        }
    }

    /// Cuts off what is not acknowledged.
    fn mend(&mut self) -> Result<(), StoreError> {
        if self.dirty {
            let cut = self.file.set_len(self.length);
            cut.map_err(|error| StoreError::io("cut", &self.path, error))?;
            self.dirty = false;
        }
        Ok(())
    }

    fn write<'a>(
        &mut self,
        frames: impl Iterator<Item = &'a Packed>,
        mut written: impl FnMut(Header),
        offset: &mut Offset,
    ) -> Result<(), StoreError> {
        let failed = |error| StoreError::io("write", &self.path, error);
        self.file.seek(SeekFrom::Start(self.length)).map_err(failed)?;
        let mut buffer = Vec::new();
        for frame in frames {
            let header = frame.write(*offset, &mut buffer);
            *offset = header.end();
            written(header);
            if buffer.len() >= BUFFERED {
                self.file.write_all(&buffer).map_err(failed)?;
                buffer.clear();
            }
        }
        self.file.write_all(&buffer).map_err(failed)?;
        let synced = self.file.sync_data();
        // After a failed sync the system may have dropped what it held, and the next sync would say that all is well
        // (<https://wiki.postgresql.org/wiki/Fsync_Errors>).
        self.distrusted |= synced.is_err();
        synced.map_err(|error| StoreError::io("sync", &self.path, error))
    }
}

/// Bytes of the file system that a process without privileges may still use; `None` where the system does not tell.
#[cfg(unix)]
pub(super) fn free_bytes(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Not known.
#[cfg(not(unix))]
pub(super) fn free_bytes(_folder: &Path) -> Option<u64> {
    None
}
