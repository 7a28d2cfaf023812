//! Messages to chats, as their services see them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use batchtask_journal::{Entry, GroupCommit};
use batchtask_relay::report::{Condition, Level, Observed};
use batchtask_relay::{
    ChatOptions, Command, CommandError, Filter, HttpOptions, Kind, Language, Passing, Replay,
    Reply, ReportOptions, Service, SinkOptions, Start,
};

use crate::deliveries::{Running, event, journal};
use crate::receiver::{Reaction, Receiver};
use crate::services::{SERVICES, answer, seen, signs};

const SECRET: &str = "SEC0123456789abcdef";
/// Ids of a task that are markup in one of the services, in several scripts.
const ODD: &str = "[x](http://evil) <@all> *b* `c` _d_ # مهمة 任务 <!channel>";

fn options(service: &str, url: &str, secret: Option<&str>, language: Language) -> SinkOptions {
    let mut all = Service::ALL.iter();
    let (_, kind) = all.find(|(name, _)| *name == service).expect("known");
    SinkOptions {
        name: "hook".into(),
        filter: Filter::default(),
        start: Start::Beginning,
        passing: Passing::Digests(ReportOptions {
            every: Duration::from_secs(10),
            page: Some("https://receiver.example.com/iot".into()),
            language,
        }),
        kind: Kind::Chat(ChatOptions {
            http: HttpOptions {
                url: format!("{url}?access_token=hush"),
                timeout: Duration::from_secs(5),
                ..HttpOptions::default()
            },
            service: *kind,
            secret: secret.map(Into::into),
        }),
    }
}

/// A bot that checks messages as its service does.
async fn bot(service: &'static str, secret: Option<&'static str>) -> Receiver {
    Receiver::start(move |received| Reaction::Say(answer(service, secret, received))).await
}

/// Stores events of tasks whose ids begin with `prefix`.
async fn store(journal: &GroupCommit, first: u64, tasks: u64, prefix: &str, status: &str) {
    for number in first..first + tasks {
        let mut event = event(0, number);
        event.task_id = format!("{prefix}{number}");
        event.status = status.into();
        event.rank = batchtask_notification::Status::of(status).rank();
        event.status_desc = "文".repeat(300);
        let written = journal.write(Entry::Event(event, None)).await;
        written.expect("stored");
    }
}

async fn digest(service: &'static str, language: Language) {
    let secret = signs(service).then_some(SECRET);
    let bot = bot(service, secret).await;
    let journal = journal();
    let options = options(service, &bot.url(), secret, language);
    let running = Running::start(&journal, vec![options]);
    store(&journal, 0, 40, ODD, "Fail").await;
    let status = running.until(|status| status.results.delivered == 1).await;
    assert_eq!(
        status.results.refused + status.results.sink_failed,
        0,
        "{status:?}"
    );
    running.until(|status| status.lag_events() == 0).await;
    running.stop().await;
    let received = bot.received();
    assert_eq!(received.len(), 1, "one message for all events");
    let seen = seen(service, &received[0].json());
    let title = match language {
        Language::English => "40 changes of batch tasks",
        Language::Chinese => "批量任务有 40 次状态变化",
    };
    assert!(seen.contains(title), "{service}: {seen}");
    let task = match service {
        // It knows no escapes.
        "wecom" => "［x］(http://evil) ＜@all＞ ＊b＊ ｀c｀ _d_ ＃ مهمة 任务 ＜!channel＞0".into(),
        _ => format!("{ODD}0"),
    };
    assert!(seen.contains(&task), "{service}: {seen}");
    let link = "https://receiver.example.com/iot/page/tasks/app/%5Bx%5D%28http%3A%2F%2Fevil%29";
    assert!(seen.contains(link), "{service}: {seen}");
    // After a restart, nothing is sent again.
    let options = self::options(service, &bot.url(), secret, language);
    let running = Running::start(&journal, vec![options]);
    running.until(|status| status.last_seq == 40).await;
    running.stop().await;
    assert_eq!(bot.received_count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_service_accepts_a_digest() {
    let languages = [Language::English, Language::Chinese];
    let all = SERVICES.iter().zip(languages.into_iter().cycle());
    let mut tests = tokio::task::JoinSet::new();
    for (service, language) in all {
        tests.spawn(digest(service, language));
    }
    tests.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_secret_is_explained_and_nothing_is_lost() {
    for service in ["feishu", "dingtalk"] {
        let is_repaired = Arc::new(AtomicBool::new(false));
        let repaired = is_repaired.clone();
        let bot = Receiver::start(move |received| {
            let secret = if repaired.load(Relaxed) {
                "wrong"
            } else {
                SECRET
            };
            Reaction::Say(answer(service, Some(secret), received))
        });
        let bot = bot.await;
        let journal = journal();
        let options = options(service, &bot.url(), Some("wrong"), Language::English);
        let running = Running::start(&journal, vec![options]);
        let reply = running.command(Command::Test).await;
        let Ok(Reply::Failed(error)) = reply else {
            panic!("{reply:?}");
        };
        assert!(error.contains("set `secret` to that of the"), "{error}");
        assert!(
            !error.contains("hush") && !error.contains("wrong"),
            "{error}"
        );
        store(&journal, 0, 3, "task", "Fail").await;
        let status = running.until(|status| status.results.refused > 0).await;
        assert_eq!(
            (status.lag_events(), status.counts.dead),
            (3, 0),
            "{status:?}"
        );
        is_repaired.store(true, Relaxed);
        assert_eq!(running.command(Command::Test).await, Ok(Reply::Accepted));
        running.until(|status| status.results.delivered == 1).await;
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_of_events_are_refused() {
    let bot = bot("slack", None).await;
    let options = options("slack", &bot.url(), None, Language::English);
    let running = Running::start(&journal(), vec![options]);
    let replay = Replay {
        from: 0,
        to: 9,
        since_ms: 0,
        task: None,
    };
    let replayed = running.command(Command::Replay(replay)).await;
    assert_eq!(replayed, Err(CommandError::NoEvents));
    let dead = running.command(Command::ListDead).await;
    assert_eq!(dead, Ok(Reply::Dead(Vec::new())));
    assert_eq!(running.command(Command::Pause).await, Ok(Reply::Done));
    running.until(|status| status.state() == "paused").await;
    running.stop().await;
}

/// Waits until a bot received a number of messages, and returns what users see of the last
/// one.
async fn last_seen(bot: &Receiver, count: usize) -> String {
    bot.accepts(count).await;
    let received = bot.received();
    seen("slack", &received[count - 1].json())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_are_neither_repeated_nor_lost_by_a_restart() {
    let bot = bot("slack", None).await;
    let journal = journal();
    let make = || {
        let mut options = options("slack", &bot.url(), None, Language::English);
        if let Passing::Digests(reports) = options.passing {
            let conditions = vec![Condition::TaskFailed, Condition::TaskStale];
            options.passing = Passing::Alerts(reports, conditions);
        }
        options
    };
    let stale = |running: &Running, seq: u64, count: u64| {
        let levels = [(Condition::TaskStale, Level::of_count(count))];
        let observed = Observed {
            seq,
            levels: levels.into_iter().collect(),
        };
        running.relay.observe(observed);
    };
    let running = Running::start(&journal, vec![make()]);
    store(&journal, 0, 2, "north-", "Fail").await;
    stale(&running, 2, 3);
    let first = last_seen(&bot, 1).await;
    for part in [
        "2 alerts",
        "2 tasks failed",
        "north-0",
        "north-1",
        "3 open tasks",
        "since",
    ] {
        assert!(first.contains(part), "{part}: {first}");
    }
    // The same again is no news, after a restart either.
    running.stop().await;
    let running = Running::start(&journal, vec![make()]);
    stale(&running, 2, 3);
    // What failed meanwhile is reported once.
    store(&journal, 2, 1, "south-", "PartialSuccess").await;
    let second = last_seen(&bot, 2).await;
    assert!(second.contains("1 more task failed (3 in all)"), "{second}");
    assert!(
        second.contains("south-2") && !second.contains("north"),
        "{second}"
    );
    assert!(!second.contains("open tasks"), "{second}");
    // All of it ends.
    for (number, task) in (3..).zip(["north-0", "north-1", "south-2"]) {
        let mut event = event(0, number);
        event.task_id = task.into();
        (event.rank, event.status) = (5, "Success".into());
        journal.write(Entry::Event(event, None)).await.unwrap();
    }
    running.until(|status| status.counts.read_to == 6).await;
    stale(&running, 6, 0);
    let third = last_seen(&bot, 3).await;
    for part in ["No task is failed any more", "No task is stale any more"] {
        assert!(third.contains(part), "{part}: {third}");
    }
    running.stop().await;
    assert_eq!(bot.received_count(), 3);
}
