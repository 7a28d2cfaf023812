//! The trait that an adapter implements.

use alloc::string::String;

use crate::journal::Journal;

/// The journal and the source of settings of a component. A type that
/// implements this can be exported as a handler of `wasi:http`, by
/// [`crate::bindings::handler::export`]. `adapters/imported`, which imports both
/// from its host, also exports `intake`, by [`crate::bindings::export`].
pub trait Adapter: Journal + Sized + 'static {
    /// The only value of the type. An instance of the component may serve one
    /// request or many, so the value must not hold anything that has to last.
    const ONE: &'static Self;

    /// Returns a function that looks up the value of a setting. If it returns
    /// `None`, the setting has its default. Called once per instance.
    fn settings() -> impl Fn(&str) -> Option<String>;

    /// Checks the settings that only this adapter has. The error names each
    /// invalid setting and says what it must be.
    fn check() -> Result<(), String> {
        Ok(())
    }
}
