//! Compresses long answers to reads.

use std::io::Write;

use batchtask_guest::reads::accepts_gzip;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::component::{Kind, Request, Response};

/// A shorter answer fits into a few packets anyway.
const MIN_BYTES: usize = 4 << 10;

/// Whether the sender of a request accepts gzip, and says so. Only programs do: a page
/// contains secrets beside texts of strangers, and its length must not depend on both.
pub(crate) fn is_wanted(request: &Request, kind: Kind) -> bool {
    let mut fields = request.headers.iter();
    let field = fields.find(|(name, _)| name.eq_ignore_ascii_case("accept-encoding"));
    let field = field.and_then(|(_, value)| std::str::from_utf8(value).ok());
    kind == Kind::Read && field.is_some_and(|field| accepts_gzip(Some(field)))
}

/// Compresses the body of a response, if it is long and not compressed yet. Its tag
/// becomes weak, because it is that of both forms.
pub(crate) fn compress(response: &mut Response) {
    let is_coded = response
        .headers
        .iter()
        .any(|(name, _)| name == "content-encoding");
    if response.status != 200 || is_coded || response.body.len() < MIN_BYTES {
        return;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory cannot fail.
    let written = encoder.write_all(&response.body);
    let Ok(compressed) = written.and_then(|()| encoder.finish()) else {
        return;
    };
    response.body = compressed;
    for (name, value) in &mut response.headers {
        if name == "etag" {
            value.insert_str(0, "W/");
        }
    }
    let coding = ("content-encoding".into(), "gzip".into());
    response.headers.push(coding);
}
