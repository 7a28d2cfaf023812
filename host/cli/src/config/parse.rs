//! Parsers of the values of options. An error says more than the form of the value
//! does, or is empty.

use std::path::PathBuf;

use batchtask_host::proxies::Proxies;
use batchtask_platform::api::queues::DEFAULT_QUEUE;
use batchtask_platform::setup::{Target, Wanted};
use batchtask_platform::{Edition, OptionError, Proxy, Secret};

use crate::logging::{Format, parse_filter};

pub(super) fn address(text: &str) -> Result<String, String> {
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

pub(super) fn admin_address(text: &str) -> Result<Option<String>, String> {
    match text {
        "off" => Ok(None),
        text => address(text).map(Some),
    }
}

pub(super) fn proxies(text: &str) -> Result<Proxies, String> {
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
