//! Makes what the component carries ready: the description of the API, and the
//! style, script and policy of the pages.

use std::path::{Path, PathBuf};
use std::{env, fs};

use base64ct::{Base64, Encoding};
use sha2::{Digest, Sha256};
use zopfli::{Format, Options};

fn main() {
    let folder = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let write = |name, content: &[u8]| {
        fs::write(folder.join(name), content).expect("the folder takes it");
    };
    let (style, script) = (joined("src/page/style.css"), joined("src/page/script.js"));
    write("openapi.json.gz", &description());
    write("policy.txt", policy(&style, &script).as_bytes());
    write("style.css", style.as_bytes());
    write("script.js", script.as_bytes());
}

fn read(path: &str) -> String {
    println!("cargo:rerun-if-changed={path}");
    fs::read_to_string(Path::new(path)).expect("it is there")
}

/// The description of the API: 5 kB instead of 27.
fn description() -> Vec<u8> {
    let description: serde_json::Value =
        serde_json::from_str(&read("openapi.json")).expect("it is JSON");
    let text = description.to_string();
    let mut packed = Vec::new();
    zopfli::compress(
        Options::default(),
        Format::Gzip,
        text.as_bytes(),
        &mut packed,
    )
    .expect("memory takes it");
    packed
}

/// A file as one line. None of its lines ends in a comment, or where a space
/// must be.
fn joined(path: &str) -> String {
    read(path).lines().map(str::trim).collect()
}

/// The content security policy: nothing from elsewhere, and the one style and
/// the one script by their digests.
fn policy(style: &str, script: &str) -> String {
    let digest = |text| Base64::encode_string(&Sha256::digest(text));
    format!(
        "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
         img-src data:; connect-src 'self'; style-src 'sha256-{}'; script-src 'sha256-{}'",
        digest(style),
        digest(script),
    )
}
