//! What a page depends on besides its content.

use alloc::string::String;

use super::links::root;
use crate::headers::{Fields, header};
use crate::session::{Right, cookie};

/// The name of the cookie with the language.
pub(super) const LANGUAGE: &str = "batchtask_language";

/// The language of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// Chinese, in simplified characters.
    Chinese,
}

impl Language {
    /// Returns the language of a tag such as `zh-CN`.
    pub(super) fn of_tag(tag: &str) -> Option<Self> {
        match tag.trim_ascii().get(..2)? {
            "en" => Some(Self::English),
            "zh" => Some(Self::Chinese),
            _ => None,
        }
    }

    /// Returns the language that was chosen. Without a choice: the first one in
    /// `Accept-Language` that there is.
    pub fn of(fields: &Fields) -> Self {
        let chosen = cookie(fields, LANGUAGE).and_then(Self::of_tag);
        let accepted = || {
            header(fields, "accept-language")?
                .split(',')
                .find_map(Self::of_tag)
        };
        chosen.or_else(accepted).unwrap_or_default()
    }
}

/// What a page depends on besides its content.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The target of the request.
    pub target: &'a str,
    /// The language of the page.
    pub language: Language,
    /// What the reader may do. `None`: the reader is not logged in.
    pub right: Option<Right>,
    /// The time of the request, in milliseconds since 1970.
    pub now_ms: u64,
    /// An open task is stale if its last new event arrived before this, in
    /// milliseconds since 1970.
    pub stale_before_ms: u64,
}

impl Context<'_> {
    /// The relative address of the page of tasks.
    pub(super) fn root(&self) -> String {
        root(self.target)
    }

    /// The query of the request.
    pub(super) fn query(&self) -> &str {
        crate::routes::split(self.target).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn the_choice_goes_before_the_preference_of_the_browser() {
        for (accepted, cookie, language) in [
            ("", "", Language::English),
            ("zh-CN,zh;q=0.9,en;q=0.8", "", Language::Chinese),
            ("fr, de;q=0.9, zh;q=0.2", "", Language::Chinese),
            ("en-GB,zh", "", Language::English),
            ("fr", "", Language::English),
            ("en", "batchtask_language=zh", Language::Chinese),
            ("zh", "a=b; batchtask_language=en", Language::English),
            ("zh", "batchtask_language=x", Language::Chinese),
            ("é", "batchtask_language=é", Language::English),
        ] {
            let fields = [("accept-language", accepted), ("cookie", cookie)]
                .map(|(name, value)| (String::from(name), Vec::from(value)));
            assert_eq!(Language::of(&fields), language, "{accepted} {cookie}");
        }
    }
}
