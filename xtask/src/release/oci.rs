//! Image layouts of the Open Container Initiative: a folder of blobs that are named by
//! their digests, and an index. Registries, container engines and hosts of components read
//! them.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Release, VERSION, tree};
use crate::checksum;

const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// A layout that is being written.
pub(super) struct Layout<'a> {
    release: &'a Release<'a>,
    folder: PathBuf,
}

/// Content in a layout.
pub(super) struct Blob {
    /// The digest, with the name of its algorithm.
    pub(super) digest: String,
    /// The descriptor, without the brackets around it.
    members: String,
}

impl Blob {
    fn descriptor(&self) -> String {
        format!("{{{}}}", self.members)
    }
}

impl<'a> Layout<'a> {
    /// Begins an empty layout, whose archive will be `NAME.oci.tar`.
    pub(super) fn new(release: &'a Release<'a>, name: &str) -> anyhow::Result<Self> {
        let folder = release.work.join("oci").join(name);
        tree::renew(&folder)?;
        let version = r#"{"imageLayoutVersion":"1.0.0"}"#;
        super::write(&folder.join("oci-layout"), version)?;
        Ok(Self { release, folder })
    }

    /// Adds content of a media type.
    pub(super) fn blob(&self, media_type: &str, content: &[u8]) -> anyhow::Result<Blob> {
        let hash = checksum(content);
        super::write(&self.folder.join("blobs/sha256").join(&hash), content)?;
        let size = content.len();
        let digest = format!("sha256:{hash}");
        let members = format!(r#""mediaType":"{media_type}","digest":"{digest}","size":{size}"#);
        Ok(Blob { digest, members })
    }

    /// Adds the manifest of the only image, and writes the archive. `name` is what an engine
    /// calls the image that it loads.
    pub(super) fn finish(
        self,
        name: &str,
        config: &Blob,
        layer: &Blob,
        output: &Path,
    ) -> anyhow::Result<()> {
        let commit = &self.release.commit;
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{MANIFEST_TYPE}","config":{},"layers":[{}],"annotations":{{"org.opencontainers.image.created":"{}","org.opencontainers.image.revision":"{}","org.opencontainers.image.version":"{VERSION}","org.opencontainers.image.licenses":"Apache-2.0"}}}}"#,
            config.descriptor(),
            layer.descriptor(),
            commit.rfc3339,
            commit.id,
        );
        let manifest = self.blob(MANIFEST_TYPE, manifest.as_bytes())?;
        let index = format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{{{},"annotations":{{"org.opencontainers.image.ref.name":"{VERSION}","io.containerd.image.name":"docker.io/library/{name}:{VERSION}"}}}}]}}"#,
            manifest.members,
        );
        super::write(&self.folder.join("index.json"), index)?;
        tree::archive(&self.folder, output, commit)?;
        Ok(fs::remove_dir_all(&self.folder)?)
    }
}
