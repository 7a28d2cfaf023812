//! What is stored with a task besides its events.

use batchtask_journal::{Details, FailedDevice, Policy, Progress};
use batchtask_platform::api::tasks::{Device, TaskPolicy, TaskProgress};
use batchtask_platform::reconcile::{Details as Reported, TaskKey};

/// Converts what the platform reported about a task.
pub(super) fn details(key: &TaskKey, reported: &Reported) -> Details {
    let devices = reported.failed_devices.as_ref();
    let details = Details {
        app_id: key.app_id.clone(),
        task_id: key.task_id.clone(),
        at_ms: reported.date_ms,
        name: Some(reported.name.clone()).filter(|name| !name.is_empty()),
        policy: reported.policy.as_ref().map(policy),
        progress: reported.progress.map(|it| progress(it, reported.date_ms)),
        failed_devices: devices.map(|all| all.iter().map(failed).collect()),
    };
    details.bounded()
}

fn policy(policy: &TaskPolicy) -> Policy {
    Policy {
        schedule_time: policy.schedule_time.clone(),
        retry_count: policy.retry_count.map(count),
        retry_interval: policy.retry_interval.map(count),
    }
}

fn progress(progress: TaskProgress, at_ms: u64) -> Progress {
    Progress {
        total: count(progress.total),
        processing: count(progress.processing),
        success: count(progress.success),
        fail: count(progress.fail),
        waiting: count(progress.waitting),
        fail_wait_retry: count(progress.fail_wait_retry),
        stopped: count(progress.stopped),
        removed: count(progress.removed),
        at_ms,
    }
}

fn failed(device: &Device) -> FailedDevice {
    let error = device.error.clone().unwrap_or_default();
    FailedDevice {
        device: device.target.clone(),
        error_code: error.error_code,
        error_msg: error.error_msg,
    }
}

/// A number that is too large for the contract becomes the greatest one.
fn count(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
