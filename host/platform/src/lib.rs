//! A client of the platform's application API (Huawei Cloud IoTDA). On top of it:
//! the setup of a rule, and the search for changes that no push reported.
//!
//! | module | content |
//! |---|---|
//! | [`api`] | the calls, by resource, and their types |
//! | [`setup`] | the rule of a receiver: planned, applied, compared, removed |
//! | [`reconcile`] | finds changes that no push reported, without input and output |
//! | `client` | [`Client`]: sends calls, spaces them, and repeats them while that can help |
//! | `options` | [`ClientOptions`]: the options of a client |
//! | `endpoint` | [`Endpoint`]: where the platform is, and how it wants requests signed |
//! | `credentials` | [`Credentials`]: an access key, or a password for a token |
//! | [`signing`] | the platform's two signatures |
//! | `token` | tokens of IAM |
//! | `call`, `request` | a call, and the HTTP request that it becomes |
//! | `transport` | one request and its answer, within bounds |
//! | `connector`, `proxy` | how connections are made: names, proxy, TLS |
//! | `answer`, `refusal`, `error` | the result of a call: a success, a [`Refusal`] or another [`Error`] |
//! | `pages` | [`Client::list`] and [`Client::page`]: lists, in both shapes of the platform |
//! | `pace` | how fast calls follow each other; [`Retry`]: when a call is repeated |
//! | `lenient` | reads members that the platform leaves out |
//! | `secret` | [`Secret`]: a text that is never shown |
//!
//! ```no_run
//! use batchtask_platform::setup::{Actual, HttpTarget, Plan, Target, Wanted};
//! use batchtask_platform::{AccessKey, Client, ClientOptions, Credentials, Edition, Endpoint, Secret};
//!
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let endpoint = Endpoint::new(Edition::Basic, "cn-north-4", None)?;
//! let key = AccessKey {
//!     id: std::env::var("ACCESS_KEY")?,
//!     secret: Secret::new(std::env::var("SECRET_KEY")?),
//!     security_token: None,
//! };
//! let options = ClientOptions::new(endpoint, "0123456789abcdef", Credentials::Keys(key));
//! let client = Client::new(options)?;
//!
//! let target = HttpTarget::new(Secret::new("https://receiver.example.com/notifications"))?;
//! let wanted = Wanted::new("batchtask", None, Target::Http(target))?;
//! let plan = Plan::of_setup(&wanted, &Actual::read(&client, &wanted).await?);
//! for step in plan.steps() {
//!     println!("will {step}");
//! }
//! plan.apply(&client, |step| println!("done: {step}")).await?;
//! # Ok(()) }
//! ```

mod answer;
pub mod api;
mod call;
mod client;
mod connector;
mod credentials;
mod endpoint;
mod error;
mod lenient;
mod options;
mod pace;
mod pages;
mod proxy;
pub mod reconcile;
mod refusal;
mod request;
mod secret;
pub mod setup;
pub mod signing;
mod token;
mod transport;

pub use self::client::Client;
pub use self::connector::{HttpClient, TransportOptions};
pub use self::credentials::{AccessKey, Credentials, Password};
pub use self::endpoint::{Edition, Endpoint};
pub use self::error::{Error, OptionError, Source};
pub use self::options::{ClientOptions, Clock};
pub use self::pace::Retry;
pub use self::pages::{Filter, Page, PageRequest};
pub use self::proxy::Proxy;
pub use self::refusal::{Cause, Refusal};
pub use self::secret::Secret;
