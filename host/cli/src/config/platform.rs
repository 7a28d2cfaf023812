//! The checked configuration of a client of the platform.

use std::fs;

use batchtask_platform::reconcile::ScheduleOptions;
use batchtask_platform::{
    AccessKey, Client, ClientOptions, Credentials, Edition, Endpoint, OptionError, Password,
    TransportOptions,
};

use super::options::{
    self, Opt, PLATFORM_ACCESS_KEY, PLATFORM_ADOPT_SINCE_S, PLATFORM_APP_ID, PLATFORM_CA,
    PLATFORM_CALLS_PER_SECOND, PLATFORM_DOMAIN, PLATFORM_EDITION, PLATFORM_IAM_URL,
    PLATFORM_INSTANCE_ID, PLATFORM_PASSWORD, PLATFORM_PROJECT_ID, PLATFORM_PROJECT_NAME,
    PLATFORM_PROXY, PLATFORM_QUEUE, PLATFORM_RECHECK_S, PLATFORM_REGION, PLATFORM_RULE_NAME,
    PLATFORM_SCAN_S, PLATFORM_SECRET_KEY, PLATFORM_SECURITY_TOKEN, PLATFORM_SILENT_AFTER_S,
    PLATFORM_URL, PLATFORM_USER,
};
use super::values::Values;
use crate::reconcile;

/// Checks the options of the search for lost changes.
pub(crate) fn search(values: &mut Values) -> reconcile::Options {
    let mut ms = |option: &Opt<u32>| u64::from(values.value(option)) * 1000;
    let adopt_since_ms = ms(&PLATFORM_ADOPT_SINCE_S);
    let silent_after_ms = ms(&PLATFORM_SILENT_AFTER_S);
    let recheck_ms = ms(&PLATFORM_RECHECK_S);
    let scan_ms = ms(&PLATFORM_SCAN_S);
    reconcile::Options {
        app_id: values.value(&PLATFORM_APP_ID),
        schedule: ScheduleOptions {
            calls_per_second: values.value(&PLATFORM_CALLS_PER_SECOND),
            silent_after_ms,
            recheck_ms,
            scan_ms,
            adopt_since_ms,
        },
    }
}

/// Checks the options of the platform. Returns `None` if there is a fault.
pub(crate) fn platform(values: &mut Values) -> Option<ClientOptions> {
    let endpoint = endpoint(values);
    let project_id = required(values, &PLATFORM_PROJECT_ID);
    let credentials = credentials(values);
    let transport = transport(values);
    let instance_id = values.value(&PLATFORM_INSTANCE_ID);
    let calls_per_second = values.value(&PLATFORM_CALLS_PER_SECOND);
    let mut options = ClientOptions::new(endpoint?, project_id?, credentials?);
    options.instance_id = instance_id;
    options.transport = transport?;
    if !values.is_refused(PLATFORM_CALLS_PER_SECOND.name) {
        options.calls_per_second = calls_per_second;
    }
    // A client checks the authorities, too.
    let checked = Client::new(options.clone());
    usable(values, checked).map(|_| options)
}

/// Checks the options of the rule, which only some commands use.
pub(super) fn check_rule(values: &mut Values) {
    values.value(&PLATFORM_RULE_NAME);
    values.value(&PLATFORM_QUEUE);
}

/// Returns the value of a result. Adds a fault if the platform's library refused an
/// option.
pub(crate) fn usable<T>(values: &mut Values, result: Result<T, OptionError>) -> Option<T> {
    let refuse = |error: OptionError| {
        let name = match error.field {
            "authorities" => PLATFORM_CA.name.to_owned(),
            field => format!("platform_{field}"),
        };
        values.refuse(&name, format!("cannot be used: {}", error.reason));
    };
    result.map_err(refuse).ok()
}

fn endpoint(values: &mut Values) -> Option<Endpoint> {
    let region = required(values, &PLATFORM_REGION);
    let edition = values.value(&PLATFORM_EDITION);
    let url = values.value(&PLATFORM_URL);
    let iam_url = values.value(&PLATFORM_IAM_URL);
    let edition: Edition = edition?;
    let endpoint =
        Endpoint::new(edition, &region?, url.as_deref()).and_then(|endpoint| match iam_url {
            Some(url) => endpoint.with_iam(&url),
            None => Ok(endpoint),
        });
    usable(values, endpoint)
}

fn credentials(values: &mut Values) -> Option<Credentials> {
    let has_key = is_set(values, &PLATFORM_ACCESS_KEY) || is_set(values, &PLATFORM_SECRET_KEY);
    let has_password = is_set(values, &PLATFORM_USER) || is_set(values, &PLATFORM_PASSWORD);
    if has_key && has_password {
        let problem = "is set beside an access key: use only one of both";
        let password = is_set(values, &PLATFORM_PASSWORD);
        let name = if password {
            PLATFORM_PASSWORD.name
        } else {
            PLATFORM_USER.name
        };
        values.refuse(name, problem);
        return None;
    }
    if has_password {
        return password(values).map(Credentials::Password);
    }
    let id = required(values, &PLATFORM_ACCESS_KEY);
    let secret = required(values, &PLATFORM_SECRET_KEY);
    let security_token = values.value(&PLATFORM_SECURITY_TOKEN);
    Some(Credentials::Keys(AccessKey {
        id: id?,
        secret: secret?,
        security_token,
    }))
}

fn password(values: &mut Values) -> Option<Password> {
    let user = required(values, &PLATFORM_USER);
    let domain = required(values, &PLATFORM_DOMAIN);
    let password = required(values, &PLATFORM_PASSWORD);
    let project = values.value(&PLATFORM_PROJECT_NAME);
    let region = values.value(&PLATFORM_REGION);
    Some(Password {
        user: user?,
        domain: domain?,
        password: password?,
        project: project.or(region)?,
    })
}

fn transport(values: &mut Values) -> Option<TransportOptions> {
    let proxy = values.value(&PLATFORM_PROXY);
    let authorities = match values.value(&PLATFORM_CA) {
        None => None,
        Some(path) => match fs::read(&path) {
            Ok(pem) => Some(pem),
            Err(error) => {
                let problem = format!("cannot be read: `{}`: {error}", path.display());
                values.refuse(PLATFORM_CA.name, problem);
                return None;
            }
        },
    };
    Some(TransportOptions {
        proxy,
        authorities,
        ..TransportOptions::default()
    })
}

fn is_set<T>(values: &Values, option: &Opt<T>) -> bool {
    values.text(option.name).is_some()
}

/// Returns the value of an option. Adds a fault if it is not set.
fn required<T>(values: &mut Values, option: &Opt<Option<T>>) -> Option<T> {
    if !is_set(values, option) {
        values.refuse(option.name, options::how_to_set(option.name));
    }
    values.value(option)
}
