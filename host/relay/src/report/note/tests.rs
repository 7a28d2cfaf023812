use super::*;
use crate::report::{Devices, Level};

fn writer(page: Option<&str>, language: Language) -> Writer {
    let options = ReportOptions {
        every: std::time::Duration::from_secs(60),
        page: page.map(Into::into),
        language,
    };
    Writer::new(&options).unwrap()
}

fn line(task_id: &str) -> TaskLine {
    TaskLine {
        app_id: "factory/1".into(),
        task_id: task_id.into(),
        task_type: "firmwareUpgrade".into(),
        status: "Fail".into(),
        status_desc: "no\nreply".into(),
        changes: 0,
        name: Some("north".into()),
        devices: Some(Devices {
            total: 9,
            succeeded: 7,
            failed: 2,
        }),
    }
}

fn failed(change: Change) -> Alert {
    Alert {
        condition: Condition::TaskFailed,
        change,
        since_ms: 1_449_922_333_999,
        count: 5,
        added: 2,
        level: Level::of_count(2),
        tasks: vec![line("a b")],
    }
}

fn plain(note: &Note) -> String {
    let mut text = format!("{}\n", note.title);
    for line in note.all_lines() {
        for part in line {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Link { text: part, url } => text.push_str(&format!("<{part}|{url}>")),
            }
        }
        text.push('\n');
    }
    text
}

#[test]
fn an_alert_says_what_since_when_and_how_many() {
    let report = Report::Alerts(vec![failed(Change::Rose)]);
    let note = writer(Some("https://example.com/iot/"), Language::English).note("ops", &report);
    let expected = "⚠ 2 more tasks failed (5 in all)\n\
        since 2015-12-12 12:12:13 UTC · <look|https://example.com/iot/?class=retryable>\n\
        • Fail – <a b|https://example.com/iot/page/tasks/factory%2F1/a%20b> “north” \
        (factory/1, firmwareUpgrade), 9 devices: 7 succeeded, 2 failed: no reply\n\
        … and 1 more task\n\
        batchtask · ops · <tasks|https://example.com/iot/>\n";
    assert_eq!(plain(&note), expected);
}

#[test]
fn every_condition_has_words_in_every_language() {
    for (_, language) in Language::ALL {
        let writer = writer(None, *language);
        for (name, condition) in Condition::ALL {
            let mut titles = Vec::new();
            for change in [Change::Began, Change::Ended] {
                let alert = Alert {
                    condition: *condition,
                    ..failed(change)
                };
                titles.push(writer.note("ops", &Report::Alerts(vec![alert])).title);
            }
            assert_ne!(titles[0], titles[1], "{name}");
            let is_chinese = titles
                .iter()
                .all(|title| title.chars().any(|c| c > '\u{4e00}'));
            assert_eq!(is_chinese, *language == Language::Chinese, "{titles:?}");
        }
    }
}

#[test]
fn the_same_report_has_the_same_id() {
    let id = |alert: Alert, sink: &str| Report::Alerts(vec![alert]).id(sink);
    let first = id(failed(Change::Began), "a");
    assert_eq!(first, id(failed(Change::Began), "a"));
    assert_ne!(first, id(failed(Change::Ended), "a"));
    assert_ne!(first, id(failed(Change::Began), "b"));
}

#[test]
fn texts_of_others_stay_in_their_line() {
    let text = "a\r\nBcc: x\u{202e}\u{2066}\u{2028}b\0";
    assert_eq!(clean(text), "a  Bcc: x b ");
    assert_eq!(clean(&"文".repeat(500)).chars().count(), TEXT_CHARS_MAX + 1);
}

#[test]
fn a_note_is_cut_to_what_a_service_accepts() {
    let alert = Alert {
        tasks: vec![line(&"文".repeat(100)); 10],
        ..failed(Change::Began)
    };
    let note = writer(None, Language::Chinese).note("ops", &Report::Alerts(vec![alert]));
    let whole = plain(&note);
    let cut = note.clone().fitted(1500, plain, String::len);
    assert!(cut.len() <= 1500 && cut.len() > 700, "{}", cut.len());
    assert!(cut.contains("\n…\nbatchtask · ops"), "{cut}");
    assert_eq!(note.fitted(whole.len(), plain, String::len), whole);
}

#[test]
fn the_page_is_a_url() {
    for (page, is_right) in [
        ("https://example.com", true),
        ("http://10.0.0.1:8080/iot/", true),
        ("example.com", false),
        ("https://example.com/?x=1", false),
        ("https://example.com/#a", false),
    ] {
        assert_eq!(checked_page(page).is_ok(), is_right, "{page}");
    }
}
