//! Reads members that the platform leaves out, or sends as `null`.

use serde::{Deserialize, Deserializer};

/// Reads `null` as the default.
pub(crate) fn or_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
