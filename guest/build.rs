//! Prepares the files that the component contains: the description of the API,
//! and the style, the script and the content security policy of the pages.

use std::path::{Path, PathBuf};
use std::{env, fs};

use base64ct::{Base64, Encoding};
use sha2::{Digest, Sha256};
use zopfli::{Format, Options};

fn main() {
    let folder = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let write = |name, content: &[u8]| {
        fs::write(folder.join(name), content).expect("the folder is writable");
    };
    let (style, script) = (joined("src/page/style.css"), joined("src/page/script.js"));
    write("openapi.json.gz", &description());
    write("policy.txt", policy(&style, &script).as_bytes());
    write("style.css", style.as_bytes());
    write("script.js", script.as_bytes());
}

fn read(path: &str) -> String {
    println!("cargo:rerun-if-changed={path}");
    fs::read_to_string(Path::new(path)).expect("the file exists")
}

/// The description of the API without spaces, compressed with gzip: 5 kB instead
/// of 27.
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
    .expect("memory is writable");
    packed
}

/// Returns a file as one line. No line of the file may end in a comment, or at
/// a place that needs a space.
fn joined(path: &str) -> String {
    read(path).lines().map(str::trim).collect()
}

/// Returns the content security policy: nothing is loaded from elsewhere, and
/// only this style and this script are allowed, by their digests.
fn policy(style: &str, script: &str) -> String {
    let digest = |text| Base64::encode_string(&Sha256::digest(text));
    format!(
        "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
         img-src data:; connect-src 'self'; style-src 'sha256-{}'; script-src 'sha256-{}'",
        digest(style),
        digest(script),
    )
}
