//! What a component is built over.

use alloc::string::String;

use crate::journal::Journal;

/// Where events go, and where settings come from. Whatever is one is a
/// component behind `wasi:http`, by [`crate::bindings::handler::export`];
/// `adapters/imported`, which takes both from its host, also exports `intake`,
/// by [`crate::bindings::export`].
pub trait Adapter: Journal + Sized + 'static {
    /// The only value. An instance of the component may serve one request
    /// or many: it keeps nothing in memory that must last.
    const ONE: &'static Self;

    /// A function that returns the value of a setting, or `None` to take its
    /// default. Called once in the life of an instance.
    fn settings() -> impl Fn(&str) -> Option<String>;

    /// What is wrong with the settings that only this adapter has, with their
    /// names.
    fn check() -> Result<(), String> {
        Ok(())
    }
}
