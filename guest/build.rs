//! Prepares the files that the component contains: the description of the API, and the
//! style and the script of the pages.

use std::path::{Path, PathBuf};
use std::{env, fs};

use base64ct::{Base64UrlUnpadded, Encoding};
use sha2::{Digest, Sha256};
use zopfli::{Format, Options};

fn main() {
    let folder = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let write = |name, content: &[u8]| {
        fs::write(folder.join(name), content).expect("the folder is writable");
    };
    let (style, script) = (joined("src/page/style.css"), joined("src/page/script.js"));
    write("openapi.json.gz", &packed(&description()));
    write("style.css.gz", &packed(&style));
    write("script.js.gz", &packed(&script));
    write("version.txt", version(&style, &script).as_bytes());
}

fn read(path: &str) -> String {
    println!("cargo:rerun-if-changed={path}");
    fs::read_to_string(Path::new(path)).expect("the file exists")
}

/// The description of the API without spaces.
fn description() -> String {
    let description: serde_json::Value =
        serde_json::from_str(&read("openapi.json")).expect("it is JSON");
    description.to_string()
}

/// Returns a text compressed with gzip: 5 kB instead of 27 for the description.
fn packed(text: &str) -> Vec<u8> {
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

/// Returns a text that changes with the style or the script.
fn version(style: &str, script: &str) -> String {
    let digest = Sha256::new().chain_update(style).chain_update(script);
    Base64UrlUnpadded::encode_string(&digest.finalize()[..6])
}
