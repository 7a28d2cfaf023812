//! The messages of each service.

use serde_json::{Value, json};

use super::service::Service;
use super::{markup, sign};
use crate::report::note::{Language, Note, Part};

/// The longest title that Slack accepts, in characters.
const SLACK_TITLE_CHARS_MAX: usize = 150;

impl Service {
    /// Returns the body of a message with a note, or with as much of it as the service
    /// accepts.
    pub(super) fn body(self, note: &Note, secret: Option<&str>, now_s: u64) -> String {
        let note = note.clone();
        match self {
            Self::WeCom => {
                let text = note.fitted(self.bytes_max(), markup::wecom, String::len);
                let message = json!({ "msgtype": "markdown", "markdown": { "content": text } });
                message.to_string()
            }
            _ => note.fitted(
                self.bytes_max(),
                |note| self.message(note, secret, now_s).to_string(),
                String::len,
            ),
        }
    }

    fn message(self, note: &Note, secret: Option<&str>, now_s: u64) -> Value {
        match self {
            Self::Feishu | Self::Lark => feishu(note, secret, now_s),
            Self::DingTalk | Self::WeCom => {
                let text = markup::dingtalk(note);
                json!({ "msgtype": "markdown", "markdown": { "title": note.title, "text": text } })
            }
            Self::Slack => slack(note),
            Self::Teams => teams(note),
        }
    }
}

/// A post: its texts are no markup.
fn feishu(note: &Note, secret: Option<&str>, now_s: u64) -> Value {
    let part = |part: &Part| match part {
        Part::Text(text) => json!({ "tag": "text", "text": text }),
        Part::Link { text, url } => json!({ "tag": "a", "text": text, "href": url }),
    };
    let lines = note.all_lines();
    let lines: Vec<Vec<Value>> = lines.map(|line| line.iter().map(part).collect()).collect();
    let language = match note.language {
        Language::English => "en_us",
        Language::Chinese => "zh_cn",
    };
    let post = json!({ "title": note.title, "content": lines });
    let mut message = json!({ "msg_type": "post", "content": { "post": { language: post } } });
    if let Some(secret) = secret {
        message["timestamp"] = now_s.to_string().into();
        message["sign"] = sign::of_seconds(secret, now_s).into();
    }
    message
}

/// Rich text, which is no markup, and a text for notifications.
fn slack(note: &Note) -> Value {
    let mut elements = Vec::new();
    for line in note.all_lines() {
        for part in line {
            elements.push(match part {
                Part::Text(text) => json!({ "type": "text", "text": text }),
                Part::Link { text, url } => json!({ "type": "link", "text": text, "url": url }),
            });
        }
        elements.push(json!({ "type": "text", "text": "\n" }));
    }
    let section = json!({ "type": "rich_text_section", "elements": elements });
    let title: String = note.title.chars().take(SLACK_TITLE_CHARS_MAX).collect();
    json!({
        "text": markup::slack(&note.title),
        "blocks": [
            { "type": "header", "text": { "type": "plain_text", "text": title, "emoji": false } },
            { "type": "rich_text", "elements": [section] },
        ],
    })
}

/// An adaptive card of rich text, which is no markup.
fn teams(note: &Note) -> Value {
    let part = |part: &Part| match part {
        Part::Text(text) => json!({ "type": "TextRun", "text": text }),
        Part::Link { text, url } => json!({
            "type": "TextRun",
            "text": text,
            "underline": true,
            "selectAction": { "type": "Action.OpenUrl", "url": url },
        }),
    };
    let block = |inlines: Vec<Value>| json!({ "type": "RichTextBlock", "inlines": inlines });
    let title =
        json!({ "type": "TextRun", "text": note.title, "weight": "bolder", "size": "medium" });
    let mut body = vec![block(vec![title])];
    body.extend(
        note.all_lines()
            .map(|line| block(line.iter().map(part).collect())),
    );
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "body": body,
            },
        }],
    })
}
