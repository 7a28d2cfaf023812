//! The checked configuration of traces.

use std::collections::BTreeMap;
use std::fs;

use batchtask_traces::{Export, Options};

use super::options::{TRACES_CA, TRACES_HEADERS, TRACES_SAMPLE, TRACES_URL};
use super::parse::pairs;
use super::values::Values;

/// The variable of OpenTelemetry with the name of this service.
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";
/// The variable of OpenTelemetry with what is known of this process.
const RESOURCE_ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// Checks the options of traces. Returns `None` if there is no URL, or a fault.
pub(crate) fn traces(values: &mut Values) -> Option<Options> {
    let url = values.value(&TRACES_URL);
    let sample = values.value(&TRACES_SAMPLE);
    let headers = values.value(&TRACES_HEADERS);
    let authorities = authorities(values);
    let options = Options {
        url: url?,
        headers,
        authorities,
        sample,
        resource: resource(|name| std::env::var(name).ok()),
    };
    if values.is_refused(TRACES_CA.name) {
        return None;
    }
    if let Err(error) = Export::check(&options) {
        let name = match error.field {
            "headers" => TRACES_HEADERS.name,
            "authorities" => TRACES_CA.name,
            _ => TRACES_URL.name,
        };
        values.refuse(name, format!("cannot be used: {}", error.reason));
        return None;
    }
    Some(options)
}

fn authorities(values: &mut Values) -> Option<Vec<u8>> {
    let path = values.value(&TRACES_CA)?;
    let read = fs::read(&path);
    let refuse = |error: &_| {
        let problem = format!("cannot be read: `{}`: {error}", path.display());
        values.refuse(TRACES_CA.name, problem);
    };
    read.inspect_err(refuse).ok()
}

/// What is known of this process: its own, unless variables of OpenTelemetry say something
/// else. Invalid ones are ignored, as its specification says.
fn resource(variable: impl Fn(&str) -> Option<String>) -> Vec<(String, String)> {
    let own = [
        ("service.name", "batchtask".to_owned()),
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    let own = own.map(|(name, value)| (name.to_owned(), value));
    let mut resource = BTreeMap::from(own);
    let set = |name: &str| variable(name).filter(|text| !text.trim().is_empty());
    if let Some(Ok(pairs)) = set(RESOURCE_ATTRIBUTES).map(|text| pairs(&text)) {
        resource.extend(pairs);
    }
    if let Some(name) = set(SERVICE_NAME) {
        resource.insert("service.name".into(), name);
    }
    resource.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(attributes: &str, service: &str, name: &str) -> Option<String> {
        let resource = resource(|variable| match variable {
            SERVICE_NAME => Some(service.to_owned()),
            RESOURCE_ATTRIBUTES => Some(attributes.to_owned()),
            _ => None,
        });
        let mut resource = resource.into_iter();
        let found = resource.find(|(known, _)| known == name);
        found.map(|(_, value)| value)
    }

    #[test]
    fn variables_of_opentelemetry_describe_the_process() {
        for (attributes, service, expected) in [
            ("", "", "batchtask"),
            ("service.name=a%20b", "", "a b"),
            ("service.name=a", "c", "c"),
            ("no pair", "", "batchtask"),
        ] {
            let name = found(attributes, service, "service.name");
            assert_eq!(name.as_deref(), Some(expected), "{attributes}");
        }
        let pod = found("k8s.pod.name=p-0 , x=y", "", "k8s.pod.name");
        assert_eq!(pod.as_deref(), Some("p-0"));
    }
}
