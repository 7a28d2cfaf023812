//! Parsers of the values of options. An error says more than the form of the value
//! does, or is empty.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use batchtask_acme::Domain;
use batchtask_amqp::{Broker, QUEUES_MAX};
use batchtask_guest::percent;
use batchtask_host::http::Origins;
use batchtask_host::proxies::Proxies;
use batchtask_platform::api::queues::DEFAULT_QUEUE;
use batchtask_platform::setup::{Target, Wanted};
use batchtask_platform::{Edition, OptionError, Proxy, Secret};

use crate::logging::{Format, parse_filter};

/// The longest name of a queue. The platform's names are shorter, but other brokers have
/// paths.
const QUEUE_NAME_MAX: usize = 255;

fn address(text: &str) -> Result<String, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        return if path.is_empty() {
            Err("the path is empty".to_owned())
        } else {
            Ok(text.to_owned())
        };
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(match text.parse::<u16>() {
            Ok(_) => format!("write `:{text}` or `127.0.0.1:{text}`"),
            Err(_) => "there is no port".to_owned(),
        });
    };
    let has_brackets = host.starts_with('[') && host.ends_with(']');
    if host.contains(':') && !has_brackets {
        return Err("an IPv6 address needs brackets, such as `[::1]:8080`".to_owned());
    }
    match port.parse::<u16>() {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("the port is not a number from 0 to 65535".to_owned()),
    }
}

pub(super) fn address_or_off(text: &str) -> Result<Option<String>, String> {
    match text {
        "off" => Ok(None),
        text => address(text).map(Some),
    }
}

pub(super) fn proxies(text: &str) -> Result<Proxies, String> {
    text.parse()
}

pub(super) fn origins(text: &str) -> Result<Origins, String> {
    text.parse()
}

pub(super) fn proxy_protocol(text: &str) -> Result<Option<Proxies>, String> {
    match text {
        "off" => Ok(None),
        "on" => Ok(Some(Proxies::all())),
        text => proxies(text).map(Some),
    }
}

pub(super) fn switch(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| String::new())
}

pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    Ok(text.into())
}

pub(super) fn whole(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| String::new())
}

pub(super) fn positive(text: &str) -> Result<u32, String> {
    match whole(text)? {
        0 => Err(String::new()),
        number => Ok(number),
    }
}

pub(super) fn on_or_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(String::new()),
    }
}

pub(super) fn log_filter(text: &str) -> Result<String, String> {
    match parse_filter(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

pub(super) fn log_format(text: &str) -> Result<Format, String> {
    match text {
        "text" => Ok(Format::Text),
        "json" => Ok(Format::Json),
        _ => Err(String::new()),
    }
}

pub(super) fn text(text: &str) -> Result<Option<String>, String> {
    Ok(Some(text.to_owned()))
}

pub(super) fn secret(text: &str) -> Result<Option<Secret>, String> {
    Ok(Some(Secret::new(text)))
}

pub(super) fn tokens(text: &str) -> Result<Vec<String>, String> {
    let tokens: Vec<String> = text
        .split(',')
        .map(|token| token.trim().to_owned())
        .collect();
    let is_token = |token: &String| {
        (16..=256).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic())
    };
    if tokens.len() > 2 || !tokens.iter().all(is_token) {
        return Err(String::new());
    }
    Ok(tokens)
}

/// A part of a whole.
pub(super) fn ratio(text: &str) -> Result<f64, String> {
    let ratio = text.parse().ok();
    let ratio = ratio.filter(|ratio| (0.0..=1.0).contains(ratio));
    ratio.ok_or_else(String::new)
}

/// Pairs `NAME=VALUE` with commas between them. Values are percent-encoded, as in the
/// variables of OpenTelemetry. An error shows no value.
pub(super) fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let pairs = text.split(',').map(str::trim);
    let pairs = pairs.filter(|pair| !pair.is_empty());
    pairs.map(pair).collect()
}

fn pair(pair: &str) -> Result<(String, String), String> {
    let (name, value) = pair.split_once('=').ok_or("a pair has no `=`")?;
    let (name, value) = (name.trim(), value.trim());
    if name.is_empty() {
        return Err("a pair has no name".into());
    }
    let is_escape = |(at, _): (usize, &str)| {
        let digits = value.as_bytes().get(at + 1..at + 3);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    let is_valid = value.match_indices('%').all(is_escape);
    let value = percent::decode(value).filter(|_| is_valid);
    let value = value.ok_or_else(|| format!("the value of `{name}` has an invalid `%`"))?;
    Ok((name.to_owned(), value))
}

pub(super) fn broker(text: &str) -> Result<Option<Broker>, String> {
    let broker = text.parse().map(Some);
    broker.map_err(|reason: &str| reason.to_owned())
}

/// A text that is part of an AMQP user name, whose parts are separated by `|`.
pub(super) fn access_key(text: &str) -> Result<Option<String>, String> {
    if text.contains('|') || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("it must be visible ASCII characters without `|`".to_owned());
    }
    Ok(Some(text.to_owned()))
}

pub(super) fn access_codes(text: &str) -> Result<Vec<String>, String> {
    let codes: Vec<String> = text.split(',').map(|code| code.trim().to_owned()).collect();
    if codes.len() > 2 || codes.iter().any(String::is_empty) {
        return Err("write one access code, or two".to_owned());
    }
    Ok(codes)
}

pub(super) fn queues(text: &str) -> Result<Vec<String>, String> {
    let queues: Vec<String> = text
        .split(',')
        .map(|queue| queue.trim().to_owned())
        .collect();
    if queues.len() > QUEUES_MAX {
        return Err(format!("there are {}", queues.len()));
    }
    for (index, queue) in queues.iter().enumerate() {
        let is_name = queue.bytes().all(|byte| byte.is_ascii_graphic());
        if queue.is_empty() || queue.len() > QUEUE_NAME_MAX || !is_name {
            return Err(format!(
                "a name must be 1 to {QUEUE_NAME_MAX} visible ASCII characters"
            ));
        }
        if queues[..index].contains(queue) {
            return Err(format!("`{queue}` is there twice"));
        }
    }
    Ok(queues)
}

/// Names of hosts. Those in another script become ASCII, as in a browser.
pub(super) fn domains(text: &str) -> Result<Vec<Domain>, String> {
    let mut domains: Vec<Domain> = Vec::new();
    for name in text.split(',').map(str::trim) {
        let ascii = idna::domain_to_ascii(name.trim_start_matches("*."));
        let ascii = match ascii {
            Ok(ascii) if name.starts_with("*.") => format!("*.{ascii}"),
            Ok(ascii) => ascii,
            Err(_) => name.to_owned(),
        };
        let domain = ascii.parse::<Domain>();
        let domain = domain.map_err(|reason| format!("`{name}`: {reason}"))?;
        if domains.contains(&domain) {
            return Err(format!("`{name}` is there twice"));
        }
        domains.push(domain);
    }
    Ok(domains)
}

/// Mail addresses, also as `mailto:` URLs.
pub(super) fn contacts(text: &str) -> Result<Vec<String>, String> {
    let contacts = text.split(',').map(|contact| {
        let contact = contact.trim().trim_start_matches("mailto:");
        let is_address = contact.split_once('@').is_some_and(|(user, host)| {
            !user.is_empty() && host.contains('.') && contact.is_ascii()
        });
        let is_one = is_address && !contact.contains([' ', '?']);
        is_one
            .then(|| contact.to_owned())
            .ok_or_else(|| format!("`{contact}` is not a mail address"))
    });
    contacts.collect()
}

pub(super) fn messages(text: &str) -> Result<u32, String> {
    within(text, 1..=100_000)
}

pub(super) fn memory_mib(text: &str) -> Result<u32, String> {
    within(text, 1..=4096)
}

fn within(text: &str, range: RangeInclusive<u32>) -> Result<u32, String> {
    let number = whole(text)?;
    range
        .contains(&number)
        .then_some(number)
        .ok_or_else(String::new)
}

pub(super) fn edition(text: &str) -> Result<Option<Edition>, String> {
    let edition = text.parse().map(Some);
    edition.map_err(|_: OptionError| String::new())
}

pub(super) fn proxy(text: &str) -> Result<Option<Proxy>, String> {
    let proxy = text.parse().map(Some);
    proxy.map_err(|error: OptionError| error.reason)
}

pub(super) fn queue(text: &str) -> Result<Option<Target>, String> {
    let queue = Target::queue(text).map(Some);
    queue.map_err(|_: OptionError| String::new())
}

pub(super) fn rule_name(text: &str) -> Result<String, String> {
    // The library checks the name of a rule together with its target.
    let rule = Target::queue(DEFAULT_QUEUE).and_then(|target| Wanted::new(text, None, target));
    rule.map(|_| text.to_owned()).map_err(|error| error.reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_are_different_names() {
        assert_eq!(queues("a, /amq/queue/b").unwrap(), ["a", "/amq/queue/b"]);
        for text in ["", "a,", "a,b,a", "a b", "é", "0,1,2,3,4,5,6,7,8,9,10"] {
            assert!(queues(text).is_err(), "{text}");
        }
        assert!(queues(&"q".repeat(256)).is_err());
    }

    #[test]
    fn domains_are_different_names() {
        let names = |text: &str| {
            let domains = domains(text)?;
            Ok::<_, String>(domains.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(
            names("A.example, *.b.example").unwrap(),
            ["a.example", "*.b.example"]
        );
        assert_eq!(names("bücher.example").unwrap(), ["xn--bcher-kva.example"]);
        for text in [
            "",
            "a.example,",
            "a.example,A.example",
            "a b",
            "192.0.2.1",
            "a.example:443",
        ] {
            assert!(names(text).is_err(), "{text}");
        }
    }

    #[test]
    fn contacts_are_mail_addresses() {
        let two = contacts("a@example.com, mailto:b@example.com").unwrap();
        assert_eq!(two, ["a@example.com", "b@example.com"]);
        for text in [
            "",
            "a",
            "@example.com",
            "a@example",
            "a@example.com,",
            "a b@example.com",
        ] {
            assert!(contacts(text).is_err(), "{text}");
        }
    }

    #[test]
    fn there_are_one_or_two_access_codes() {
        assert_eq!(access_codes("a b").unwrap(), ["a b"]);
        assert_eq!(access_codes("new, old").unwrap(), ["new", "old"]);
        for text in ["", "a,", "a,b,c"] {
            assert!(access_codes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_ratio_is_a_part() {
        for (text, expected) in [("0", 0.0), ("0.01", 0.01), ("1", 1.0), ("1e-3", 0.001)] {
            assert_eq!(ratio(text), Ok(expected), "{text}");
        }
        for text in ["", "-0.1", "1.1", "NaN", "inf", "1 %", "0,5"] {
            assert!(ratio(text).is_err(), "{text}");
        }
    }

    #[test]
    fn pairs_are_names_and_values() {
        let found = pairs("a=b, Authorization = Bearer%20x%3D%2C ,, c=").unwrap();
        let expected = [("a", "b"), ("Authorization", "Bearer x=,"), ("c", "")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(found, expected);
        for text in ["hush", "=hush", "a=hush%", "a=hush%zz"] {
            let error = pairs(text).expect_err(text);
            assert!(!error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn addresses() {
        for text in [
            ":0",
            "localhost:80",
            "[::1]:8080",
            "0.0.0.0:443",
            "unix:/run/b.sock",
        ] {
            assert_eq!(address(text).as_deref(), Ok(text));
        }
        for text in ["8080", "::1:8080", "localhost:http", ":70000", "unix:", ""] {
            assert!(address(text).is_err(), "{text}");
        }
    }
}
