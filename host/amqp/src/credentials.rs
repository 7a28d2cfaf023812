//! [`Credentials`]: the user name and the password of a login.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// An access key with its access codes.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The access key.
    pub access_key: String,
    /// The access codes, the newest first. During a rotation there are two.
    pub access_codes: Vec<String>,
}

impl Credentials {
    /// Returns the user name for a login at `now_ms`. The platform refuses one that is
    /// five minutes old.
    pub(crate) fn user_name(&self, now_ms: u64, instance_id: Option<&str>) -> String {
        let mut name = format!("accessKey={}|timestamp={now_ms:013}", self.access_key);
        if let Some(id) = instance_id {
            name += "|instanceId=";
            name += id;
        }
        name
    }
}

// No derived `Debug`: access codes are secret.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key", &self.access_key)
            .field("access_codes", &self.access_codes.len())
            .finish()
    }
}

/// The milliseconds since 1970 (UTC), according to the clock of this host.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials() -> Credentials {
        Credentials {
            access_key: "kEy".into(),
            access_codes: vec!["hush".into(), "hush-hush".into()],
        }
    }

    #[test]
    fn the_user_name_has_the_time_of_the_login() {
        let name = credentials().user_name(1_769_860_800_123, None);
        assert_eq!(name, "accessKey=kEy|timestamp=1769860800123");
        let name = credentials().user_name(1_769_860_800_123, Some("i-1"));
        assert_eq!(name, "accessKey=kEy|timestamp=1769860800123|instanceId=i-1");
    }

    #[test]
    fn access_codes_do_not_show_in_debug_output() {
        let text = format!("{:?}", credentials());
        assert_eq!(
            text,
            r#"Credentials { access_key: "kEy", access_codes: 2 }"#
        );
    }
}
