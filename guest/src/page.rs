//! The pages: the answers to reads as HTML, for people.
//!
//! The pages also work without the script. It only fetches the page again and
//! replaces the parts that changed. Nothing is loaded from elsewhere.
//!
//! - `lists`: the list of tasks, and the quarantine; `task`: one task.
//! - `problem`: a refusal; `login`: the login with the read token.
//! - `parts`: elements that several pages use; `html`: writes HTML.

mod html;
mod lists;
mod login;
mod parts;
mod problem;
mod task;

pub use lists::{TaskList, quarantine};
pub use login::{entered, token_of};
pub use problem::problem;
pub use task::task;
