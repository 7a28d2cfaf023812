//! SHA-256.

use sha2::{Digest, Sha256};

/// Returns the SHA-256 of several parts, joined.
///
/// Not generic, so that the component contains it only once.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part);
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex;

    /// Computed with `sha256sum`.
    #[test]
    fn parts_are_joined() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hex(&sha256(&[b"abc"])), expected);
        assert_eq!(hex(&sha256(&[b"a", b"", b"bc"])), expected);
    }
}
