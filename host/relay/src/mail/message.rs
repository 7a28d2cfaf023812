//! [`Message`]: the text of a mail.

use lettre::address::Envelope;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MessageBuilder};

use crate::report::note::{Note, Part};

/// The longest text of a mail, in bytes.
const BYTES_MAX: usize = 64 << 10;

/// A mail that can be sent.
pub(super) struct Message {
    envelope: Envelope,
    bytes: Vec<u8>,
}

/// Says that no person wrote the mail, so that no program answers it (RFC 3834).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

impl Message {
    /// Returns the mail with a note. It has the same id in every repetition.
    pub(super) fn new(
        note: &Note,
        from: &Mailbox,
        to: &[Mailbox],
    ) -> Result<Self, lettre::error::Error> {
        let id = format!("<{}@{}>", note.id, from.email.domain());
        let mut builder: MessageBuilder = lettre::Message::builder()
            .from(from.clone())
            .message_id(Some(id))
            .header(AutoSubmitted)
            .header(ContentType::TEXT_PLAIN)
            .subject(note.title.clone());
        for mailbox in to {
            builder = builder.to(mailbox.clone());
        }
        let body = note.clone().fitted(BYTES_MAX, text, String::len);
        let message = builder.body(body)?;
        Ok(Self {
            envelope: message.envelope().clone(),
            bytes: message.formatted(),
        })
    }

    pub(super) fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Returns a note as plain text. A link follows its line.
fn text(note: &Note) -> String {
    let mut text = String::new();
    let footer = [Part::Text("--".into())];
    let lines = note.lines.iter().map(Vec::as_slice);
    for parts in lines.chain([&footer[..], &note.footer[..]]) {
        let mut urls = Vec::new();
        for part in parts {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Link { text: part, url } => {
                    text.push_str(part);
                    urls.push(url);
                }
            }
        }
        text.push('\n');
        for url in urls {
            text.push_str(&format!("  {url}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::note::Language;

    fn note(title: &str) -> Note {
        Note {
            id: "0123".into(),
            language: Language::English,
            title: title.into(),
            lines: vec![vec![
                Part::Text("• Fail – ".into()),
                Part::Link {
                    text: "任务".into(),
                    url: "https://example.com/page/tasks/a/b".into(),
                },
            ]],
            footer: vec![Part::Text("batchtask".into())],
        }
    }

    fn mail(title: &str) -> String {
        let from = "Ü <batchtask@example.com>".parse().unwrap();
        let to = ["ops@example.com".parse().unwrap()];
        let message = Message::new(&note(title), &from, &to).unwrap();
        String::from_utf8(message.bytes).unwrap()
    }

    #[test]
    fn a_mail_has_a_stable_id_and_encoded_fields() {
        let mail = mail("⚠ 2 个任务失败");
        for line in [
            "Message-ID: <0123@example.com>\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "To: ops@example.com\r\n",
            "Content-Type: text/plain; charset=utf-8\r\n",
        ] {
            assert!(mail.contains(line), "{mail}");
        }
        assert!(mail.is_ascii(), "{mail}");
        assert!(mail.contains("Subject: =?utf-8?b?"), "{mail}");
    }

    #[test]
    fn a_title_cannot_add_a_field() {
        let mail = mail("a\r\nBcc: evil@example.com\r\n\r\nbody");
        let head = mail.split("\r\n\r\n").next().unwrap();
        assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{mail}");
    }
}
