//! What a component is built over.

use alloc::string::String;

use crate::journal::Journal;

/// Where events go, and where settings come from. Whatever is one has what the
/// world `component` exports, and [`crate::bindings::export`] makes that the
/// exports of a crate: `adapters/imported` is the shortest.
pub trait Adapter: Journal + Sized + 'static {
    /// The one there is. An instance of the component may serve one request
    /// or many: it keeps nothing in memory that must last.
    const ONE: &'static Self;

    /// The value of a setting, or none to take its default. The answer must
    /// not change while an instance lives.
    fn setting(name: &str) -> Option<String>;
}
