//! The sinks of the journal in memory.

use std::collections::{BTreeMap, HashMap};

use crate::outbox::{Acquired, DeadLetter, Hold, ParkedEvent, SinkChange, SinkState};

/// All sinks, by their name.
#[derive(Default)]
pub(super) struct Sinks(HashMap<String, Sink>);

#[derive(Default)]
struct Sink {
    fence: u64,
    owner: String,
    position: u64,
    paused: bool,
    memo: String,
    parked: BTreeMap<u64, ParkedEvent>,
    dead: BTreeMap<u64, DeadLetter>,
}

impl Sinks {
    pub(super) fn acquire(&mut self, name: &str, owner: &str, position: u64) -> Acquired {
        let new = || Sink {
            position,
            ..Sink::default()
        };
        let sink = self.0.entry(name.into()).or_insert_with(new);
        sink.fence += 1;
        sink.owner = owner.into();
        Acquired::Owned(sink.fence)
    }

    /// Returns whether this is the number of the owner.
    pub(super) fn hold(&mut self, name: &str, fence: u64) -> Hold {
        match self.owned(name, fence) {
            Some(_) => Hold::Kept,
            None => Hold::Lost,
        }
    }

    pub(super) fn release(&mut self, name: &str, fence: u64) -> Hold {
        let Some(sink) = self.owned(name, fence) else {
            return Hold::Lost;
        };
        sink.owner.clear();
        Hold::Kept
    }

    pub(super) fn load(&self, name: &str) -> Option<SinkState> {
        let sink = self.0.get(name)?;
        Some(SinkState {
            owner: sink.owner.clone(),
            position: sink.position,
            paused: sink.paused,
            memo: sink.memo.clone(),
            parked: sink.parked.values().cloned().collect(),
            dead: sink.dead.values().cloned().collect(),
        })
    }

    pub(super) fn save(&mut self, name: &str, fence: u64, change: &SinkChange) -> Hold {
        let Some(sink) = self.owned(name, fence) else {
            return Hold::Lost;
        };
        sink.position = change.position;
        sink.paused = change.paused;
        if let Some(memo) = &change.memo {
            sink.memo.clone_from(memo);
        }
        for seq in &change.unparked {
            sink.parked.remove(seq);
        }
        for seq in &change.resolved {
            sink.dead.remove(seq);
        }
        let parked = change.parked.iter().cloned();
        sink.parked.extend(parked.map(|event| (event.seq, event)));
        let dead = change.dead.iter().cloned();
        sink.dead.extend(dead.map(|letter| (letter.seq, letter)));
        Hold::Kept
    }

    fn owned(&mut self, name: &str, fence: u64) -> Option<&mut Sink> {
        self.0.get_mut(name).filter(|sink| sink.fence == fence)
    }
}
