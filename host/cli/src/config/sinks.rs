//! The tables `[[sink]]` of the configuration file.
//!
//! - `keys`: the declaration of every key, and the kinds of sinks that have it.
//! - `reader`: reads the values of one table.
//! - `common`: the keys that sinks of several kinds have.
//! - `webhook`, `chat`, `mail`, `component`: the keys of each kind.

mod chat;
mod common;
mod component;
mod keys;
mod mail;
mod reader;
mod webhook;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use batchtask_relay::{Kind, Sink, SinkOptions};

pub(crate) use self::keys::help as keys;

use self::keys::{KIND, KindName, NAME};
use self::reader::Reader;
use super::fault::Fault;
use super::options::SINKS as TABLE;
use super::values::Values;

/// How many sinks there may be. Each reads the feed.
const SINKS_MAX: usize = 32;

/// Returns the sinks of the file. Adds all faults to `values`. The code of components is
/// cached in `cache_dir`.
pub(super) fn sinks(values: &mut Values, cache_dir: Option<&Path>) -> Vec<Arc<Sink>> {
    let mut faults = Vec::new();
    let mut sinks: Vec<Arc<Sink>> = Vec::new();
    let mut names = BTreeSet::new();
    for entry in values.sinks() {
        let mut reader = Reader::new(entry);
        let options = options(&mut reader, cache_dir);
        if let Some(name) = reader.value(&NAME)
            && !names.insert(name)
        {
            reader.refuse(&NAME, "is the name of another sink, too");
        }
        // Only a table without a fault has options that can be checked.
        if let Some(options) = options.filter(|_| reader.faults().is_empty()) {
            match Sink::new(options) {
                Ok(sink) => sinks.push(Arc::new(sink)),
                Err(error) => {
                    let problem = format!("cannot be used: {}", error.reason);
                    reader.fault(error.option, problem);
                }
            }
        }
        faults.extend(reader.into_faults());
    }
    if let Some(entry) = values.sinks().get(SINKS_MAX) {
        let problem = format!("there are more than {SINKS_MAX} sinks");
        faults.push(Fault::new(entry.place.clone(), TABLE, problem));
    }
    values.add_faults(faults);
    sinks
}

/// Reads one table. Returns `None` if its kind is not known. The options can be used only
/// if the reader has no faults.
fn options(reader: &mut Reader<'_>, cache_dir: Option<&Path>) -> Option<SinkOptions> {
    let Some(kind) = reader.choice(&KIND, KindName::CHOICES) else {
        reader.name();
        return None;
    };
    reader.check_keys(kind);
    Some(SinkOptions {
        name: reader.name(),
        filter: reader.filter(),
        start: reader.start(),
        passing: reader.passing(kind),
        kind: match kind {
            KindName::Webhook => Kind::Webhook(reader.webhook()),
            KindName::Chat => Kind::Chat(reader.chat()?),
            KindName::Mail => Kind::Mail(reader.mail()?),
            KindName::Component => Kind::Component(reader.component(cache_dir)),
        },
    })
}
