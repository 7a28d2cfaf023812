//! The pages: the answers to reads as HTML, for people.
//!
//! The pages also work without the script, and below any path, because all links are
//! relative. Nothing is loaded from elsewhere. They are in English and Chinese. A host writes
//! pages of its own in the same style, with [`page`] and [`Html`].
//!
//! - `lists`: the list of tasks, and `filters`: its form; `task`: one task; `quarantine`: the rejects.
//! - `login`: the login, and the choice of the language; `problem`: a refusal.
//! - `shell`: what all pages have in common; `assets`: style and script; `context`: what
//!   a page depends on besides its content; `links`: the addresses of pages.
//! - `charts`: pictures; `parts`: other elements that several pages use; `html`: writes
//!   HTML.

mod assets;
mod charts;
mod context;
mod filters;
mod html;
mod links;
mod lists;
mod login;
mod parts;
mod problem;
mod quarantine;
mod shell;
mod task;

pub(crate) use assets::{script, style};
pub(crate) use charts::activity_query;
pub use context::{Context, Language};
pub use html::Html;
pub use lists::TaskList;
pub(crate) use login::{form, logged_in, logged_out, selected};
pub(crate) use problem::problem;
pub use quarantine::quarantine;
pub use shell::{Title, page};
pub use task::task;
