//! [`Service`]: a chat service.

use std::fmt;

/// A chat service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Service {
    /// A custom bot of Feishu.
    Feishu,
    /// A custom bot of Lark, which is Feishu outside China.
    Lark,
    /// A custom robot of DingTalk.
    DingTalk,
    /// A robot of a group of WeCom.
    WeCom,
    /// An incoming webhook of Slack.
    Slack,
    /// A workflow of Microsoft Teams that is started by a webhook.
    Teams,
}

impl Service {
    /// All services with their names.
    pub const ALL: &[(&str, Self)] = &[
        ("feishu", Self::Feishu),
        ("lark", Self::Lark),
        ("dingtalk", Self::DingTalk),
        ("wecom", Self::WeCom),
        ("slack", Self::Slack),
        ("teams", Self::Teams),
    ];

    /// Whether messages can be signed.
    pub(super) fn signs(self) -> bool {
        matches!(self, Self::Feishu | Self::Lark | Self::DingTalk)
    }

    /// Returns the greatest length of a message, in bytes. For WeCom, that of its text;
    /// for the others, that of the body, a little less than they allow: 20 KB for Feishu,
    /// Lark and DingTalk, and 28 KB for Teams. Slack cuts long texts, and people do not
    /// read them.
    pub(super) fn bytes_max(self) -> usize {
        match self {
            Self::Feishu | Self::Lark | Self::DingTalk => 19_000,
            Self::WeCom => 4096,
            Self::Slack => 12_000,
            Self::Teams => 25_000,
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Feishu => "Feishu",
            Self::Lark => "Lark",
            Self::DingTalk => "DingTalk",
            Self::WeCom => "WeCom",
            Self::Slack => "Slack",
            Self::Teams => "Teams",
        })
    }
}
