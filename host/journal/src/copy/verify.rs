//! Compares a copy with its source, by counts and by digests over everything that is
//! read from both.

use std::hash::{Hash, Hasher};

use sha2::{Digest, Sha256};

use super::record::Part;
use super::{Content, Copied, CopyError, Head, Phase, Report, of_source, of_target};
use crate::Error;

/// Feeds what is hashed to SHA-256, without a copy.
#[derive(Default)]
struct Sha(Sha256);

impl Hasher for Sha {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Is not used: the digest is longer.
    fn finish(&self) -> u64 {
        0
    }
}

/// Compares all parts. Returns the counts, and the digest over everything.
pub(super) async fn verify(
    from: &dyn Content,
    to: &dyn Content,
    source: &Head,
    report: Report<'_>,
) -> Result<Copied, CopyError> {
    let total: u64 = source.counts.iter().sum();
    let (mut done, mut all) = (0, Sha::default());
    for (part, count) in Part::ALL.into_iter().zip(source.counts) {
        let copied = async { digest(to, part, &mut |_| ()).await.map_err(of_target) };
        let mut reported = |records| report(Phase::Verifying, done + records, total);
        let original = async { digest(from, part, &mut reported).await.map_err(of_source) };
        let (original, copied) = tokio::try_join!(original, copied)?;
        if original != copied || original.0 != count {
            return Err(CopyError::Differs(part.name()));
        }
        done += count;
        original.hash(&mut all);
    }
    source.totals.hash(&mut all);
    Ok(Copied {
        counts: source.counts,
        digest: all.0.finalize().into(),
    })
}

/// Returns the number of records of a part, and the digest over them.
async fn digest(
    content: &dyn Content,
    part: Part,
    report: &mut (dyn FnMut(u64) + Send),
) -> Result<(u64, [u8; 32]), Error> {
    let (mut records, mut sha) = (0, Sha::default());
    let mut batches = content.read(part, 0);
    while let Some(batch) = batches.recv().await {
        let batch = batch?;
        records += batch.len() as u64;
        batch.hash_each(&mut sha);
        report(records);
    }
    Ok((records, sha.0.finalize().into()))
}
