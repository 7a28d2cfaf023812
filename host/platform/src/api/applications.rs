//! Resource spaces, which the API calls applications.

use http::Method;
use serde::Deserialize;

use crate::call::Call;
use crate::client::Client;
use crate::error::Error;
use crate::lenient::or_default;

/// A resource space.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Application {
    /// Its id.
    pub app_id: String,
    /// Its name.
    #[serde(default, deserialize_with = "or_default")]
    pub app_name: String,
}

#[derive(Deserialize)]
struct Applications {
    #[serde(default, deserialize_with = "or_default")]
    applications: Vec<Application>,
}

impl Client {
    /// Lists the resource spaces, which have no pages.
    ///
    /// # Errors
    /// The call failed.
    pub async fn applications(&self) -> Result<Vec<Application>, Error> {
        let call = Call::new("list the resource spaces", Method::GET, &["apps"]);
        let all: Applications = self.send(&call).await?.json()?;
        Ok(all.applications)
    }
}
