//! The settings and the clock of an instance of the component.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use once_cell::race::OnceBox;

use crate::adapter::Adapter;
use crate::bindings::handler::wasi::clocks::wall_clock::now;
use crate::outcomes::{Problem, Refusal};
use crate::receiver::Receiver;
use crate::settings::{Fault, Settings};
use crate::text::{joined, times};

/// The settings. They are read once per instance, and do not change.
static SETTINGS: OnceBox<Result<Settings, Vec<String>>> = OnceBox::new();

/// Returns the settings, or a line for each invalid setting.
pub(crate) fn settings<A: Adapter>() -> &'static Result<Settings, Vec<String>> {
    SETTINGS.get_or_init(|| {
        let lines = |faults: Vec<Fault>| faults.iter().map(Fault::text).collect();
        A::check()
            .map_err(|error| Vec::from([error]))
            .and_then(|()| Settings::read(A::settings()).map_err(lines))
            .into()
    })
}

/// Returns the core with the journal and the settings of the adapter, and the host's
/// time.
pub(crate) fn receiver<A: Adapter>() -> Result<Receiver<'static, A>, Box<Problem>> {
    let now = now();
    let seconds_ms = times(now.seconds, 1000);
    receiver_at(seconds_ms.saturating_add((now.nanoseconds / 1_000_000).into()))
}

/// Returns the core with the journal and the settings of the adapter, for a request that
/// arrived at `now_ms`, in milliseconds since 1970 (UTC).
///
/// # Errors
/// The refusal of every request, if a setting is invalid.
pub fn receiver_at<A: Adapter>(now_ms: u64) -> Result<Receiver<'static, A>, Box<Problem>> {
    let settings = settings::<A>()
        .as_ref()
        .map_err(|errors| Problem::new(Refusal::Misconfigured, joined(errors, "; ")))?;
    Ok(Receiver {
        journal: A::ONE,
        settings,
        now_ms,
    })
}
