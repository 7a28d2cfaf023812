//! What an instance of a component has: its settings and a clock.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use once_cell::race::OnceBox;

use crate::adapter::Adapter;
use crate::bindings::handler::wasi::clocks::wall_clock::now;
use crate::outcomes::{Problem, Refusal};
use crate::receiver::Receiver;
use crate::settings::Settings;
use crate::text::joined;

/// The settings, read once an instance: they do not change while it lives.
static SETTINGS: OnceBox<Result<Settings, Vec<String>>> = OnceBox::new();

/// The settings, or a line for each that is invalid.
pub(crate) fn settings<A: Adapter>() -> &'static Result<Settings, Vec<String>> {
    SETTINGS.get_or_init(|| {
        let checked = A::check().map_err(|wrong| Vec::from([wrong]));
        checked.and_then(|()| Settings::read(A::settings())).into()
    })
}

/// The core, over what the adapter provides.
pub(crate) fn receiver<A: Adapter>() -> Result<Receiver<'static, A>, Box<Problem>> {
    let settings = settings::<A>()
        .as_ref()
        .map_err(|wrong| Problem::new(Refusal::Misconfigured, joined(wrong, "; ")))?;
    Ok(Receiver {
        journal: A::ONE,
        settings,
        now_ms: now_ms(),
    })
}

fn now_ms() -> u64 {
    let now = now();
    now.seconds
        .saturating_mul(1000)
        .saturating_add((now.nanoseconds / 1_000_000).into())
}
