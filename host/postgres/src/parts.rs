//! [`Parts`]: what the writer and the feed share.

use std::sync::Arc;

use crate::counters::Counters;
use crate::link::Connector;
use crate::options::Options;
use crate::progress::Progress;

/// What the writer and the feed share.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) connector: Arc<Connector>,
    pub(crate) options: Options,
    pub(crate) counters: Arc<Counters>,
    pub(crate) progress: Arc<Progress>,
}
