//! The style and the script of the pages. `build.rs` packs them.

use alloc::boxed::Box;

use crate::bindings::exports::batchtask::receiver::intake::Response;
use crate::headers::Fields;
use crate::outcomes::Problem;
use crate::reads::packed;
use crate::routes::Parameters;

const STYLE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/style.css.gz"));
const SCRIPT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/script.js.gz"));

/// Identifies the style and the script in their addresses, so that browsers may keep
/// them.
pub(super) const VERSION: &str = include_str!(concat!(env!("OUT_DIR"), "/version.txt"));

/// `GET /page/style.css`
pub(crate) fn style(
    parameters: &mut Parameters,
    fields: &Fields,
) -> Result<Response, Box<Problem>> {
    asset(parameters, fields, STYLE, "text/css; charset=utf-8")
}

/// `GET /page/script.js`
pub(crate) fn script(
    parameters: &mut Parameters,
    fields: &Fields,
) -> Result<Response, Box<Problem>> {
    asset(parameters, fields, SCRIPT, "text/javascript; charset=utf-8")
}

fn asset(
    parameters: &mut Parameters,
    fields: &Fields,
    bytes: &[u8],
    media_type: &str,
) -> Result<Response, Box<Problem>> {
    let version = parameters.text("v");
    let mut response = packed(parameters, fields, bytes, media_type)?;
    if version.as_deref() == Some(VERSION) {
        for (name, value) in &mut response.headers {
            if name == "cache-control" {
                *value = "public, max-age=31536000, immutable".into();
            }
        }
    }
    Ok(response)
}
