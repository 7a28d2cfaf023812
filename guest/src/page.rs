//! The pages: what the reads answer, for people.
//!
//! Useful without the script, which only fetches the page again and puts what
//! changed in its place. Nothing is loaded from elsewhere.
//!
//! - `lists`: the tasks, and the quarantine; `task`: one task.
//! - `problem`: a refusal; `login`: the read token.
//! - `parts`: what several of them are made of; `html`: text and markup.

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
