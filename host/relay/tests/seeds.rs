//! Which seeds run: those that once found a fault, and some more.

/// How many seeds run by default.
const SEEDS: u64 = 300;

/// Runs `check` with the seeds that once failed, and with as many more as
/// `BATCHTASK_TEST_SINK_SEEDS` says. Names the seed of a failure: add it to `failed`.
pub(crate) fn run(failed: &[u64], check: fn(u64)) {
    let seeds = std::env::var("BATCHTASK_TEST_SINK_SEEDS");
    let seeds = seeds.map_or(SEEDS, |text| text.parse().expect("a number"));
    for seed in failed.iter().copied().chain(0..seeds) {
        let checked = std::panic::catch_unwind(|| check(seed));
        assert!(checked.is_ok(), "the schedule of seed {seed} fails");
    }
}
