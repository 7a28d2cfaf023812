//! AMQP queues, and the access code for them.

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::call::Call;
use crate::client::Client;
use crate::error::Error;
use crate::pages::Filter;
use crate::secret::Secret;

const PATH: &str = "amqp-queues";

/// The queue that every instance has.
pub const DEFAULT_QUEUE: &str = "DefaultQueue";

/// A queue.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Queue {
    /// Its id.
    pub queue_id: String,
    /// Its name.
    pub queue_name: String,
}

/// The protocol that an access code is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum AccessType {
    /// AMQP.
    Amqp,
    /// MQTT.
    Mqtt,
}

/// A user name and password for a protocol.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct AccessCode {
    /// The access key: the user name.
    pub access_key: String,
    /// The access code: the password. The platform shows it only once.
    pub access_code: Secret,
}

/// Which queues to list.
#[derive(Clone, Debug, Default)]
pub struct QueueFilter {
    /// A part of the name.
    pub queue_name: Option<String>,
}

impl Filter for QueueFilter {
    type Item = Queue;
    const OPERATION: &'static str = "list the AMQP queues";
    const PATH: &'static str = PATH;
    const ITEMS: &'static str = "queues";

    fn parameters(&self) -> Vec<(&'static str, Option<String>)> {
        vec![("queue_name", self.queue_name.clone())]
    }
}

impl Client {
    /// Creates a queue.
    ///
    /// # Errors
    /// The call failed.
    pub async fn create_queue(&self, name: &str) -> Result<Queue, Error> {
        let call = Call::new("create the AMQP queue", Method::POST, &[PATH]);
        let call = call.json(&json!({ "queue_name": name }));
        self.send(&call).await?.json()
    }

    /// Returns a queue.
    ///
    /// # Errors
    /// The call failed.
    pub async fn queue(&self, queue_id: &str) -> Result<Queue, Error> {
        let call = Call::new("read the AMQP queue", Method::GET, &[PATH, queue_id]);
        self.send(&call).await?.json()
    }

    /// Deletes a queue, and the messages in it.
    ///
    /// # Errors
    /// The call failed.
    pub async fn delete_queue(&self, queue_id: &str) -> Result<(), Error> {
        let call = Call::new("delete the AMQP queue", Method::DELETE, &[PATH, queue_id]);
        self.send(&call).await.map(drop)
    }

    /// Creates an access code. **The code before it becomes invalid**, and with
    /// `force_disconnect` its connections end at once.
    ///
    /// # Errors
    /// The call failed.
    pub async fn create_access_code(
        &self,
        kind: AccessType,
        force_disconnect: bool,
    ) -> Result<AccessCode, Error> {
        let body = json!({ "type": kind, "force_disconnect": force_disconnect });
        let path = ["auth/accesscode"];
        let call = Call::new("create the access code", Method::POST, &path).json(&body);
        self.send(&call).await?.json()
    }
}
