//! [`Credentials`]: how the client proves who it is.

use crate::secret::Secret;

/// How the client proves who it is.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// An access key. Each request is signed with it.
    Keys(AccessKey),
    /// A user's password, with which the client gets a token from IAM.
    Password(Password),
}

/// An access key (AK and SK), permanent or temporary.
#[derive(Clone, Debug)]
pub struct AccessKey {
    /// The public id of the key (AK).
    pub id: String,
    /// The secret key (SK).
    pub secret: Secret,
    /// The security token of a temporary key.
    pub security_token: Option<Secret>,
}

/// A user of IAM.
#[derive(Clone, Debug)]
pub struct Password {
    /// The name of the user.
    pub user: String,
    /// The name of the account that the user belongs to.
    pub domain: String,
    /// The user's password.
    pub password: Secret,
    /// The name of the project. The main project of a region has the region's
    /// name.
    pub project: String,
}

impl Credentials {
    /// Returns the secrets that a text of the platform could repeat.
    pub(crate) fn secrets(&self) -> Vec<&str> {
        match self {
            Self::Keys(key) => {
                let token = key.security_token.as_ref();
                let secrets = [Some(&key.secret), token];
                secrets.into_iter().flatten().map(Secret::expose).collect()
            }
            Self::Password(password) => vec![password.password.expose()],
        }
    }
}
