//! Packs the description of the API, which the component carries: 5 kB instead
//! of 27.

use std::path::PathBuf;
use std::{env, fs};

use zopfli::{Format, Options};

fn main() {
    println!("cargo:rerun-if-changed=openapi.json");
    let text = fs::read_to_string("openapi.json").expect("the description is there");
    let description: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    let mut packed = Vec::new();
    let text = description.to_string();
    zopfli::compress(
        Options::default(),
        Format::Gzip,
        text.as_bytes(),
        &mut packed,
    )
    .expect("memory takes it");
    let folder = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    fs::write(folder.join("openapi.json.gz"), packed).expect("the folder takes it");
}
