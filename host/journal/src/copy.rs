//! Copies the whole content of a journal to another one, of any backend.
//!
//! - [`record`]: the content as records.
//! - `verify`: compares the copy with its source.
//!
//! A copy keeps everything: the numbers of events and rejects, counts, times of
//! arrival, used signatures, and the digests of pruned events. It can be interrupted at
//! any time and continued later. Until it is complete, the target cannot be opened as a
//! journal.

pub mod record;
mod verify;

use async_trait::async_trait;
use tokio::sync::mpsc;

use self::record::{Part, Records, Totals};
use crate::{Error, error_text};

/// How many batches wait between the part that reads and the part that stores.
pub const BATCHES_WAITING: usize = 2;

/// The records of a part, in batches.
pub type Batches = mpsc::Receiver<Result<Records, Error>>;

/// A journal that is opened for a copy, instead of for receiving.
#[async_trait]
pub trait Content: Send + Sync {
    /// Returns the state of the journal as a whole.
    async fn head(&self) -> Result<Head, Error>;

    /// Reads the records of a part, without the first `skip`. Their order is the same
    /// in every journal: see [`Part`].
    fn read(&self, part: Part, skip: u64) -> Batches;

    /// Marks an empty journal as an incomplete copy of the version `source`.
    async fn begin(&self, source: &str) -> Result<(), Error>;

    /// Stores records, and that the copy has reached `place`, or does neither.
    async fn add(&self, records: Records, place: Place) -> Result<(), Error>;

    /// Stores the totals, and removes the mark.
    async fn finish(&self, totals: &Totals) -> Result<(), Error>;
}

/// The state of a journal as a whole.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Head {
    /// Which journal this is, and in which state: another one after each commit.
    pub version: String,
    /// The totals.
    pub totals: Totals,
    /// The number of records of each part, in the order of [`Part::ALL`].
    pub counts: [u64; Part::ALL.len()],
    /// Set if the journal is an incomplete copy.
    pub copying: Option<Copying>,
}

impl Head {
    fn is_empty(&self) -> bool {
        let totals = Totals {
            clock_ms: self.totals.clock_ms,
            ..Totals::default()
        };
        self.totals == totals && self.counts.iter().all(|count| *count == 0)
    }
}

/// What an incomplete copy knows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Copying {
    /// The version of the source.
    pub source: String,
    /// How far the copy has come.
    pub place: Place,
}

/// How far a copy has come: all parts before this one, and a number of its records.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Place {
    /// The part.
    pub part: Part,
    /// How many of its records are copied.
    pub records: u64,
}

impl Place {
    /// The beginning.
    pub const START: Self = Self {
        part: Part::Tasks,
        records: 0,
    };
}

/// Why a journal was not copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The source cannot be read.
    #[error("the source cannot be read: {0}")]
    Source(String),
    /// The target cannot be written, or not read back.
    #[error("the target cannot be used: {0}. The same command continues the copy")]
    Target(String),
    /// The source is itself an incomplete copy.
    #[error("the source is an incomplete copy: complete it first")]
    SourceIncomplete,
    /// The target has content of its own.
    #[error("the target is not empty: choose an empty one")]
    NotEmpty,
    /// The target is an incomplete copy of another source.
    #[error(
        "the target is an incomplete copy of another journal, or the source has changed since it \
         was begun: remove the target, and copy again"
    )]
    OtherSource,
    /// Something wrote to the source during the copy.
    #[error(
        "the source has changed during the copy: stop all receivers that use it, remove the \
         target, and copy again"
    )]
    SourceChanged,
    /// The copy is not the same as its source.
    #[error("the copy differs from its source in its {0}: remove the target, and copy again")]
    Differs(&'static str),
}

/// The result of a copy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Copied {
    /// The number of records of each part, in the order of [`Part::ALL`].
    pub counts: [u64; Part::ALL.len()],
    /// The SHA-256 over all records and totals, as they were read back.
    pub digest: [u8; 32],
}

/// What a copy is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// It copies records.
    Copying,
    /// It compares records.
    Verifying,
}

/// A report on a copy: the phase, and how many of how many records it has done.
pub type Report<'a> = &'a mut (dyn FnMut(Phase, u64, u64) + Send);

/// Copies the content of `from` to `to`, which must be empty or an incomplete copy of
/// `from`, and compares all of it. Nothing may write to `from` meanwhile.
///
/// # Errors
/// See [`CopyError`]. After an error of the target, the same call continues.
pub async fn copy(
    from: &dyn Content,
    to: &dyn Content,
    report: Report<'_>,
) -> Result<Copied, CopyError> {
    let source = from.head().await.map_err(of_source)?;
    if source.copying.is_some() {
        return Err(CopyError::SourceIncomplete);
    }
    let place = start(&source, to).await?;
    copy_records(from, to, place, &source, report).await?;
    let copied = verify::verify(from, to, &source, report).await?;
    if from.head().await.map_err(of_source)?.version != source.version {
        return Err(CopyError::SourceChanged);
    }
    to.finish(&source.totals).await.map_err(of_target)?;
    let target = to.head().await.map_err(of_target)?;
    if target.totals != source.totals {
        return Err(CopyError::Differs("totals"));
    }
    Ok(copied)
}

/// Begins the copy, or returns the place at which it goes on.
async fn start(source: &Head, to: &dyn Content) -> Result<Place, CopyError> {
    let target = to.head().await.map_err(of_target)?;
    match target.copying {
        Some(copying) if copying.source == source.version => Ok(copying.place),
        Some(_) => Err(CopyError::OtherSource),
        None if !target.is_empty() => Err(CopyError::NotEmpty),
        None => {
            to.begin(&source.version).await.map_err(of_target)?;
            Ok(Place::START)
        }
    }
}

async fn copy_records(
    from: &dyn Content,
    to: &dyn Content,
    place: Place,
    source: &Head,
    report: Report<'_>,
) -> Result<(), CopyError> {
    let total = source.counts.iter().sum();
    let mut done = 0;
    for (part, count) in Part::ALL.into_iter().zip(source.counts) {
        if part < place.part {
            done += count;
            continue;
        }
        let mut records = if part == place.part { place.records } else { 0 };
        let mut batches = from.read(part, records);
        report(Phase::Copying, done + records, total);
        while let Some(batch) = batches.recv().await {
            let batch = batch.map_err(of_source)?;
            records += batch.len() as u64;
            let place = Place { part, records };
            to.add(batch, place).await.map_err(of_target)?;
            report(Phase::Copying, done + records, total);
        }
        done += records;
    }
    Ok(())
}

fn of_source(error: Error) -> CopyError {
    CopyError::Source(error_text(error))
}

fn of_target(error: Error) -> CopyError {
    CopyError::Target(error_text(error))
}
