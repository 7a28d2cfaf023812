//! How long to wait before another attempt.

use std::time::Duration;

use fastrand::Rng;

/// Returns a random time between half of `base` doubled `failures` times, at most
/// `max`, and the whole of it. So sinks that failed together do not try again together.
pub(crate) fn doubled(rng: &mut Rng, base: Duration, failures: u32, max: Duration) -> u64 {
    let factor = 1_u32.checked_shl(failures.min(30)).unwrap_or(u32::MAX);
    let whole = milliseconds(base.saturating_mul(factor).min(max));
    rng.u64(whole / 2..=whole)
}

/// Returns a time that differs from `delay` by at most a tenth.
pub(crate) fn jittered(rng: &mut Rng, delay: Duration) -> u64 {
    let whole = milliseconds(delay);
    rng.u64(whole - whole / 10..=whole.saturating_add(whole / 10))
}

/// Returns a duration in whole milliseconds.
pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_maximum() {
        let mut rng = Rng::with_seed(1);
        let (base, max) = (Duration::from_secs(1), Duration::from_secs(300));
        for (failures, whole) in [(0, 1_000), (3, 8_000), (9, 300_000), (u32::MAX, 300_000)] {
            for _ in 0..100 {
                let wait = doubled(&mut rng, base, failures, max);
                assert!((whole / 2..=whole).contains(&wait), "{failures}: {wait}");
            }
        }
        for _ in 0..100 {
            let wait = jittered(&mut rng, base);
            assert!((900..=1100).contains(&wait), "{wait}");
        }
        assert_eq!(jittered(&mut rng, Duration::ZERO), 0);
    }
}
