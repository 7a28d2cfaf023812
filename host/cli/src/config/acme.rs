//! The checked configuration of the certificate that a CA issues.

use std::fs;

use batchtask_acme::{ExternalAccount, OptionError, Options};

use super::options::{
    ACME_ACCEPT_TERMS, ACME_CA, ACME_CACHE, ACME_CONTACTS, ACME_DIRECTORY, ACME_DNS_HOOK,
    ACME_DOMAINS, ACME_EAB_KEY, ACME_EAB_KEY_ID, ACME_SHARE_SECRET, how_to_set,
};
use super::values::Values;
use crate::proxy::proxy_for;

/// Checks the options of ACME. Returns `None` if there are no names, or a fault.
pub(crate) fn acme(values: &mut Values) -> Option<Options> {
    let domains = values.value(&ACME_DOMAINS);
    let has_accepted = values.value(&ACME_ACCEPT_TERMS);
    let folder = values.value(&ACME_CACHE);
    let directory = values.value(&ACME_DIRECTORY);
    let contacts = values.value(&ACME_CONTACTS);
    let dns_hook = values.value(&ACME_DNS_HOOK);
    let share_secrets = values.value(&ACME_SHARE_SECRET);
    let authorities = authorities(values);
    let external_account = external_account(values);
    values.text(ACME_DOMAINS.name)?;
    if !has_accepted {
        let problem = "you must accept the terms of service of the CA; its directory has their \
                       address";
        let name = ACME_ACCEPT_TERMS.name;
        values.refuse(name, format!("{}: {problem}", how_to_set(name)));
    }
    if folder.is_none() {
        values.refuse(ACME_CACHE.name, how_to_set(ACME_CACHE.name));
    }
    let mut options = Options::new(domains, folder?);
    options.directory = directory;
    options.contacts = contacts;
    options.dns_hook = dns_hook;
    options.share_secrets = share_secrets;
    options.authorities = authorities;
    options.external_account = external_account;
    let uri: Option<http::Uri> = options.directory.parse().ok();
    let host = uri.as_ref().and_then(http::Uri::host).unwrap_or_default();
    match proxy_for(host, true, |name| std::env::var(name).ok()) {
        Ok(proxy) => options.proxy = proxy,
        Err(error) => values.refuse(ACME_DIRECTORY.name, format!("{error:#}")),
    }
    let is_refused = |values: &Values, field: &str| values.is_refused(&option(field));
    if let Err(error) = options.check()
        && !is_refused(values, error.field)
    {
        refuse(values, error);
    }
    Some(options)
}

fn option(field: &str) -> String {
    format!("acme_{field}")
}

fn refuse(values: &mut Values, error: OptionError) {
    let problem = format!("cannot be used: {}", error.reason);
    values.refuse(&option(error.field), problem);
}

fn authorities(values: &mut Values) -> Option<Vec<u8>> {
    let path = values.value(&ACME_CA)?;
    let read = fs::read(&path);
    let refuse = |error: &_| {
        let problem = format!("cannot be read: `{}`: {error}", path.display());
        values.refuse(ACME_CA.name, problem);
    };
    read.inspect_err(refuse).ok()
}

fn external_account(values: &mut Values) -> Option<ExternalAccount> {
    let id = values.value(&ACME_EAB_KEY_ID);
    let key = values.value(&ACME_EAB_KEY);
    let (id, key) = match (id, key) {
        (None, None) => return None,
        (Some(id), Some(key)) => (id, key),
        (None, Some(_)) => {
            values.refuse(ACME_EAB_KEY_ID.name, how_to_set(ACME_EAB_KEY_ID.name));
            return None;
        }
        (Some(_), None) => {
            values.refuse(ACME_EAB_KEY.name, how_to_set(ACME_EAB_KEY.name));
            return None;
        }
    };
    let account = ExternalAccount::new(id, key.expose());
    account.map_err(|error| refuse(values, error)).ok()
}
