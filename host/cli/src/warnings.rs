//! Warnings at start, of settings that do not do what was probably meant.

use std::net::SocketAddr;

use batchtask_guest::settings::Settings;
use batchtask_guest::signature::Mode;

/// Logs what is probably not meant.
/// `address` is where the webhook is, if it has an address.
pub(super) fn warn(settings: &Settings, address: Option<SocketAddr>, has_client_ca: bool) {
    let open = address.and_then(|address| open_to_anybody(settings, address, has_client_ca));
    for text in [open, unused_token(settings)].into_iter().flatten() {
        tracing::warn!("{text}");
    }
}

/// Warns of a webhook that accepts notifications from anybody, unless it can
/// only be reached from this machine.
fn open_to_anybody(
    settings: &Settings,
    address: SocketAddr,
    has_client_ca: bool,
) -> Option<String> {
    let is_checked =
        settings.path_secret.is_some() || settings.scheme.mode == Mode::Enforce || has_client_ca;
    (!is_checked && !address.ip().is_loopback()).then(|| {
        format!(
            "anybody who reaches {address} can post notifications: set BATCHTASK_PATH_SECRET, \
             BATCHTASK_TOKEN with BATCHTASK_SIGNATURE=enforce, or `--tls-client-ca`"
        )
    })
}

/// Warns of a token that nothing is checked with.
fn unused_token(settings: &Settings) -> Option<String> {
    let scheme = &settings.scheme;
    (scheme.mode == Mode::Off && !scheme.tokens.is_empty()).then(|| {
        "BATCHTASK_TOKEN is set, but no signature is checked: set BATCHTASK_SIGNATURE to `report`, \
         and to `enforce` after a genuine push with a valid signature"
            .into()
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
            let text = open_to_anybody(&settings(pairs), address, has_client_ca);
            assert_eq!(text.is_some(), warned, "{pairs:?} {address}");
        }
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
