//! The interface `settings` over Spin's variables.

use alloc::string::String;

/// The setting that names the bucket.
pub const BUCKET: &str = "BATCHTASK_BUCKET";
/// The bucket, unless said otherwise.
pub const DEFAULT_BUCKET: &str = "default";

/// The variable that holds a setting: Spin's names are in lower case.
pub fn variable(setting: &str) -> String {
    setting.to_ascii_lowercase()
}

/// What a look-up came to. An empty variable is one that was left alone, for in
/// Spin every variable has a value. One that could not be read must not pass
/// for unset, for that could open what a secret closes: it becomes a value that
/// no setting takes, and the receiver refuses to work.
pub fn value(looked_up: Result<Option<String>, String>) -> Option<String> {
    match looked_up {
        Ok(value) => value.filter(|value| !value.is_empty()),
        Err(error) => {
            let mut value = String::from("(the variable cannot be read: ");
            value.push_str(&error);
            value.push(')');
            Some(value)
        }
    }
}
