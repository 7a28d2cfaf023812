//! Checks of signatures and tokens, from the bytes on the wire alone.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use ring::{digest, hmac};
use serde_json::{Value, json};

use super::refusal::Refusal;
use super::{KEY_ID, PASSWORD, PROJECT, REGION, SECRET_KEY, SECURITY_TOKEN, Seen, State};

const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

const TOLERANCE_MS: u64 = 15 * 60 * 1000;

/// Checks who sent a request, and whether they may.
pub(super) fn check(state: &State, seen: &Seen) -> Result<(), Refusal> {
    match (seen.header("x-auth-token"), seen.header("authorization")) {
        (Some(token), _) => check_token(state, token)?,
        (_, Some(authorization)) => check_signature(state, seen, authorization)?,
        _ => return Err(Refusal::unauthenticated("no signature and no token")),
    }
    if state.is_forbidden {
        return Err(Refusal::new(
            403,
            "APIGW.0302",
            "The IAM user is not authorized to access the API.",
        ));
    }
    Ok(())
}

fn check_token(state: &State, token: &str) -> Result<(), Refusal> {
    let is_valid = |(text, end): &(String, u64)| text == token && state.now_ms() < *end;
    match state.tokens.iter().any(is_valid) {
        true => Ok(()),
        false => Err(Refusal::new(
            401,
            "APIGW.0307",
            "The token must be updated.",
        )),
    }
}

/// Issues a token for a password.
pub(super) fn token(state: &mut State, seen: &Seen) -> Result<(u16, Option<Value>), Refusal> {
    let body: Value = serde_json::from_str(&seen.body).map_err(|_| Refusal::input("no JSON"))?;
    let user = body.pointer("/auth/identity/password/user");
    let wanted = json!({"name": "user", "password": PASSWORD, "domain": {"name": "tenant"}});
    if user != Some(&wanted) || body.pointer("/auth/scope/project/name") != Some(&REGION.into()) {
        return Err(Refusal::new(
            401,
            "IAM",
            "The username or password is wrong.",
        ));
    }
    let text = format!("MIImadeUpToken{}", state.tokens.len());
    let end = state.now_ms() + 24 * 60 * 60 * 1000;
    state.tokens.push((text.clone(), end));
    let end = batchtask_notification::time::rfc3339(end).replace('Z', "000Z");
    Ok((
        201,
        Some(json!({"x_subject_token": text, "token": {"expires_at": end}})),
    ))
}

fn check_signature(state: &State, seen: &Seen, authorization: &str) -> Result<(), Refusal> {
    let refuse = Refusal::unauthenticated;
    let date = seen
        .header("x-sdk-date")
        .ok_or_else(|| refuse("no x-sdk-date"))?;
    let signed_at = batchtask_notification::time::parse_seconds(date);
    let signed_at = signed_at.ok_or_else(|| refuse("x-sdk-date is malformed"))?;
    let names = between(authorization, "SignedHeaders=", ",");
    for needed in ["host", "x-sdk-date"] {
        if !names.split(';').any(|name| name == needed) {
            return Err(refuse(&format!("{needed} is not signed")));
        }
    }
    let expected = expected(state.is_derived, seen, date, names);
    if authorization != expected {
        return Err(refuse("verify aksk signature fail"));
    }
    let token = state.is_temporary.then_some(SECURITY_TOKEN);
    if seen.header("x-security-token") != token {
        return Err(refuse("the security token is wrong"));
    }
    match state.now_ms().abs_diff(signed_at) > TOLERANCE_MS {
        true => Err(refuse("x-sdk-date is expired")),
        false => Ok(()),
    }
}

/// The header `Authorization` that a request with this text must have.
pub(crate) fn expected(is_derived: bool, seen: &Seen, date: &str, names: &str) -> String {
    let hash = sha256(canonical(seen, names).as_bytes());
    let rest = |signature| format!("SignedHeaders={names}, Signature={signature}");
    if !is_derived {
        let text = format!("SDK-HMAC-SHA256\n{date}\n{hash}");
        let signature = hex(&mac(SECRET_KEY.as_bytes(), &[text.as_bytes()]));
        return format!("SDK-HMAC-SHA256 Access={KEY_ID}, {}", rest(signature));
    }
    let info = format!("{}/{REGION}/iotdm", &date[..8]);
    let text = format!("V11-HMAC-SHA256\n{date}\n{info}\n{hash}");
    // RFC 5869, with one block.
    let extracted = mac(KEY_ID.as_bytes(), &[SECRET_KEY.as_bytes()]);
    let derived = hex(&mac(&extracted, &[info.as_bytes(), &[1]]));
    let signature = hex(&mac(derived.as_bytes(), &[text.as_bytes()]));
    format!(
        "V11-HMAC-SHA256 Credential={KEY_ID}/{info}, {}",
        rest(signature)
    )
}

fn canonical(seen: &Seen, names: &str) -> String {
    let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
    let recode = |segment| {
        let bytes: Vec<u8> = percent_decode_str(segment).collect();
        percent_encode(&bytes, ENCODED).to_string()
    };
    let path: Vec<String> = path.split('/').map(recode).collect();
    let path = format!("{}/", path.join("/").trim_end_matches('/'));
    let mut query: Vec<&str> = query.split('&').collect();
    query.sort_unstable();
    let header = |name| format!("{name}:{}\n", seen.header(name).unwrap_or_default().trim());
    let headers: String = names.split(';').map(header).collect();
    let (query, body) = (query.join("&"), sha256(seen.body.as_bytes()));
    format!(
        "{}\n{path}\n{query}\n{headers}\n{names}\n{body}",
        seen.method
    )
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let after = text.split_once(start).map_or("", |(_, after)| after);
    after.split_once(end).map_or(after, |(before, _)| before)
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    parts.iter().for_each(|part| context.update(part));
    context.sign().as_ref().to_vec()
}

fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether the request is for the project of these tests.
    pub(super) fn path(&self) -> Option<&str> {
        let (path, _) = self.target.split_once('?').unwrap_or((&self.target, ""));
        path.strip_prefix("/v5/iot/")?
            .strip_prefix(PROJECT)?
            .strip_prefix('/')
    }
}
