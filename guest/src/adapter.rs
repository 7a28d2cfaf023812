//! What a component is built over.

use alloc::string::String;

use crate::journal::Journal;

/// Where events go, and where settings come from. Whatever is one is a
/// component behind `wasi:http`, by [`crate::bindings::handler::export`];
/// `adapters/imported`, which takes both from its host, also exports `intake`,
/// by [`crate::bindings::export`].
pub trait Adapter: Journal + Sized + 'static {
    /// The one there is. An instance of the component may serve one request
    /// or many: it keeps nothing in memory that must last.
    const ONE: &'static Self;

    /// The value of a setting, or none to take its default. The answer must
    /// not change while an instance lives.
    fn setting(name: &str) -> Option<String>;

    /// What is wrong with the settings that only this adapter has, with their
    /// names.
    fn check() -> Result<(), String> {
        Ok(())
    }
}
