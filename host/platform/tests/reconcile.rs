//! The search for lost changes, simulated with a clock of its own: 500 tasks, 30 %
//! of the pushes lost, 5 % repeated, the others out of order, and an hour in which
//! neither pushes nor answers come through.
//!
//! | module | content |
//! |---|---|
//! | `world` | the platform and the receiver of the simulation |
//! | `asking` | the search on a real socket |
//! | `verdicts` | single answers |

mod asking;
mod verdicts;
mod world;

use batchtask_platform::reconcile::{Details, Next, Query, Schedule, ScheduleOptions, Verdict};

use self::world::{HOUR_MS, MINUTE_MS, World};

const OPTIONS: ScheduleOptions = ScheduleOptions {
    calls_per_second: 10,
    silent_after_ms: 15 * MINUTE_MS,
    recheck_ms: 10 * MINUTE_MS,
    scan_ms: 60 * MINUTE_MS,
    adopt_since_ms: 24 * HOUR_MS,
};

/// Runs the simulation to its end. Returns the world and the times of all calls.
fn simulate(seed: u64) -> (World, Vec<u64>) {
    let mut world = World::new(seed, 500);
    let mut schedule = Schedule::new(OPTIONS, vec![world::APP.into()]);
    let mut calls = Vec::new();
    let mut now_ms = world.start_ms;
    while now_ms < world.end_ms {
        for task in world.arrivals(now_ms) {
            schedule.learn(&task, now_ms);
        }
        match schedule.next(now_ms) {
            Next::Wait(until_ms) => {
                let until_ms = until_ms.min(world.next_arrival_ms()).min(world.end_ms);
                now_ms = until_ms.max(now_ms + 1);
            }
            Next::Call(call) => {
                calls.push(now_ms);
                exchange(&mut world, &mut schedule, call, now_ms);
            }
        }
    }
    (world, calls)
}

fn exchange(world: &mut World, schedule: &mut Schedule, query: Query, now_ms: u64) {
    if world.is_cut_off(now_ms) {
        return schedule.failed(query, true, now_ms);
    }
    match query {
        Query::Show(key, _) => {
            let seen = world.show(&key, now_ms);
            let (task, verdict) = world.store(&seen, OPTIONS.adopt_since_ms, now_ms);
            schedule.shown();
            schedule.settle(&task.unwrap(), &verdict, now_ms);
        }
        Query::List(listed) => {
            let page = world.list(&listed, now_ms);
            for task in &page.items {
                let seen = world.seen(task, now_ms);
                let (task, verdict) = world.store(&seen, OPTIONS.adopt_since_ms, now_ms);
                if let Some(task) = task {
                    schedule.settle(&task, &verdict, now_ms);
                }
            }
            schedule.listed(listed, &page, now_ms);
        }
    }
}

#[test]
fn every_task_ends_in_the_platforms_state() {
    for seed in 0..20 {
        let (world, calls) = simulate(seed);
        for key in world.keys() {
            let local = world.local(&key);
            let status = local.as_ref().map(|task| task.status.as_str());
            assert_eq!(
                status,
                Some(world.status(&key, world.end_ms)),
                "seed {seed}: {key:?}"
            );
        }
        let (lost, found) = (world.lost, world.found);
        assert!(lost > 700, "seed {seed}: {lost} lost");
        assert!(
            found > 100 && found <= lost,
            "seed {seed}: {found} found, {lost} lost"
        );
        assert_eq!(world.useless, 0, "seed {seed}: events that changed nothing");
        assert_eq!(world.named(), 500, "seed {seed}");
        // The budget holds in every second.
        let mut window = std::collections::VecDeque::new();
        for at_ms in &calls {
            window.push_back(*at_ms);
            while window.front().is_some_and(|first| first + 1000 <= *at_ms) {
                window.pop_front();
            }
            assert!(
                window.len() <= 10,
                "seed {seed}: {} calls in a second",
                window.len()
            );
        }
    }
}

#[test]
fn a_lost_end_is_found_with_the_next_recheck() {
    for seed in 0..5 {
        let (world, _) = simulate(seed);
        let delays_ms = world.delays_ms();
        assert!(
            delays_ms.len() > 100,
            "seed {seed}: {} tasks",
            delays_ms.len()
        );
        let longest_ms = delays_ms.into_iter().max().unwrap();
        // Calls wait for each other, and answers may be overtaken.
        let limit_ms = OPTIONS.recheck_ms + 2 * MINUTE_MS;
        assert!(longest_ms <= limit_ms, "seed {seed}: {longest_ms} ms");
    }
}

#[test]
fn an_outage_costs_few_calls() {
    let (world, calls) = simulate(7);
    let cut_off = calls
        .iter()
        .filter(|at_ms| world.is_cut_off(**at_ms))
        .count();
    assert!((10..40).contains(&cut_off), "{cut_off} calls in an hour");
    assert!(calls.len() < 12_000, "{} calls", calls.len());
}

#[test]
fn the_same_seed_gives_the_same_run() {
    assert_eq!(simulate(3).1, simulate(3).1);
    assert_ne!(simulate(3).1, simulate(4).1);
}

/// Returns how often a task was asked for in an hour.
fn asked_in_an_hour(answer: impl Fn(&mut Schedule, Query, u64)) -> usize {
    let mut schedule = Schedule::new(OPTIONS, Vec::new());
    schedule.learn(&world::open_task("1", 0), 1);
    let (mut now_ms, mut calls) = (1, 0);
    while now_ms < HOUR_MS {
        match schedule.next(now_ms) {
            Next::Wait(until_ms) => now_ms = until_ms.max(now_ms + 1),
            Next::Call(query) => {
                calls += 1;
                answer(&mut schedule, query, now_ms);
            }
        }
    }
    calls
}

#[test]
fn a_task_that_is_dated_ahead_costs_few_calls() {
    let overtaken = Verdict::Overtaken(Details::default());
    let calls = asked_in_an_hour(|schedule, _, now_ms| {
        schedule.shown();
        schedule.settle(&world::open_task("1", 10 * HOUR_MS), &overtaken, now_ms);
    });
    assert!(calls <= 7, "{calls}");
}

#[test]
fn a_clock_that_is_set_back_stops_nothing() {
    let mut schedule = Schedule::new(OPTIONS, vec!["a".into()]);
    let late_ms = 100 * HOUR_MS;
    let Next::Call(query) = schedule.next(late_ms) else {
        panic!("the first scan is due");
    };
    schedule.failed(query, true, late_ms);
    let Next::Wait(at_ms) = schedule.next(HOUR_MS) else {
        panic!("a call failed");
    };
    assert!(at_ms <= HOUR_MS + 5 * MINUTE_MS, "{at_ms}");
    assert!(matches!(schedule.next(at_ms), Next::Call(_)));
}

#[test]
fn a_call_that_fails_again_and_again_does_not_block_the_others() {
    for is_temporary in [true, false] {
        check_a_failing_call(is_temporary);
    }
}

fn check_a_failing_call(is_temporary: bool) {
    let mut schedule = Schedule::new(OPTIONS, vec!["a".into()]);
    for number in 0..3 {
        schedule.learn(&world::open_task(&format!("{number}"), 0), 1);
    }
    let mut now_ms = 1;
    let mut shown = Vec::new();
    while now_ms < 10 * MINUTE_MS {
        match schedule.next(now_ms) {
            Next::Wait(until_ms) => now_ms = until_ms.max(now_ms + 1),
            Next::Call(Query::Show(key, _)) if key.task_id != "1" => {
                shown.push(key.task_id.clone());
                schedule.shown();
                schedule.forget(&key);
            }
            Next::Call(query) => schedule.failed(query, is_temporary, now_ms),
        }
    }
    assert_eq!(shown, ["0", "2"]);
    assert_eq!(schedule.waiting(), 1);
}
