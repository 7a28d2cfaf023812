//! Every recorded signature is reproduced from the bytes on the wire: by the
//! client, and by the platform in memory.

use batchtask_platform::signing::{Algorithm, Scope, SignedRequest};
use serde_json::Value;

use crate::fake::Seen;
use crate::support::{key, recorded};

/// Returns the request that was recorded.
fn seen(exchange: &Value) -> Seen {
    let request = &exchange["request"];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let headers = request["headers"].as_array().unwrap().iter();
    Seen {
        method: text(&request["method"]),
        target: text(&request["target"]),
        headers: headers.map(|it| (text(&it[0]), text(&it[1]))).collect(),
        body: text(&request["body"]),
        at: std::time::Instant::now(),
    }
}

fn check(exchange: &Value, is_derived: bool) {
    let name = &exchange["name"];
    let seen = seen(exchange);
    let authorization = seen.header("authorization").unwrap();
    let names = authorization.split_once("SignedHeaders=").unwrap().1;
    let names = names.split_once(',').unwrap().0;
    let date = seen.header("x-sdk-date").unwrap();
    let headers: Vec<(&str, &str)> = names
        .split(';')
        .map(|name| (name, seen.header(name).unwrap()))
        .collect();
    let request = SignedRequest {
        method: &seen.method,
        target: &seen.target,
        headers: &headers,
        body: seen.body.as_bytes(),
    };
    let (algorithm, region) = match is_derived {
        true => (Algorithm::V11HmacSha256, "cn-north-4"),
        false => (Algorithm::SdkHmacSha256, "cn-north-4"),
    };
    let canonical = request.canonical();
    assert_eq!(
        canonical,
        exchange["canonical_request"].as_str().unwrap(),
        "{name}"
    );
    let to_sign = Scope {
        algorithm,
        region,
        date,
    }
    .string_to_sign(&canonical);
    assert_eq!(
        to_sign,
        exchange["string_to_sign"].as_str().unwrap(),
        "{name}"
    );
    assert_eq!(
        request.authorization(algorithm, &key(), region),
        authorization,
        "{name}"
    );
    assert_eq!(
        crate::fake::expected(is_derived, &seen, date, names),
        authorization,
        "{name}"
    );
}

#[test]
fn all_recorded_signatures_are_reproduced() {
    let mut count = 0;
    for is_derived in [false, true] {
        for exchange in recorded(is_derived) {
            check(&exchange, is_derived);
            count += 1;
        }
    }
    assert_eq!(count, 84);
}
