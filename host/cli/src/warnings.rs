//! Warnings of a configuration that is valid, but probably not what was meant.

use std::net::SocketAddr;

use batchtask_guest::settings::Settings;
use batchtask_guest::signature::Mode;

use super::config::{HostConfig, unknown_variables};

/// How long the platform waits for an answer, in seconds.
const PLATFORM_WAIT_S: u32 = 15;

/// The warnings for a configuration. `address` is that of the webhook, if it has one.
/// `has_made_token`: a read token was made for this run.
pub(super) fn warnings(
    config: &HostConfig,
    address: Option<SocketAddr>,
    has_made_token: bool,
) -> Vec<String> {
    let settings = &config.receiver;
    let has_client_ca = config
        .tls
        .as_ref()
        .is_some_and(|files| files.client_ca.is_some());
    let open = address.and_then(|address| open_to_everyone(settings, address, has_client_ca));
    let warnings = [
        open,
        unused_token(settings),
        little_memory(settings, config.limits.instance_memory_mib),
        slow_answer(config.limits.body_seconds, config.limits.request_seconds),
        no_readers(settings).filter(|_| !has_made_token),
        no_channel(config),
    ];
    let warnings = warnings.into_iter().flatten();
    unknown_variables().chain(warnings).collect()
}

/// Warns of a webhook that accepts notifications from every sender, unless only
/// this machine reaches it.
fn open_to_everyone(
    settings: &Settings,
    address: SocketAddr,
    has_client_ca: bool,
) -> Option<String> {
    let is_checked =
        !settings.path_secrets.is_empty() || settings.scheme.mode == Mode::Enforce || has_client_ca;
    (!is_checked && !address.ip().is_loopback()).then(|| {
        format!(
            "everyone who reaches {address} can post notifications: set BATCHTASK_PATH_SECRET, \
             BATCHTASK_TOKEN with BATCHTASK_SIGNATURE=enforce, or `--tls-client-ca`"
        )
    })
}

/// Warns of a token that is not used.
fn unused_token(settings: &Settings) -> Option<String> {
    let scheme = &settings.scheme;
    (scheme.mode == Mode::Off && !scheme.tokens.is_empty()).then(|| {
        "BATCHTASK_TOKEN is set, but no signature is checked: set BATCHTASK_SIGNATURE to `report`, \
         and to `enforce` after a genuine push with a valid signature"
            .into()
    })
}

/// Warns if an instance has too little memory for the longest body. It holds a
/// body several times: as received, out of its envelope, and in parts. Without
/// that memory it answers 500.
fn little_memory(settings: &Settings, memory_mib: u32) -> Option<String> {
    let body_bytes = settings.max_body_bytes;
    let needed_mib = 4 + (body_bytes * 8).div_ceil(1 << 20);
    (needed_mib > memory_mib as usize).then(|| {
        format!(
            "raise `--instance-memory-mib` to at least {needed_mib} for bodies of {body_bytes} \
             bytes"
        )
    })
}

/// Warns of a receiver that cannot be read.
fn no_readers(settings: &Settings) -> Option<String> {
    settings.read_tokens.is_empty().then(|| {
        "no read token is set, so nothing can be read: set BATCHTASK_READ_TOKEN".to_owned()
    })
}

/// Warns of a host that no notification can reach.
fn no_channel(config: &HostConfig) -> Option<String> {
    (config.listen.is_none() && config.amqp.is_none()).then(|| {
        "`listen` is off and `amqp.url` is not set, so this host receives nothing".to_owned()
    })
}

/// Warns if the platform may give up before the host does.
fn slow_answer(body_s: u32, request_s: u32) -> Option<String> {
    (body_s.saturating_add(request_s) >= PLATFORM_WAIT_S).then(|| {
        format!(
            "the platform waits {PLATFORM_WAIT_S} seconds for an answer: `--body-seconds` \
             ({body_s}) and `--request-seconds` ({request_s}) together must be less"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        let pair = |name: &str| pairs.iter().find(|(known, _)| *known == name);
        Settings::read(|name| pair(name).map(|(_, value)| (*value).to_owned())).unwrap()
    }

    #[test]
    fn a_webhook_that_takes_anything_from_anybody_is_warned_of() {
        let secret = ("BATCHTASK_PATH_SECRET", "0123456789abcdef");
        let token = ("BATCHTASK_TOKEN", "0123456789abcdef");
        for (pairs, address, has_client_ca, warned) in [
            (&[][..], "0.0.0.0:8080", false, true),
            (&[], "[::]:8080", false, true),
            (&[], "192.0.2.1:8080", false, true),
            (
                &[token, ("BATCHTASK_SIGNATURE", "report")],
                "0.0.0.0:8080",
                false,
                true,
            ),
            (&[token], "0.0.0.0:8080", false, true),
            (&[], "127.0.0.1:8080", false, false),
            (&[], "[::1]:8080", false, false),
            (&[], "0.0.0.0:8080", true, false),
            (&[secret], "0.0.0.0:8080", false, false),
            (
                &[token, ("BATCHTASK_SIGNATURE", "enforce")],
                "0.0.0.0:8080",
                false,
                false,
            ),
        ] {
            let address = address.parse().unwrap();
            let text = open_to_everyone(&settings(pairs), address, has_client_ca);
            assert_eq!(text.is_some(), warned, "{pairs:?} {address}");
        }
    }

    #[test]
    fn an_answer_after_the_platform_gave_up_is_warned_of() {
        assert!(slow_answer(5, 9).is_none());
        assert!(slow_answer(6, 9).is_some());
        assert!(slow_answer(u32::MAX, 9).is_some());
    }

    #[test]
    fn a_token_that_nothing_is_checked_with_is_warned_of() {
        let token = ("BATCHTASK_TOKEN", "0123456789abcdef");
        for (pairs, warned) in [
            (&[token][..], true),
            (&[token, ("BATCHTASK_SIGNATURE", "off")], true),
            (&[token, ("BATCHTASK_SIGNATURE", "report")], false),
            (&[], false),
        ] {
            let text = unused_token(&settings(pairs));
            assert_eq!(text.is_some(), warned, "{pairs:?}");
            assert!(!text.unwrap_or_default().contains("0123456789"));
        }
    }
}
