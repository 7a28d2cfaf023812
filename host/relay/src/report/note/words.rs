//! The words of each language.

use super::super::Devices;
use super::super::alerts::{Alert, Change};
use super::super::condition::Condition;

/// The language of messages to people.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// Simplified Chinese.
    Chinese,
}

/// The words of a language.
pub(super) struct Words {
    pub(super) test: &'static str,
    pub(super) page: &'static str,
    pub(super) look: &'static str,
    pub(super) since: &'static str,
    /// The title of a digest of this number of events.
    pub(super) changes: fn(u64) -> String,
    /// This number of events is of other tasks.
    pub(super) more_changes: fn(u64) -> String,
    /// This number of tasks is not named.
    pub(super) more_tasks: fn(u64) -> String,
    /// The title of this number of alerts.
    pub(super) alerts: fn(usize) -> String,
    pub(super) devices: fn(Devices) -> String,
    pub(super) headline: fn(&Alert) -> String,
}

impl Language {
    /// All languages with their names.
    pub const ALL: &[(&str, Self)] = &[("en", Self::English), ("zh", Self::Chinese)];

    pub(super) fn words(self) -> &'static Words {
        match self {
            Self::English => &ENGLISH,
            Self::Chinese => &CHINESE,
        }
    }
}

const ENGLISH: Words = Words {
    test: "This is a test. Nothing has happened.",
    page: "tasks",
    look: "look",
    since: "since",
    changes: |count| match count {
        1 => "1 change of a batch task".into(),
        count => format!("{count} changes of batch tasks"),
    },
    more_changes: |count| match count {
        1 => "… and 1 change of another task".into(),
        count => format!("… and {count} changes of other tasks"),
    },
    more_tasks: |count| match count {
        1 => "… and 1 more task".into(),
        count => format!("… and {count} more tasks"),
    },
    alerts: |count| format!("{count} alerts"),
    devices: |devices| {
        let Devices {
            total,
            succeeded,
            failed,
        } = devices;
        format!("{total} devices: {succeeded} succeeded, {failed} failed")
    },
    headline: english,
};

fn english(alert: &Alert) -> String {
    let (count, added) = (alert.count, alert.added);
    let plural = |count: u64, one: &str, many: &str| match count {
        1 => format!("1 {one}"),
        count => format!("{count} {many}"),
    };
    let is_over = alert.change == Change::Ended;
    match alert.condition {
        Condition::TaskFailed if is_over => "No task is failed any more".into(),
        Condition::TaskFailed if count > added => {
            let failed = plural(added, "more task failed", "more tasks failed");
            format!("{failed} ({count} in all)")
        }
        Condition::TaskFailed => plural(added, "task failed", "tasks failed"),
        Condition::TaskStale if is_over => "No task is stale any more".into(),
        Condition::TaskStale => plural(
            count,
            "open task has had no notification for a long time",
            "open tasks have had no notification for a long time",
        ),
        Condition::PushesRefused if is_over => "The host takes pushes again".into(),
        Condition::PushesRefused => "The host refuses pushes".into(),
        Condition::QuarantineGrew if is_over => "The quarantine is empty again".into(),
        Condition::QuarantineGrew => plural(
            count,
            "more body is in the quarantine",
            "more bodies are in the quarantine",
        ),
        Condition::WrongClock if is_over => "The clock of the host is right again".into(),
        Condition::WrongClock => "The clock of the host is wrong".into(),
        Condition::CertificateExpires if is_over => "The certificate was renewed".into(),
        Condition::CertificateExpires => "The certificate of the host expires".into(),
        Condition::SinkFailing if is_over => "All sinks work again".into(),
        Condition::SinkFailing => {
            let sinks = plural(count, "sink needs attention", "sinks need attention");
            format!("{sinks}: {}", alert.level.subjects.join(", "))
        }
    }
}

const CHINESE: Words = Words {
    test: "这是一条测试消息，没有发生任何事情。",
    page: "任务列表",
    look: "查看",
    since: "开始于",
    changes: |count| format!("批量任务有 {count} 次状态变化"),
    more_changes: |count| format!("……以及其他任务的 {count} 次变化"),
    more_tasks: |count| format!("……以及另外 {count} 个任务"),
    alerts: |count| format!("{count} 条告警"),
    devices: |devices| {
        let Devices {
            total,
            succeeded,
            failed,
        } = devices;
        format!("设备 {total} 台：成功 {succeeded}，失败 {failed}")
    },
    headline: chinese,
};

fn chinese(alert: &Alert) -> String {
    let (count, added) = (alert.count, alert.added);
    let is_over = alert.change == Change::Ended;
    match alert.condition {
        Condition::TaskFailed if is_over => "已没有失败的任务".into(),
        Condition::TaskFailed if count > added => {
            format!("又有 {added} 个任务失败（共 {count} 个）")
        }
        Condition::TaskFailed => format!("{added} 个任务失败"),
        Condition::TaskStale if is_over => "已没有长时间无通知的任务".into(),
        Condition::TaskStale => format!("{count} 个未结束的任务长时间没有收到通知"),
        Condition::PushesRefused if is_over => "主机已恢复接收推送".into(),
        Condition::PushesRefused => "主机正在拒绝推送".into(),
        Condition::QuarantineGrew if is_over => "隔离区已清空".into(),
        Condition::QuarantineGrew => format!("隔离区新增 {count} 条消息"),
        Condition::WrongClock if is_over => "主机时钟已恢复正常".into(),
        Condition::WrongClock => "主机时钟不准".into(),
        Condition::CertificateExpires if is_over => "证书已更新".into(),
        Condition::CertificateExpires => "主机证书即将过期".into(),
        Condition::SinkFailing if is_over => "所有转发目标已恢复正常".into(),
        Condition::SinkFailing => {
            format!(
                "{count} 个转发目标需要处理：{}",
                alert.level.subjects.join("、")
            )
        }
    }
}
