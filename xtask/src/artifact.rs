//! The components in `dist/`, with their imports and exports.

use anyhow::bail;
use batchtask_component_build::RECEIVER;

use crate::binary::Shape;

/// A component in `dist/`.
pub(crate) struct Artifact {
    pub(crate) file: &'static str,
    /// The crate from which it is built.
    pub(crate) package: &'static str,
    /// Its exports. It must have all of them and no others.
    exports: &'static [&'static str],
    /// Its allowed imports in addition to [`RECEIVER_IMPORTS`].
    imports: &'static [&'static str],
}

pub(crate) const ARTIFACTS: &[Artifact] = &[
    Artifact {
        file: "receiver.wasm",
        package: RECEIVER,
        exports: &["batchtask:receiver/intake@0.2.0", HANDLER],
        imports: &[
            "batchtask:receiver/journal@0.2.0",
            "batchtask:receiver/settings@0.2.0",
        ],
    },
    Artifact {
        file: "receiver-spin.wasm",
        package: "batchtask-adapter-spin",
        exports: &[HANDLER],
        // Hosts compare the versions of drafts byte for byte.
        imports: &[
            "wasi:config/store@0.2.0-draft-2024-09-27",
            "wasi:keyvalue/store@0.2.0-draft2",
        ],
    },
    Artifact {
        file: "receiver-forward.wasm",
        package: "batchtask-adapter-forward",
        exports: &[HANDLER],
        imports: &[
            "wasi:cli/environment@0.2.0",
            "wasi:clocks/monotonic-clock@0.2.0",
            "wasi:http/outgoing-handler@0.2.0",
            "wasi:io/poll@0.2.0",
        ],
    },
    Artifact {
        file: "receiver-forward-p3.wasm",
        package: "batchtask-adapter-forward-p3",
        exports: &["wasi:http/handler@0.3.0"],
        imports: &[
            "wasi:cli/environment@0.3.0",
            "wasi:clocks/monotonic-clock@0.3.0",
            "wasi:clocks/system-clock@0.3.0",
            "wasi:clocks/types@0.3.0",
            "wasi:http/client@0.3.0",
            "wasi:http/types@0.3.0",
        ],
    },
];

/// The imports that are allowed for every artifact.
const RECEIVER_IMPORTS: &[&str] = &[
    "wasi:clocks/wall-clock@0.2.0",
    "wasi:http/types@0.2.0",
    "wasi:io/error@0.2.0",
    "wasi:io/streams@0.2.0",
];

/// The export of every artifact for WASI 0.2.
const HANDLER: &str = "wasi:http/incoming-handler@0.2.0";

/// The packages whose version the linker may raise to [`RAISED_VERSION`].
const RAISED: &[&str] = &["wasi:cli/", "wasi:clocks/", "wasi:io/"];
/// Every host of version 0.2 accepts this version.
const RAISED_VERSION: &str = "0.2.6";

impl Artifact {
    /// Fails if the artifact has an import that is not allowed, or other exports than
    /// it should have.
    pub(crate) fn check(&self, shape: &Shape) -> anyhow::Result<()> {
        for import in &shape.imports {
            let mut allowed = self.imports.iter().chain(RECEIVER_IMPORTS);
            if !allowed.any(|allowed| matches(import, allowed)) {
                bail!(
                    "`{}` must not import `{import}`: it is not listed in xtask/src/artifact.rs",
                    self.file
                );
            }
        }
        let mut exports = shape.exports.clone();
        exports.sort_unstable();
        if exports != self.exports {
            bail!(
                "`{}` must export {:?}, not {exports:?}",
                self.file,
                self.exports
            );
        }
        Ok(())
    }
}

/// Returns whether an import is the allowed one, or its raised version.
fn matches(import: &str, allowed: &str) -> bool {
    let is_raised = RAISED.iter().any(|package| allowed.starts_with(package))
        && allowed.split_once('@').is_some_and(|(name, _)| {
            import
                .strip_prefix(name)
                .and_then(|rest| rest.strip_prefix('@'))
                == Some(RAISED_VERSION)
        });
    import == allowed || is_raised
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_is_never_raised() {
        assert!(matches("wasi:io/poll@0.2.6", "wasi:io/poll@0.2.0"));
        assert!(matches("wasi:io/poll@0.2.0", "wasi:io/poll@0.2.0"));
        assert!(!matches("wasi:io/poll@0.2.9", "wasi:io/poll@0.2.0"));
        assert!(!matches("wasi:http/types@0.2.6", "wasi:http/types@0.2.0"));
    }

    #[test]
    fn other_imports_and_exports_are_refused() {
        let receiver = &ARTIFACTS[0];
        let is_accepted = |import: &str, export: &str| {
            let shape = Shape {
                imports: vec![import.into()],
                exports: vec![export.into(), HANDLER.into()],
            };
            receiver.check(&shape).is_ok()
        };
        let (import, export) = (RECEIVER_IMPORTS[0], receiver.exports[0]);
        assert!(is_accepted(import, export));
        assert!(!is_accepted("wasi:cli/exit@0.2.0", export));
        assert!(!is_accepted(import, "wasi:cli/run@0.2.0"));
    }
}
