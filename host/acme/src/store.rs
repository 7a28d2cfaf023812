//! [`Store`]: what outlives a start, in a folder or shared by several hosts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::folder::{ACCOUNT, CERTIFICATE, Folder, Lock, STATE};
use crate::options::Options;
use crate::schedule::Memory;
use crate::seal::Sealer;

/// A text that hosts share, and the right to change it, which one host has at a time.
#[async_trait]
pub trait Shared: Send + Sync + 'static {
    /// Tries to get the right to change the text, for this time. Returns whether this host
    /// has it now.
    async fn acquire(&self, time: Duration) -> Result<bool, String>;

    /// Gives the right up.
    async fn release(&self) -> Result<(), String>;

    /// Returns the text, which is empty at first.
    async fn load(&self) -> Result<String, String>;

    /// Replaces the text. Returns false, and changes nothing, if another host has got the
    /// right meanwhile.
    async fn save(&self, text: &str) -> Result<bool, String>;
}

/// What outlives a start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Record {
    /// The CA that issued the certificate. Empty if it is not known.
    pub(crate) directory: String,
    pub(crate) memory: Memory,
    pub(crate) account: Option<StoredAccount>,
    /// Chain and key, as PEM.
    pub(crate) certificate: Option<String>,
    /// The proofs that all hosts show to the CA now, in base64, by name. Only if the record
    /// is shared.
    pub(crate) challenges: BTreeMap<String, String>,
}

/// An account at a CA.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredAccount {
    /// The mail addresses that the CA has.
    pub(crate) contacts: Vec<String>,
    /// Id, key and directory, in the form of `instant-acme`.
    pub(crate) credentials: serde_json::Value,
}

impl std::fmt::Debug for StoredAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoredAccount")
    }
}

/// The content of the file of the state.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct State {
    directory: String,
    memory: Memory,
}

/// The right to order, until it is given up.
pub(crate) enum Lead {
    Folder(#[allow(dead_code, reason = "held until it is dropped")] Lock),
    Shared,
}

/// Where a record is kept.
pub(crate) struct Store {
    folder: Folder,
    shared: Option<(Arc<dyn Shared>, Sealer)>,
}

impl Store {
    /// `shared` is used if there is a secret to encrypt with.
    pub(crate) fn new(options: &Options, shared: Option<Arc<dyn Shared>>) -> Result<Self, Error> {
        let shared = shared.filter(|_| !options.share_secrets.is_empty());
        let sealed = |shared| Sealer::new(&options.share_secrets).map(|sealer| (shared, sealer));
        Ok(Self {
            folder: Folder::new(&options.folder),
            shared: shared.map(sealed).transpose()?,
        })
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// Returns what is stored. A shared certificate is also written to the folder.
    pub(crate) async fn load(&self) -> Result<Record, Error> {
        let local = self.load_folder()?;
        let Some((shared, sealer)) = &self.shared else {
            return Ok(local);
        };
        let text = shared.load().await.map_err(Error::Shared)?;
        if text.is_empty() {
            // The first host brings what it has.
            return Ok(local);
        }
        let record: Record = serde_json::from_str(&sealer.open(&text)?)
            .map_err(|error| Error::Shared(format!("it is not understood: {error}")))?;
        if record.certificate.is_some() && record.certificate != local.certificate {
            self.save_folder(&local, &record)?;
        }
        Ok(record)
    }

    /// Stores what differs between two records.
    pub(crate) async fn save(&self, old: &Record, new: &Record) -> Result<(), Error> {
        if let Some((shared, sealer)) = &self.shared {
            let text = serde_json::to_string(new);
            let text = text.map_err(|error| Error::failed("write the shared record", error))?;
            let is_saved = shared.save(&sealer.close(&text)?).await;
            if !is_saved.map_err(Error::Shared)? {
                return Err(Error::Shared("another host orders now".into()));
            }
        }
        self.save_folder(old, new)
    }

    /// Tries to get the right to order, for at least this time. Returns `None` if another
    /// process or host has it.
    pub(crate) async fn lead(&self, time: Duration) -> Result<Option<Lead>, Error> {
        match &self.shared {
            None => Ok(self.folder.lock()?.map(Lead::Folder)),
            Some((shared, _)) => {
                let is_leader = shared.acquire(time).await.map_err(Error::Shared)?;
                Ok(is_leader.then_some(Lead::Shared))
            }
        }
    }

    /// Gives the right up.
    pub(crate) async fn end(&self, lead: Lead) {
        if let (Lead::Shared, Some((shared, _))) = (lead, &self.shared)
            && let Err(error) = shared.release().await
        {
            tracing::debug!(error, "the right to order ends by itself");
        }
    }

    fn load_folder(&self) -> Result<Record, Error> {
        let state: State = self.parsed(STATE)?.unwrap_or_default();
        Ok(Record {
            directory: state.directory,
            memory: state.memory,
            account: self.parsed(ACCOUNT)?,
            certificate: self.folder.read(CERTIFICATE)?,
            challenges: BTreeMap::new(),
        })
    }

    /// Returns the content of a file. A file that is not understood is as good as missing,
    /// because it can be made again.
    fn parsed<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        let text = self.folder.read(name)?;
        let parse = |text: String| {
            let failed =
                |error: &_| tracing::warn!(%error, "`{name}` is not understood, and is replaced");
            serde_json::from_str(&text).inspect_err(failed).ok()
        };
        Ok(text.and_then(parse))
    }

    /// The certificate comes first: if the rest cannot be written, it is already in use.
    fn save_folder(&self, old: &Record, new: &Record) -> Result<(), Error> {
        if let Some(certificate) = &new.certificate
            && new.certificate != old.certificate
        {
            self.folder.write(CERTIFICATE, certificate)?;
        }
        if let Some(account) = &new.account
            && new.account != old.account
        {
            self.folder.write(ACCOUNT, &json(account)?)?;
        }
        let state = State {
            directory: new.directory.clone(),
            memory: new.memory.clone(),
        };
        if (&new.directory, &new.memory) == (&old.directory, &old.memory) {
            return Ok(());
        }
        self.folder.write(STATE, &json(&state)?)
    }
}

fn json(value: &impl Serialize) -> Result<String, Error> {
    let text = serde_json::to_string_pretty(value);
    text.map_err(|error| Error::failed("write a record", error))
}
