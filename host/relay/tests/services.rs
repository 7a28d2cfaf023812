//! What the services of chats check, as their documentation says, and what their users see.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac::{HMAC_SHA256, Key, sign};
use serde_json::{Value, json};

use super::receiver::Received;

/// The names of all services.
pub(crate) const SERVICES: [&str; 6] = ["feishu", "lark", "dingtalk", "wecom", "slack", "teams"];

/// Whether bots of the service have a secret that signs messages.
pub(crate) fn signs(service: &str) -> bool {
    ["feishu", "lark", "dingtalk"].contains(&service)
}

/// Returns the body of the answer to a message, with the status 200. `secret` is that of the
/// bot, if it checks signatures.
pub(crate) fn answer(service: &str, secret: Option<&str>, received: &Received) -> String {
    let length = received.body.len();
    let json = received.json();
    let accepted = match service {
        "feishu" | "lark" => feishu(&json, length, secret),
        "dingtalk" => dingtalk(&json, length, secret, &received.target),
        "wecom" => wecom(&json),
        "slack" => return slack(&json).map_or_else(|error| error, |()| "ok".into()),
        _ => return teams(&json, length).map_or_else(|error| error, |()| String::new()),
    };
    let (code, text) = accepted.err().unwrap_or((0, "ok".into()));
    match service {
        "feishu" | "lark" => json!({ "code": code, "msg": text, "data": {} }).to_string(),
        _ => json!({ "errcode": code, "errmsg": text }).to_string(),
    }
}

type Checked<E> = Result<(), E>;

fn hmac(key: &str, text: &str) -> String {
    let key = Key::new(HMAC_SHA256, key.as_bytes());
    STANDARD.encode(sign(&key, text.as_bytes()))
}

fn is_within_an_hour(seconds: u64) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs().abs_diff(seconds) < 3600
}

/// "Use custom bots in groups": `sign` is HMAC-SHA256 of nothing, with the key
/// `timestamp + "\n" + secret`, as base64.
fn feishu(json: &Value, length: usize, secret: Option<&str>) -> Checked<(i64, String)> {
    let bad = |text: &str| Err((9499, text.to_owned()));
    if length > 20 * 1024 {
        return bad("the message is too long");
    }
    if let Some(secret) = secret {
        let timestamp = json["timestamp"].as_str().unwrap_or_default();
        let is_recent = timestamp.parse().is_ok_and(is_within_an_hour);
        let expected = hmac(&format!("{timestamp}\n{secret}"), "");
        if !is_recent || json["sign"] != expected {
            let text = "sign match fail or timestamp is not within one hour from current time";
            return Err((19021, text.into()));
        }
    }
    let posts = json["content"]["post"].as_object();
    let Some((language, post)) = posts.and_then(|posts| posts.iter().next()) else {
        return bad("params error, content need post");
    };
    let has_lines = post["content"]
        .as_array()
        .is_some_and(|lines| !lines.is_empty());
    let is_known = ["zh_cn", "en_us"].contains(&language.as_str());
    if json["msg_type"] != "post" || !has_lines || !is_known {
        return bad("params error");
    }
    Ok(())
}

/// "Security settings of custom robots": `sign` is HMAC-SHA256 of `timestamp + "\n" + secret`,
/// with the key `secret`, as base64 and URL-encoded; `timestamp` is in milliseconds.
fn dingtalk(
    json: &Value,
    length: usize,
    secret: Option<&str>,
    target: &str,
) -> Checked<(i64, String)> {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let find = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value)
    };
    if let Some(secret) = secret {
        let timestamp = find("timestamp").unwrap_or_default();
        let seconds = timestamp.parse::<u64>().map(|ms| ms / 1000);
        let expected = hmac(secret, &format!("{timestamp}\n{secret}"));
        let expected = expected.replace('+', "%2B").replace('/', "%2F");
        let expected = expected.replace('=', "%3D");
        if !seconds.is_ok_and(is_within_an_hour) || find("sign") != Some(&expected) {
            return Err((310_000, "sign not match".into()));
        }
    }
    if find("access_token") != Some("hush") {
        return Err((300_001, "token is not exist".into()));
    }
    let markdown = &json["markdown"];
    let is_complete = markdown["title"].is_string() && markdown["text"].is_string();
    if json["msgtype"] != "markdown" || !is_complete || length > 20_000 {
        return Err((40_035, "the parameter is invalid".into()));
    }
    Ok(())
}

/// "Configuration of group robots": the content is at most 4096 bytes long.
fn wecom(json: &Value) -> Checked<(i64, String)> {
    match json["markdown"]["content"].as_str() {
        Some(text) if json["msgtype"] == "markdown" && text.len() <= 4096 => Ok(()),
        Some(_) => Err((40058, "markdown.content exceed max length 4096".into())),
        None => Err((44004, "empty content".into())),
    }
}

/// "Sending messages using incoming webhooks", and the blocks `header` and `rich_text`.
fn slack(json: &Value) -> Checked<String> {
    let header = &json["blocks"][0]["text"];
    let title = header["text"].as_str().unwrap_or_default();
    let elements = json["blocks"][1]["elements"][0]["elements"].as_array();
    let is_right = |element: &Value| {
        let has_text = element["text"]
            .as_str()
            .is_some_and(|text| !text.is_empty());
        let has_url = element["url"].is_string();
        has_text && (element["type"] == "text" || element["type"] == "link" && has_url)
    };
    let is_complete = header["type"] == "plain_text"
        && (1..=150).contains(&title.chars().count())
        && json["text"].is_string()
        && elements.is_some_and(|elements| elements.iter().all(is_right));
    if is_complete {
        Ok(())
    } else {
        Err("invalid_blocks".into())
    }
}

/// "Post a workflow when a webhook request is received": a message with one adaptive card.
fn teams(json: &Value, length: usize) -> Checked<String> {
    let attachment = &json["attachments"][0];
    let card = &attachment["content"];
    let is_complete = json["type"] == "message"
        && attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
        && card["type"] == "AdaptiveCard"
        && card["body"].as_array().is_some_and(|body| !body.is_empty());
    if is_complete && length <= 28 * 1024 {
        Ok(())
    } else {
        Err("Webhook message delivery failed with error: HTTP error 413".into())
    }
}

/// Returns the texts of a message and its links, as a user sees them.
pub(crate) fn seen(service: &str, json: &Value) -> String {
    match service {
        "dingtalk" => {
            let text = json["markdown"]["text"].as_str().unwrap();
            unescaped(text)
        }
        "wecom" => json["markdown"]["content"].as_str().unwrap().to_owned(),
        _ => {
            let mut seen = String::new();
            gather(json, &mut seen);
            seen
        }
    }
}

/// What a reader of Markdown makes of escapes.
fn unescaped(text: &str) -> String {
    let mut chars = text.chars();
    let mut shown = String::new();
    while let Some(c) = chars.next() {
        shown.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    shown
}

fn gather(json: &Value, seen: &mut String) {
    match json {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if ["title", "text", "url", "href"].contains(&&**name) => {
                        seen.push_str(text);
                        seen.push(' ');
                    }
                    value => gather(value, seen),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| gather(item, seen)),
        _ => {}
    }
}
