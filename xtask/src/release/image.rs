//! The image of the program, for container engines: the program, the authorities that it
//! trusts, and the folder of the journal.

use std::fs;
use std::path::Path;

use anyhow::Context;

use super::oci::Layout;
use super::{Release, VERSION, tree};
use crate::checksum;

/// The user of the program and its group. It owns only the folder of the journal.
const USER: &str = "65532";

/// The folder of the journal.
const STATE: &str = "var/lib/batchtask";

/// The authorities that the system of the builder trusts.
const AUTHORITIES: &str = "etc/ssl/certs/ca-certificates.crt";

/// Writes the archive `batchtask-VERSION-image.oci.tar`.
pub(super) fn build(release: &Release, program: &Path) -> anyhow::Result<()> {
    let content = release.work.join("image");
    tree::renew(&content)?;
    tree::copy(program, &content.join("batchtask"))?;
    let authorities = Path::new("/").join(AUTHORITIES);
    tree::copy(&authorities, &content.join(AUTHORITIES))
        .context("is the package `ca-certificates` installed?")?;
    let user = format!("batchtask:x:{USER}:{USER}:batchtask:/{STATE}:/batchtask\n");
    super::write(&content.join("etc/passwd"), user)?;
    super::write(&content.join("etc/group"), format!("batchtask:x:{USER}:\n"))?;
    fs::create_dir_all(content.join("var/lib"))?;

    let layer = release.work.join("image.tar");
    tree::archive(&content, &layer, &release.commit)?;
    tree::add_folder(&content, STATE, &layer, USER, &release.commit)?;
    let unpacked = format!("sha256:{}", checksum(&fs::read(&layer)?));
    tree::compress(&layer)?;

    let layout = Layout::new(release, "image")?;
    let layer = fs::read(layer.with_extension("tar.gz"))?;
    let layer = layout.blob("application/vnd.oci.image.layer.v1.tar+gzip", &layer)?;
    let config = config(release, &unpacked);
    let config = layout.blob(
        "application/vnd.oci.image.config.v1+json",
        config.as_bytes(),
    )?;
    let output = release
        .output
        .join(format!("batchtask-{VERSION}-image.oci.tar"));
    layout.finish("batchtask", &config, &layer, &output)
}

/// Returns the configuration of the image, whose only layer has this digest before it is
/// compressed.
fn config(release: &Release, layer: &str) -> String {
    // `Healthcheck` is an extension of Docker, which others ignore.
    format!(
        r#"{{"created":"{}","architecture":"amd64","os":"linux","config":{{"User":"{USER}:{USER}","ExposedPorts":{{"8443/tcp":{{}}}},"Env":["PATH=/","HOME=/{STATE}"],"Entrypoint":["/batchtask"],"Cmd":["serve"],"WorkingDir":"/{STATE}","Volumes":{{"/{STATE}":{{}}}},"StopSignal":"SIGTERM","Healthcheck":{{"Test":["CMD","/batchtask","health"],"Interval":10000000000,"Timeout":6000000000,"StartPeriod":60000000000,"Retries":3}}}},"rootfs":{{"type":"layers","diff_ids":["{layer}"]}},"history":[{{"created":"{}","created_by":"cargo xtask release"}}]}}"#,
        release.commit.rfc3339, release.commit.rfc3339,
    )
}
