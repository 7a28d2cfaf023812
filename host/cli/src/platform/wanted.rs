//! The wanted setup, from the configuration.

use std::fs;
use std::path::Path;

use batchtask_acme::certificate_path;
use batchtask_platform::setup::{Authority, HttpTarget, Target, Wanted};
use batchtask_platform::{OptionError, Secret};

use crate::client::BaseUrl;
use crate::config::{
    ACME_CACHE, ACME_DOMAINS, CA, Faults, PLATFORM_APP_ID, PLATFORM_QUEUE, PLATFORM_RULE_NAME,
    PLATFORM_SERVER_NAME, TLS_CERT, URL, Values, how_to_set, receiver, usable,
};

/// Describes the wanted setup. Returns `None` if there is a fault.
///
/// # Errors
/// Faults of the receiver's settings, and all that were found before.
pub(super) fn wanted(values: &mut Values) -> Result<Option<Wanted>, Faults> {
    let rule_name = values.value(&PLATFORM_RULE_NAME);
    let app_id = values.value(&PLATFORM_APP_ID);
    let target = match values.value(&PLATFORM_QUEUE) {
        Some(queue) => Some(queue),
        // It is set, and has a fault.
        None if values.is_refused(PLATFORM_QUEUE.name) => None,
        None => http(values)?.map(Target::Http),
    };
    let target = target.filter(|_| !values.is_refused(PLATFORM_RULE_NAME.name));
    let wanted = target.map(|target| Wanted::new(rule_name, app_id, target));
    Ok(wanted.and_then(|wanted| usable(values, wanted)))
}

/// Describes the webhook: its URL with the path secret, its token, and its authority.
fn http(values: &mut Values) -> Result<Option<HttpTarget>, Faults> {
    let base = public_url(values);
    let server_name = values.value(&PLATFORM_SERVER_NAME);
    let authority = match &base {
        Some(base) if base.is_https() => authority(values).map(Some),
        _ => Some(None),
    };
    let (_, settings) = receiver(values)?;
    let (Some(base), Some(authority)) = (base, authority) else {
        return Ok(None);
    };
    let mut url = format!("{}/notifications", base.text());
    if let Some(secret) = settings.path_secrets.first() {
        url = format!("{url}/{secret}");
    }
    let token = settings.scheme.tokens.first();
    let target = HttpTarget::new(Secret::new(url))
        .and_then(|target| match token {
            Some(token) => target.with_token(Secret::new(token)),
            None => Ok(target),
        })
        .and_then(|target| match authority {
            Some(authority) => target.with_authority(authority),
            None => Ok(target),
        });
    let target = of_receiver(values, target);
    Ok(target.and_then(|target| match server_name {
        Some(name) => usable(values, target.with_server_name(name)),
        None => Some(target),
    }))
}

/// Returns the URL of the receiver, which has no default here: the platform cannot
/// reach this machine's own address.
fn public_url(values: &mut Values) -> Option<BaseUrl> {
    if values.text(URL.name).is_none() {
        values.refuse(URL.name, how_to_set(URL.name));
        return None;
    }
    let url = values.value(&URL);
    (!values.is_refused(URL.name)).then_some(url)
}

/// Reads the authority: that of `ca`, or else the last one of the server's own chain. The chain
/// that a CA issues over ACME ends before the root, so the root is taken from the system.
fn authority(values: &mut Values) -> Option<Authority> {
    let acme = values.text(ACME_DOMAINS.name).is_some();
    let acme = values.value(&ACME_CACHE).filter(|_| acme);
    let acme = acme.map(|folder| certificate_path(&folder));
    let (name, path, parse): (_, _, fn(&str) -> _) =
        match (values.value(&CA), values.value(&TLS_CERT), acme) {
            (Some(path), ..) => (CA.name, path, Authority::from_pem),
            (None, Some(path), _) => (TLS_CERT.name, path, Authority::of_chain),
            (None, None, Some(path)) if !path.exists() => {
                let problem = "has issued no certificate yet: start the receiver first, or name \
                               the root of the CA";
                let other = values.spell(CA.name, ACME_DOMAINS.name);
                values.refuse(ACME_DOMAINS.name, format!("{problem} in `{other}`"));
                return None;
            }
            (None, None, Some(path)) => (CA.name, path, of_acme),
            (None, None, None) => {
                let problem = "the platform needs the CA certificate of an `https` URL";
                values.refuse(CA.name, format!("{}. {problem}", how_to_set(CA.name)));
                return None;
            }
        };
    let authority = read(&path).and_then(|pem| parse(&pem).map_err(|error| error.reason));
    let refuse = |reason| {
        let problem = format!("cannot be used: `{}`: {reason}", path.display());
        values.refuse(name, problem);
    };
    authority.map_err(refuse).ok()
}

/// The root of a chain without its root.
fn of_acme(chain: &str) -> Result<Authority, OptionError> {
    Authority::of_chain(chain).or_else(|_| {
        let known = batchtask_trust::authorities(None).unwrap_or_default();
        Authority::of_issuer(chain, &known)
    })
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| error.to_string())
}

/// Like [`usable`], for the options of the receiver.
fn of_receiver<T>(values: &mut Values, result: Result<T, OptionError>) -> Option<T> {
    let refuse = |error: OptionError| {
        values.refuse(error.field, format!("cannot be used: {}", error.reason));
    };
    result.map_err(refuse).ok()
}
