//! [`Authority`]: answers RabbitMQ whether a login is allowed, by the platform's rules.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{ACCESS_CODE, ACCESS_KEY};

/// A login whose time is off by more is refused.
const CLOCK_MS: i64 = 5 * 60 * 1000;

/// The rules, which tests may change.
#[derive(Clone)]
pub(crate) struct Rules {
    pub(crate) access_codes: Vec<String>,
    /// How far the broker's clock is ahead.
    pub(crate) skew_ms: i64,
}

/// An HTTP server that RabbitMQ asks.
pub(crate) struct Authority {
    pub(crate) port: u16,
    rules: Arc<Mutex<Rules>>,
}

impl Authority {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let rules = Arc::new(Mutex::new(Rules {
            access_codes: vec![ACCESS_CODE.into()],
            skew_ms: 0,
        }));
        let shared = rules.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let rules = shared.clone();
                std::thread::spawn(move || while answer(&stream, &rules).is_some() {});
            }
        });
        Self { port, rules }
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Rules)) {
        change(&mut self.rules.lock().unwrap());
    }
}

/// Answers one request. Returns `None` at the end of the connection.
fn answer(mut stream: &TcpStream, rules: &Mutex<Rules>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    (reader.read_line(&mut line).ok()? > 0).then_some(())?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut form = vec![0; length];
    reader.read_exact(&mut form).ok()?;
    let form = String::from_utf8(form).ok()?;
    let is_allowed = path != "/auth/user" || is_allowed(&form, &rules.lock().unwrap());
    let word = if is_allowed { "allow" } else { "deny" };
    let length = word.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n{word}"
    )
    .ok()
}

fn is_allowed(form: &str, rules: &Rules) -> bool {
    let field = |name: &str| {
        let mut fields = form.split('&').filter_map(|field| field.split_once('='));
        fields
            .find(|(found, _)| *found == name)
            .map(|(_, value)| decoded(value))
    };
    let Some(user) = field("username") else {
        return false;
    };
    let Some(time_ms) = user
        .strip_prefix(&format!("accessKey={ACCESS_KEY}|timestamp="))
        .filter(|time| time.len() == 13)
        .and_then(|time| time.parse::<i64>().ok())
    else {
        return false;
    };
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    let now_ms = i64::try_from(now.as_millis()).expect("a time") + rules.skew_ms;
    // It asks a second time without the password.
    let knows_code = field("password").is_none_or(|code| rules.access_codes.contains(&code));
    knows_code && (now_ms - time_ms).abs() < CLOCK_MS
}

/// Decodes a value of a form.
fn decoded(value: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = [rest.next(), rest.next()].map(|digit| digit.expect("a digit"));
                let digits = str::from_utf8(&digits).expect("ASCII").to_owned();
                bytes.push(u8::from_str_radix(&digits, 16).expect("a number"));
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).expect("UTF-8")
}
