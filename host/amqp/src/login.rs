//! [`Login`]: opens a connection with an access code and a time that the broker accepts.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use fe2o3_amqp::Connection;
use fe2o3_amqp::connection::ConnectionHandle;
use fe2o3_amqp::sasl_profile::SaslProfile;
use tokio::time::timeout;

use crate::credentials::{Credentials, now_ms};
use crate::dial::Dialer;
use crate::failure::{Failure, Reason};
use crate::options::{Broker, OptionError, Options};

/// An AMQP connection.
pub(crate) type Handle = ConnectionHandle<()>;

/// The virtual host of the platform.
const VIRTUAL_HOST: &str = "default";

/// A broker that is silent for this long is dead. It is asked to send something twice as
/// often.
const IDLE_TIME_MS: u32 = 8000;

/// The time limit from the end of the TLS handshake until the connection is open.
const OPEN_TIME: Duration = Duration::from_secs(5);

/// The platform refuses a login whose time is five minutes off with the same words as one
/// with a wrong code. To tell which of them is wrong, one login after each refused one
/// has a time that is shifted by one of these minutes in turn: small errors, errors of a
/// time zone, and a clock that shows Beijing's time as UTC or the reverse.
const SHIFTS_MINUTES: [i64; 14] = [
    10, -10, 20, -20, 30, -30, 60, -60, 40, -40, 50, -50, 480, -480,
];

/// Opens connections to one broker, one after another.
pub(crate) struct Login {
    dialer: Dialer,
    broker: Broker,
    instance_id: Option<String>,
    credentials: RwLock<Credentials>,
}

/// The error of the clock, as the logins so far have shown.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    /// What must be added to this host's time, in minutes.
    shift_minutes: i64,
    /// The number of shifts that were tried.
    tried: usize,
}

impl Clock {
    /// Returns another shift to try.
    fn other(&mut self) -> i64 {
        if self.shift_minutes != 0 {
            // Perhaps the clock was set meanwhile.
            return 0;
        }
        let shift = SHIFTS_MINUTES[self.tried % SHIFTS_MINUTES.len()];
        self.tried += 1;
        shift
    }

    /// Returns what is wrong with the clock, or `None` if nothing is known to be wrong.
    pub(crate) fn error(&self) -> Option<String> {
        let direction = match self.shift_minutes {
            0 => return None,
            1.. => "behind",
            _ => "ahead of",
        };
        Some(format!(
            "the clock of this host is about {} minutes {direction} the broker's: synchronise \
             it, for example by NTP",
            self.shift_minutes.abs()
        ))
    }
}

impl Login {
    pub(crate) fn new(options: &Options, credentials: Credentials) -> Result<Self, OptionError> {
        Ok(Self {
            dialer: Dialer::new(&options.broker, options.authorities.as_deref())?,
            broker: options.broker.clone(),
            instance_id: options.instance_id.clone(),
            credentials: RwLock::new(credentials),
        })
    }

    /// Uses these credentials from the next login on. Returns whether they are others.
    pub(crate) fn use_credentials(&self, credentials: Credentials) -> bool {
        let lock = self.credentials.write();
        let mut current = lock.unwrap_or_else(PoisonError::into_inner);
        let are_others = *current != credentials;
        *current = credentials;
        are_others
    }

    fn credentials(&self) -> Credentials {
        self.credentials
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Opens a connection. Tries each access code, and then another time.
    ///
    /// # Errors
    /// Returns the failure of the first attempt if all are refused.
    pub(crate) async fn open(&self, clock: &mut Clock) -> Result<Handle, Failure> {
        let refused = match self.open_at(clock.shift_minutes).await {
            Err(failure) if failure.reason == Reason::Credentials => failure,
            opened => return opened,
        };
        let shift = clock.other();
        match self.open_at(shift).await {
            Ok(handle) => {
                clock.shift_minutes = shift;
                Ok(handle)
            }
            Err(_) => Err(refused),
        }
    }

    /// Opens a connection with a shifted time. Tries each access code.
    async fn open_at(&self, shift_minutes: i64) -> Result<Handle, Failure> {
        let credentials = self.credentials();
        let mut refused = None;
        for code in &credentials.access_codes {
            match self.attempt(&credentials, code, shift_minutes).await {
                Err(failure) if failure.reason == Reason::Credentials => {
                    refused.get_or_insert(failure);
                }
                done => return done,
            }
        }
        Err(refused.unwrap_or_else(|| {
            let text = "there is no access code: set `amqp.access_code`";
            Failure::new(Reason::Credentials, text)
        }))
    }

    async fn attempt(
        &self,
        credentials: &Credentials,
        code: &str,
        shift_minutes: i64,
    ) -> Result<Handle, Failure> {
        let broker = &self.broker;
        let stream = self.dialer.dial().await?;
        // Made now, because connecting may have taken long.
        let time_ms = now_ms().saturating_add_signed(shift_minutes * 60_000);
        let instance_id = self.instance_id.as_deref();
        let opening = Connection::builder()
            .container_id(format!("batchtask-{:016x}", fastrand::u64(..)))
            .hostname(Some(VIRTUAL_HOST))
            .sasl_hostname(Some(broker.host()))
            .idle_time_out(IDLE_TIME_MS)
            .sasl_profile(SaslProfile::Plain {
                username: credentials.user_name(time_ms, instance_id),
                password: code.to_owned(),
            })
            .open_with_stream(stream);
        match timeout(OPEN_TIME, opening).await {
            Ok(Ok(handle)) => Ok(handle),
            Ok(Err(error)) => Err(Failure::of_open(broker, &error)),
            Err(_) => Err(Failure::late(broker, "the login")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_times_are_tried_until_one_is_right_and_then_this_hosts_time() {
        let mut clock = Clock::default();
        assert_eq!(clock.error(), None);
        let tried: Vec<i64> = (0..15).map(|_| clock.other()).collect();
        assert_eq!(tried[..3], [10, -10, 20]);
        assert_eq!(tried[14], 10, "from the start");
        clock.shift_minutes = 10;
        let text = clock.error().unwrap();
        assert!(
            text.contains("about 10 minutes behind the broker's"),
            "{text}"
        );
        assert_eq!(clock.other(), 0);
        clock.shift_minutes = -480;
        let text = clock.error().unwrap();
        assert!(text.contains("about 480 minutes ahead of"), "{text}");
    }
}
