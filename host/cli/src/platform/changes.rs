//! The changes of a setup or a removal: shown first, then made one by one.

use std::io::{self, Write};

use anyhow::Context;
use batchtask_platform::Client;
use batchtask_platform::api::queues::AccessType;
use batchtask_platform::setup::Plan;

use super::backlog::BacklogStep;
use super::confirm::Confirm;
use crate::table::escape_unprintable;

/// Changes of the platform, in the order in which they are made.
pub(super) struct Changes {
    /// The changes of rule and target.
    pub(super) plan: Plan,
    pub(super) backlog: Option<BacklogStep>,
    /// Whether to create an access code for AMQP.
    pub(super) has_new_access_code: bool,
}

const NEW_ACCESS_CODE: &str =
    "create an access code for AMQP, which makes the one before it invalid";

impl Changes {
    fn is_empty(&self) -> bool {
        self.plan.steps().is_empty() && self.backlog.is_none() && !self.has_new_access_code
    }

    /// Shows the changes, asks, and makes them.
    ///
    /// # Errors
    /// They are not confirmed, or a call failed.
    pub(super) async fn carry_out(self, client: &Client, confirm: &Confirm) -> anyhow::Result<()> {
        self.show()?;
        if self.is_empty() {
            return Ok(());
        }
        confirm.ask()?;
        let applied = self.apply(client).await;
        applied.context("stopped before the end: run the same command again to do the rest")
    }

    fn show(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.is_empty() {
            writeln!(out, "nothing to change")?;
        } else {
            writeln!(out, "changes:")?;
        }
        for text in self.texts() {
            writeln!(out, "  {}", escape_unprintable(&text))?;
        }
        for note in self.plan.notes() {
            writeln!(out, "note: {}", escape_unprintable(note))?;
        }
        out.flush()
    }

    fn texts(&self) -> Vec<String> {
        let mut texts: Vec<String> = self.plan.steps().iter().map(ToString::to_string).collect();
        texts.extend(self.backlog.as_ref().map(ToString::to_string));
        texts.extend(self.has_new_access_code.then(|| NEW_ACCESS_CODE.to_owned()));
        texts
    }

    async fn apply(self, client: &Client) -> anyhow::Result<()> {
        // A line is not worth the rest of the changes if nothing reads it.
        let done = |text: &str| {
            let _ = writeln!(io::stdout(), "done: {}", escape_unprintable(text));
        };
        self.plan
            .apply(client, |step| done(&step.to_string()))
            .await?;
        if let Some(backlog) = &self.backlog {
            backlog.apply(client).await?;
            done(&backlog.to_string());
        }
        if self.has_new_access_code {
            let code = client.create_access_code(AccessType::Amqp, false).await?;
            done(NEW_ACCESS_CODE);
            let mut out = io::stdout().lock();
            writeln!(out, "access key:  {}", code.access_key)?;
            writeln!(out, "access code: {}", code.access_code.expose())?;
            writeln!(
                out,
                "store both now: the platform does not show the code again"
            )?;
        }
        Ok(())
    }
}
