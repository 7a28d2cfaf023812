//! What each call does.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::refusal::Refusal;
use super::store::{Collection, Query, Store, shown};
use super::{Seen, State, tasks};

pub(super) type Outcome = Result<(u16, Option<Value>), Refusal>;

/// Carries a call out.
pub(super) fn route(state: &mut State, seen: &Seen) -> Outcome {
    let media_type = seen.header("content-type").unwrap_or_default();
    if !media_type.starts_with("application/json") {
        return Err(Refusal::new(
            415,
            "IOTDA.000008",
            "Invalid input. Bad request: mediaType",
        ));
    }
    let Some(path) = seen.path() else {
        return Err(Refusal::new(
            403,
            "IOTDA.000021",
            "The service is not subscribed to.",
        ));
    };
    let decoded: Vec<String> = path
        .split('/')
        .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
        .collect();
    let segments: Vec<&str> = decoded.iter().map(String::as_str).collect();
    let body = body_of(seen)?;
    let query = query_of(seen);
    let now_ms = state.now_ms();
    let store = &mut state.store;
    match (seen.method.as_str(), segments.as_slice()) {
        ("GET", ["apps"]) => Ok((200, Some(json!({"applications": store.apps})))),
        ("POST", ["auth", "accesscode"]) => access_code(store, &body),
        (_, ["batchtasks", rest @ ..]) => {
            tasks::route(store, seen.method.as_str(), rest, &body, &query, now_ms)
        }
        (method, ["routing-rule", "rules", rest @ ..]) => rules(store, method, rest, body, &query),
        (method, ["routing-rule", "actions", rest @ ..]) => {
            actions(store, method, rest, body, &query)
        }
        (method, ["routing-rule", "backlog-policy", rest @ ..]) => {
            let number = store.number();
            plain(&mut store.backlogs, number, method, rest, body, &query, &[])
        }
        (method, ["routing-rule", "flowcontrol-policy", rest @ ..]) => {
            let number = store.number();
            plain(
                &mut store.flows,
                number,
                method,
                rest,
                body,
                &query,
                &["scope"],
            )
        }
        (method, ["certificates", rest @ ..]) => certificates(store, method, rest, body, &query),
        (method, ["amqp-queues", rest @ ..]) => queues(store, method, rest, body, &query),
        _ => Err(Refusal::new(
            404,
            "APIGW.0101",
            "The API does not exist or has not been published.",
        )),
    }
}

fn body_of(seen: &Seen) -> Result<Map<String, Value>, Refusal> {
    if seen.body.is_empty() {
        return Ok(Map::new());
    }
    let malformed = |_| Refusal::new(400, "IOTDA.000008", "Invalid input. Bad request: json");
    serde_json::from_str(&seen.body).map_err(malformed)
}

fn query_of(seen: &Seen) -> Query {
    let query = seen.target.split_once('?').map_or("", |(_, query)| query);
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

/// The calls of a resource without rules of its own.
fn plain(
    collection: &mut Collection,
    number: u64,
    method: &str,
    rest: &[&str],
    body: Map<String, Value>,
    query: &Query,
    filters: &[&str],
) -> Outcome {
    match (method, rest) {
        ("POST", []) => Ok((201, Some(collection.add(number, body)?))),
        ("GET", []) => Ok((200, Some(collection.list(query, filters)?))),
        ("GET", [id]) => Ok((200, Some(shown(collection.find(id)?)))),
        ("PUT", [id]) => {
            let item = collection.find(id)?;
            item.as_object_mut().unwrap().extend(body);
            Ok((200, Some(shown(item))))
        }
        ("DELETE", [id]) => {
            collection.remove(id)?;
            Ok((204, None))
        }
        _ => Err(Refusal::new(
            404,
            "APIGW.0101",
            "The API does not exist or has not been published.",
        )),
    }
}

fn text<'a>(body: &'a Map<String, Value>, name: &str) -> &'a str {
    body.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn only(body: &Map<String, Value>, allowed: &[&str]) -> Result<(), Refusal> {
    match body.keys().find(|name| !allowed.contains(&name.as_str())) {
        Some(name) => Err(Refusal::input(name)),
        None => Ok(()),
    }
}

fn rules(
    store: &mut Store,
    method: &str,
    rest: &[&str],
    mut body: Map<String, Value>,
    query: &Query,
) -> Outcome {
    let settable = ["rule_name", "description", "select", "where"];
    match method {
        "POST" => {
            only(
                &body,
                &[&settable[..], &["subject", "app_type", "app_id"]].concat(),
            )?;
            if text(&body, "rule_name").is_empty() || !body.contains_key("subject") {
                return Err(Refusal::input("rule_name, subject"));
            }
            let app = text(&body, "app_id");
            let is_known = store.apps.iter().any(|known| known["app_id"] == app);
            if text(&body, "app_type") == "APP" && !is_known {
                return Err(Refusal::new(
                    403,
                    "IOTDA.001000",
                    "The application does not exist.",
                ));
            }
            body.insert("active".into(), false.into());
        }
        "PUT" => only(&body, &[&settable[..], &["active"]].concat())?,
        "DELETE"
            if store
                .actions
                .items
                .iter()
                .any(|it| it["rule_id"] == *rest[0]) =>
        {
            return Err(Refusal::input("the rule has actions"));
        }
        _ => {}
    }
    let number = store.number();
    let filters = [
        "resource",
        "event",
        "app_type",
        "app_id",
        "rule_name",
        "active",
    ];
    plain(
        &mut store.rules,
        number,
        method,
        rest,
        body,
        query,
        &filters,
    )
}

fn actions(
    store: &mut Store,
    method: &str,
    rest: &[&str],
    body: Map<String, Value>,
    query: &Query,
) -> Outcome {
    if method == "POST" {
        only(&body, &["rule_id", "channel", "channel_detail"])?;
        store.rules.find(text(&body, "rule_id"))?;
    } else if method == "PUT" {
        only(&body, &["channel", "channel_detail"])?;
    }
    if matches!(method, "POST" | "PUT") {
        check_target(store, &body)?;
    }
    let number = store.number();
    let filters = ["rule_id", "channel", "app_type", "app_id"];
    plain(
        &mut store.actions,
        number,
        method,
        rest,
        body,
        query,
        &filters,
    )
}

fn check_target(store: &Store, body: &Map<String, Value>) -> Result<(), Refusal> {
    let detail = body.get("channel_detail").cloned().unwrap_or_default();
    if text(body, "channel") == "AMQP_FORWARDING" {
        let name = &detail["amqp_forwarding"]["queue_name"];
        let is_known = store
            .queues
            .items
            .iter()
            .any(|queue| queue["queue_name"] == *name);
        return match is_known || name == "DefaultQueue" {
            true => Ok(()),
            false => Err(Refusal::input("queue_name")),
        };
    }
    let http = &detail["http_forwarding"];
    let url = http["url"].as_str().unwrap_or_default();
    let token = http["token"].as_str();
    let is_token = |text: &str| {
        (3..=32).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_alphanumeric())
    };
    let is_known = |id: &str| {
        store
            .certificates
            .items
            .iter()
            .any(|it| it["certificate_id"] == id)
    };
    if !url.starts_with("http") {
        Err(Refusal::input("url"))
    } else if !token.is_none_or(is_token) || (http["signature_enable"] == true && token.is_none()) {
        Err(Refusal::input("token"))
    } else if !http["cert_id"].as_str().is_none_or(is_known) {
        Err(Refusal::input("cert_id"))
    } else {
        Ok(())
    }
}

fn certificates(
    store: &mut Store,
    method: &str,
    rest: &[&str],
    body: Map<String, Value>,
    query: &Query,
) -> Outcome {
    let number = store.number();
    match (method, rest) {
        ("POST", []) => {
            let certificate = described(body)?;
            Ok((201, Some(store.certificates.add(number, certificate)?)))
        }
        ("POST", [id, "action"]) => {
            store.certificates.find(id)?["status"] = true.into();
            Ok((200, None))
        }
        ("DELETE", [id]) => {
            let uses =
                |action: &Value| action["channel_detail"]["http_forwarding"]["cert_id"] == *id;
            if store.actions.items.iter().any(uses) {
                return Err(Refusal::input("the certificate is in use"));
            }
            plain(
                &mut store.certificates,
                number,
                method,
                rest,
                body,
                query,
                &[],
            )
        }
        _ => plain(
            &mut store.certificates,
            number,
            method,
            rest,
            body,
            query,
            &[],
        ),
    }
}

/// Adds what the platform reads in a certificate.
fn described(mut body: Map<String, Value>) -> Result<Map<String, Value>, Refusal> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    use x509_cert::der::Decode;

    only(&body, &["content", "app_id"])?;
    let der = CertificateDer::from_pem_slice(text(&body, "content").as_bytes());
    let der = der.map_err(|_| Refusal::input("content"))?;
    let certificate =
        x509_cert::Certificate::from_der(&der).map_err(|_| Refusal::input("content"))?;
    let certificate = certificate.tbs_certificate();
    let subject = certificate.subject().to_string();
    let name = subject
        .split(',')
        .find_map(|part| part.trim().strip_prefix("CN="));
    let end = certificate
        .validity()
        .not_after
        .to_unix_duration()
        .as_millis() as u64;
    let end = batchtask_notification::time::rfc3339(end);
    let end = format!(
        "{}Z",
        end.split('.').next().unwrap().replace(['-', ':'], "")
    );
    body.insert("cn_name".into(), name.unwrap_or_default().into());
    body.insert("status".into(), false.into());
    body.insert("expiry_date".into(), end.into());
    Ok(body)
}

fn queues(
    store: &mut Store,
    method: &str,
    rest: &[&str],
    body: Map<String, Value>,
    query: &Query,
) -> Outcome {
    if method == "POST" {
        let name = text(&body, "queue_name");
        let is_legal = |c: u8| c.is_ascii_alphanumeric() || b"_-.:".contains(&c);
        let is_taken = store
            .queues
            .items
            .iter()
            .any(|queue| queue["queue_name"] == name);
        if !(8..=128).contains(&name.len()) || !name.bytes().all(is_legal) || is_taken {
            return Err(Refusal::input("queue_name"));
        }
    }
    if let ("DELETE", [id]) = (method, rest) {
        let name = store.queues.find(id)?["queue_name"].clone();
        let uses =
            |action: &Value| action["channel_detail"]["amqp_forwarding"]["queue_name"] == name;
        if store.actions.items.iter().any(uses) {
            return Err(Refusal::input("the queue is in use"));
        }
    }
    let number = store.number();
    plain(
        &mut store.queues,
        number,
        method,
        rest,
        body,
        query,
        &["queue_name"],
    )
}

fn access_code(store: &mut Store, body: &Map<String, Value>) -> Outcome {
    if !matches!(text(body, "type"), "AMQP" | "MQTT") {
        return Err(Refusal::input("type"));
    }
    store.access_codes += 1;
    let code = format!("madeUpAccessCode{:016}", store.access_codes);
    Ok((
        201,
        Some(json!({"access_key": "AbCd1234", "access_code": code})),
    ))
}
