//! [`Details`]: what the platform tells about a task besides its events.

use batchtask_guest::journal::FAILED_DEVICES_MAX;
use serde::{Deserialize, Serialize};

use crate::entry::{check_ids, check_instant};
use crate::{Error, FailedDevice, Policy, Progress, Task};

/// The greatest length of each text in bytes. Longer ones are cut off.
const TEXT_BYTES_MAX: usize = 512;

/// What the platform tells about a task besides its events: no notification contains
/// it.
#[derive(Clone, Debug, Default)]
pub struct Details {
    /// The id of the resource space (application).
    pub app_id: String,
    /// The id of the task.
    pub task_id: String,
    /// The platform's time of the answer, in milliseconds since 1970.
    pub at_ms: u64,
    /// The name of the task.
    pub name: Option<String>,
    /// When it begins, and how often it is repeated.
    pub policy: Option<Policy>,
    /// How many devices are in which state.
    pub progress: Option<Progress>,
    /// Some of the devices for which it failed. `None` if the platform was not asked
    /// for them: then those of a former answer stay.
    pub failed_devices: Option<Vec<FailedDevice>>,
}

impl Details {
    /// Checks what a backend relies on: ids are not empty, and the time fits into an
    /// `i64`.
    ///
    /// # Errors
    /// [`Error::Unsupported`], with the reason.
    pub fn check(&self) -> Result<(), Error> {
        check_ids(&self.app_id, &self.task_id)?;
        check_instant(self.at_ms)
    }

    /// Cuts off everything that is longer than a journal keeps: texts, and the list
    /// of devices.
    pub fn bounded(mut self) -> Self {
        self.name.iter_mut().for_each(cut);
        let policy = self.policy.iter_mut();
        policy
            .flat_map(|policy| &mut policy.schedule_time)
            .for_each(cut);
        if let Some(devices) = &mut self.failed_devices {
            devices.truncate(FAILED_DEVICES_MAX);
            for failed in devices {
                let FailedDevice {
                    device,
                    error_code,
                    error_msg,
                } = failed;
                cut(device);
                error_code.iter_mut().chain(error_msg).for_each(cut);
            }
        }
        self
    }

    /// Adds the details to a task.
    pub(crate) fn describe(&self, task: &mut Task) {
        task.name.clone_from(&self.name);
        task.policy.clone_from(&self.policy);
        task.progress = self.progress;
        task.failed_devices = self.failed_devices.clone().unwrap_or_default();
    }
}

fn cut(text: &mut String) {
    text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
}

/// Details as a database stores them: JSON texts without the ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDetails {
    /// Everything but the devices, which lists of tasks need.
    pub facts: String,
    /// The devices. `None` if they are unknown.
    pub failed_devices: Option<String>,
}

#[derive(Default, Serialize, Deserialize)]
struct StoredFacts {
    name: Option<String>,
    policy: Option<StoredPolicy>,
    /// In the order of the contract, and then the time.
    progress: Option<([u32; 8], u64)>,
}

#[derive(Serialize, Deserialize)]
struct StoredPolicy {
    begin: Option<String>,
    retries: Option<u32>,
    minutes: Option<u32>,
}

#[derive(Serialize, Deserialize)]
struct StoredDevice {
    device: String,
    code: Option<String>,
    message: Option<String>,
}

impl StoredDetails {
    /// Returns the texts of details. Such texts contain no NUL.
    pub fn of(details: &Details) -> Self {
        let facts = StoredFacts {
            name: details.name.clone(),
            policy: details.policy.as_ref().map(|policy| StoredPolicy {
                begin: policy.schedule_time.clone(),
                retries: policy.retry_count,
                minutes: policy.retry_interval,
            }),
            progress: details.progress.map(|it| (counts(it), it.at_ms)),
        };
        let device = |failed: &FailedDevice| StoredDevice {
            device: failed.device.clone(),
            code: failed.error_code.clone(),
            message: failed.error_msg.clone(),
        };
        let devices = details.failed_devices.as_ref();
        let devices = devices.map(|all| all.iter().map(device).collect::<Vec<_>>());
        Self {
            facts: json(&facts),
            failed_devices: devices.as_ref().map(json),
        }
    }

    /// Adds the details to a task. What cannot be read is left out, because it is
    /// only an addition.
    pub fn describe(&self, task: &mut Task) {
        let facts: StoredFacts = serde_json::from_str(&self.facts).unwrap_or_default();
        task.name = facts.name;
        task.policy = facts.policy.map(|policy| Policy {
            schedule_time: policy.begin,
            retry_count: policy.retries,
            retry_interval: policy.minutes,
        });
        task.progress = facts
            .progress
            .map(|(counts, at_ms)| progress(counts, at_ms));
        let devices = self.failed_devices.as_deref().unwrap_or("[]");
        let devices: Vec<StoredDevice> = serde_json::from_str(devices).unwrap_or_default();
        let device = |stored: StoredDevice| FailedDevice {
            device: stored.device,
            error_code: stored.code,
            error_msg: stored.message,
        };
        task.failed_devices = devices.into_iter().map(device).collect();
    }
}

fn counts(progress: Progress) -> [u32; 8] {
    [
        progress.total,
        progress.processing,
        progress.success,
        progress.fail,
        progress.waiting,
        progress.fail_wait_retry,
        progress.stopped,
        progress.removed,
    ]
}

fn progress(counts: [u32; 8], at_ms: u64) -> Progress {
    let [
        total,
        processing,
        success,
        fail,
        waiting,
        fail_wait_retry,
        stopped,
        removed,
    ] = counts;
    Progress {
        total,
        processing,
        success,
        fail,
        waiting,
        fail_wait_retry,
        stopped,
        removed,
        at_ms,
    }
}

/// These types always serialise.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_too_long_is_cut_off() {
        let long = "é".repeat(TEXT_BYTES_MAX);
        let failed = FailedDevice {
            device: long.clone(),
            error_code: Some(long.clone()),
            error_msg: Some(long.clone()),
        };
        let details = Details {
            name: Some(format!("x{long}")),
            policy: Some(Policy {
                schedule_time: Some(long),
                retry_count: None,
                retry_interval: None,
            }),
            failed_devices: Some(vec![failed; FAILED_DEVICES_MAX + 1]),
            ..Details::default()
        }
        .bounded();
        assert_eq!(
            details.name.map(|name| name.len()),
            Some(TEXT_BYTES_MAX - 1)
        );
        let stored = format!("{:?}{:?}", details.policy, details.failed_devices);
        let bound = (FAILED_DEVICES_MAX * 3 + 1) * (TEXT_BYTES_MAX + 50);
        assert!(stored.len() < bound, "{}", stored.len());
    }
}
