//! A platform in memory behind a real HTTP server, for tests of clients.
//!
//! It keeps rules, actions, certificates, queues, policies, tasks and devices,
//! checks signatures and tokens, pages in both shapes, and refuses as the platform
//! does. It shares no code with the client, so that both can be wrong only in
//! different ways; the vendor's own SDK is run against it too.
//!
//! | module | content |
//! |---|---|
//! | `server` | the listener, and the faults that a test can order |
//! | `proof` | checks of signatures and tokens |
//! | `store` | collections of resources, and their pages |
//! | `routes` | what each call does |
//! | `tasks` | batch tasks |
//! | `push` | pushes to receivers |
//! | `refusal` | the refusals, with the platform's codes |

// Not every includer uses everything.
#![allow(dead_code, unused_imports)]

mod proof;
mod push;
mod refusal;
mod routes;
mod server;
mod store;
mod tasks;

pub(crate) use self::proof::expected;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use self::store::Store;

pub(crate) const KEY_ID: &str = "TESTAK0000000000000A";
pub(crate) const SECRET_KEY: &str = "TESTSK00000000000000000000000000000000SK";
pub(crate) const PROJECT: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const REGION: &str = "cn-north-4";
pub(crate) const PASSWORD: &str = "made up pass word";
pub(crate) const SECURITY_TOKEN: &str = "made-up-security-token";
/// The resource space that exists from the start.
pub(crate) const APP: &str = "jeQDJQZltU8iKgFFoW060F5SGZka";

/// What a test orders for a call.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// 429 with this `Retry-After`, in seconds.
    TooMany(Option<u64>),
    /// A refusal with this status, code and message.
    Refuse(u16, &'static str, &'static str),
    /// A refusal whose message repeats the request: headers and body.
    Echo,
    /// This status with a page of HTML.
    Html(u16),
    /// The connection ends in the middle of the answer.
    Truncated,
    /// The answer is complete, but its JSON is cut off.
    HalfJson,
    /// The answer is longer than any client should take.
    Endless,
    /// The call is carried out, but the connection ends without an answer.
    CutAfter,
    /// The connection ends, and nothing is carried out.
    CutBefore,
    /// No answer ever comes.
    Hang,
    /// This answer, and nothing is carried out.
    Answer(u16, Value),
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// The path and the query.
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    pub(crate) at: Instant,
}

/// What a test can change while the platform runs.
pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) seen: Vec<Seen>,
    /// The faults of the next calls.
    pub(crate) faults: VecDeque<Fault>,
    /// After this number of calls, each further one has this fault.
    pub(crate) limit: Option<(usize, Fault)>,
    /// The difference between the platform's clock and the system's.
    pub(crate) clock_offset_ms: i64,
    /// Whether requests are signed with a derived key.
    pub(crate) is_derived: bool,
    /// Whether the key is a temporary one.
    pub(crate) is_temporary: bool,
    /// The tokens that IAM issued, and when they end.
    pub(crate) tokens: Vec<(String, u64)>,
    /// Whether the user lacks the permission for IoTDA.
    pub(crate) is_forbidden: bool,
    /// How long each call takes.
    pub(crate) delay: Duration,
}

impl State {
    /// The platform's time, in milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> u64 {
        let system = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        (system.as_millis() as i64 + self.clock_offset_ms) as u64
    }

    fn fault(&mut self) -> Option<Fault> {
        if let Some(fault) = self.faults.pop_front() {
            return Some(fault);
        }
        let (calls, fault) = self.limit.as_ref()?;
        let count = self.seen.len();
        match (fault, count.cmp(&(calls + 1))) {
            (_, std::cmp::Ordering::Less) => None,
            (_, std::cmp::Ordering::Equal) => Some(fault.clone()),
            // Only one call may still have an effect.
            (_, std::cmp::Ordering::Greater) => Some(Fault::CutBefore),
        }
    }
}

/// A running platform. It ends when this is dropped.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    listener: tokio::task::JoinHandle<()>,
}

impl Fake {
    /// Starts a platform of the basic edition.
    pub(crate) async fn start() -> Self {
        Self::start_edition(false).await
    }

    /// Starts a platform that wants requests signed with a derived key, or not.
    pub(crate) async fn start_edition(is_derived: bool) -> Self {
        let state = Arc::new(Mutex::new(State {
            store: Store::new(),
            seen: Vec::new(),
            faults: VecDeque::new(),
            limit: None,
            clock_offset_ms: 0,
            is_derived,
            is_temporary: false,
            tokens: Vec::new(),
            is_forbidden: false,
            delay: Duration::ZERO,
        }));
        let (address, listener) = server::start(state.clone()).await;
        Self {
            address,
            state,
            listener,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Orders faults for the next calls.
    pub(crate) fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state().faults.extend(faults);
    }

    /// Returns the requests that have arrived since the last call of this.
    pub(crate) fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state().seen)
    }

    /// Returns everything that is kept, without the ids, which differ from run to
    /// run.
    pub(crate) fn content(&self) -> Value {
        self.state().store.content()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.listener.abort();
    }
}
