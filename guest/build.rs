//! Packs the description of the API, which the component carries: 5 kB instead
//! of 27.

use std::io::Write;
use std::path::PathBuf;
use std::{env, fs};

use flate2::Compression;
use flate2::write::GzEncoder;

fn main() {
    println!("cargo:rerun-if-changed=openapi.json");
    let text = fs::read_to_string("openapi.json").expect("the description is there");
    let description: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    write!(packed, "{description}").expect("memory takes it");
    let folder = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let packed = packed.finish().expect("memory takes it");
    fs::write(folder.join("openapi.json.gz"), packed).expect("the folder takes it");
}
