//! The settings in Spin's variables.

use alloc::string::String;

/// The name of the setting for the bucket.
pub const BUCKET: &str = "BATCHTASK_BUCKET";
/// The bucket if the setting has no value.
pub const DEFAULT_BUCKET: &str = "default";

/// Returns the name of the variable of a setting: Spin's names are in lower case.
pub fn variable(setting: &str) -> String {
    setting.to_ascii_lowercase()
}

/// Returns the value of a setting from the result of reading its variable.
///
/// An empty variable counts as unset, because in Spin every variable has a value.
/// A variable that cannot be read must not count as unset: without a secret, the
/// receiver would be open. It becomes a value that is invalid for every setting,
/// so that the receiver refuses to work.
pub fn value(result: Result<Option<String>, String>) -> Option<String> {
    match result {
        Ok(value) => value.filter(|value| !value.is_empty()),
        Err(error) => {
            let mut value = String::from("(the variable cannot be read: ");
            value.push_str(&error);
            value.push(')');
            Some(value)
        }
    }
}
