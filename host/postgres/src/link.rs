//! [`Link`]: one connection to the database.

use std::borrow::Cow;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_postgres::error::{Severity, SqlState};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Connection, CopyInSink, Row, RowStream, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config::{Config, DEFAULT_SCHEMA};
use crate::counters::Counters;
use crate::error::OpenError;
use crate::options::Options;
use crate::tls;

/// How long the server may take for a few short statements while a journal is
/// opened.
pub(crate) const ANSWER_TIME: Duration = Duration::from_secs(10);

/// What TLS makes of a socket.
type TlsStream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;
/// A parameter of a statement, with its type.
pub(crate) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// Opens connections.
pub(crate) struct Connector {
    config: Config,
    tls: MakeRustlsConnect,
    counters: Arc<Counters>,
    connect_timeout: Duration,
}

impl Connector {
    pub(crate) fn new(
        config: &Config,
        options: &Options,
        counters: Arc<Counters>,
    ) -> Result<Self, OpenError> {
        let mut config = config.clone();
        let tls = tls::connector(config.tls.as_ref())?;
        let timeout = *config
            .postgres
            .get_connect_timeout()
            .unwrap_or(&options.connect_timeout);
        // Each host gets its share, so that the last one is tried too.
        let hosts = u32::try_from(config.postgres.get_hosts().len()).unwrap_or(1);
        config.postgres.connect_timeout(timeout / hosts.max(1));
        let settings = session_options(config.postgres.get_options(), options);
        config.postgres.options(settings);
        Ok(Self {
            config,
            tls,
            counters,
            connect_timeout: timeout,
        })
    }

    /// Returns the URL of the database, without its password.
    pub(crate) fn database(&self) -> String {
        self.config.to_string()
    }

    pub(crate) fn schema(&self) -> &str {
        &self.config.schema
    }

    /// Returns how long an attempt to connect may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.connect_timeout
    }

    fn no_answer(&self, limit: Duration) -> OpenError {
        OpenError::Unreachable {
            database: self.database(),
            cause: format!("no answer within {} ms", limit.as_millis()),
        }
    }

    /// Waits for `work` up to `limit`.
    pub(crate) async fn within<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T, OpenError>>,
    ) -> Result<T, OpenError> {
        let result = tokio::time::timeout(limit, work).await;
        result.unwrap_or_else(|_| Err(self.no_answer(limit)))
    }

    /// Opens a connection. `notified` is called with the payload of each
    /// notification.
    pub(crate) async fn connect(
        &self,
        notified: impl Fn(&str) + Send + 'static,
    ) -> Result<Link, OpenError> {
        let connecting = self.config.postgres.connect(self.tls.clone());
        let connecting = async {
            let connected = connecting.await;
            connected.map_err(|error| OpenError::of(&self.database(), &error))
        };
        match self.within(self.connect_timeout, connecting).await {
            Ok((client, connection)) => Ok(Link::new(self, client, connection, notified)),
            Err(error) => {
                self.counters.failed_connects.fetch_add(1, Relaxed);
                Err(error)
            }
        }
    }
}

/// Returns the options of a session: those of the URL, and limits of the server, in
/// case this program stops in the middle of a statement.
fn session_options(own: Option<&str>, options: &Options) -> String {
    let limit = options.commit_timeout.max(options.read_timeout);
    let limit_ms = limit.as_millis();
    let own = own.map_or_else(String::new, |own| format!("{own} "));
    format!(
        "{own}-c statement_timeout={limit_ms} -c idle_in_transaction_session_timeout={limit_ms} \
         -c default_transaction_isolation=read\\ committed -c client_min_messages=warning -c jit=off"
    )
}

/// One connection. Dropping it closes the socket, and never cancels a statement: a
/// commit that waits for a standby would then succeed without it.
pub(crate) struct Link {
    client: Client,
    driver: JoinHandle<()>,
    /// Set when the server sent a warning of the kind with which it admits that a
    /// commit was not replicated.
    warned: Arc<AtomicBool>,
    /// Closed when the connection is lost.
    ended: watch::Receiver<()>,
    schema: String,
    counters: Arc<Counters>,
}

impl Link {
    fn new(
        connector: &Connector,
        client: Client,
        connection: Connection<Socket, TlsStream>,
        notified: impl Fn(&str) + Send + 'static,
    ) -> Self {
        let warned = Arc::new(AtomicBool::new(false));
        let (ended_sender, ended) = watch::channel(());
        let driving = drive(connection, warned.clone(), notified);
        let driver = tokio::spawn(async move {
            driving.await;
            drop(ended_sender);
        });
        connector.counters.connections.fetch_add(1, Relaxed);
        Self {
            client,
            driver,
            warned,
            ended,
            schema: connector.schema().to_owned(),
            counters: connector.counters.clone(),
        }
    }

    /// Returns whether the connection is lost.
    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Runs a statement in one round trip, without preparing it, so that it also
    /// works behind a connection pooler. Returns after the implicit transaction has
    /// ended: rows alone do not mean that it was committed.
    pub(crate) async fn query(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        let sql = in_schema(sql, &self.schema);
        self.client.query_typed(&sql, parameters).await
    }

    /// Runs a statement like [`query`](Self::query), but returns its rows one by one,
    /// as fast as they are taken.
    pub(crate) async fn stream(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<RowStream, tokio_postgres::Error> {
        let sql = in_schema(sql, &self.schema);
        let parameters = parameters.iter();
        let parameters = parameters.map(|(value, kind)| (*value, kind.clone()));
        self.client.query_typed_raw(&sql, parameters).await
    }

    /// Begins a `COPY … FROM STDIN`.
    pub(crate) async fn copy_in(
        &self,
        sql: &str,
    ) -> Result<CopyInSink<Bytes>, tokio_postgres::Error> {
        let sql = in_schema(sql, &self.schema);
        self.client.copy_in(&*sql).await
    }

    /// Runs statements without parameters as one transaction, unless they say
    /// otherwise.
    pub(crate) async fn execute(&self, sql: &str) -> Result<(), tokio_postgres::Error> {
        self.client
            .batch_execute(&in_schema(sql, &self.schema))
            .await
    }

    /// Returns when the connection is lost.
    pub(crate) async fn lost(&self) {
        self.ended.clone().changed().await.unwrap_or(());
    }

    /// Returns whether the server sent a warning since the last call.
    pub(crate) fn take_warning(&self) -> bool {
        self.warned.swap(false, Relaxed)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.driver.abort();
        self.counters.connections.fetch_sub(1, Relaxed);
    }
}

/// Returns a statement for the tables in this schema.
fn in_schema<'a>(sql: &'a str, schema: &str) -> Cow<'a, str> {
    if schema == DEFAULT_SCHEMA {
        Cow::Borrowed(sql)
    } else {
        Cow::Owned(sql.replace("batchtask.", &format!("{schema}.")))
    }
}

/// Moves bytes until the connection ends.
async fn drive<S, T>(
    mut connection: Connection<S, T>,
    warned: Arc<AtomicBool>,
    notified: impl Fn(&str),
) where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
        match message {
            AsyncMessage::Notice(notice) if notice.parsed_severity() == Some(Severity::Warning) => {
                tracing::warn!("the database warns: {}", notice.message());
                let code = notice.code();
                if *code == SqlState::WARNING || *code == SqlState::ADMIN_SHUTDOWN {
                    warned.store(true, Relaxed);
                }
            }
            AsyncMessage::Notification(notification) => notified(notification.payload()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_for_the_schema() {
        let sql = "SELECT 1 FROM batchtask.tasks";
        assert_eq!(in_schema(sql, "batchtask"), sql);
        assert_eq!(in_schema(sql, "other"), "SELECT 1 FROM other.tasks");
    }

    #[test]
    fn sessions_are_limited() {
        let options = session_options(Some("-c work_mem=1MB"), &Options::default());
        assert!(options.starts_with("-c work_mem=1MB -c statement_timeout=6000 "));
    }
}
