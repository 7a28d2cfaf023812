//! Clients of the platform, made from the configuration.

use batchtask_platform::Client;
use batchtask_platform::setup::Wanted;

use super::wanted::wanted;
use crate::config::{Faults, Values, platform, usable};

/// Makes a client.
///
/// # Errors
/// All faults of the configuration.
pub(super) fn connect(values: &mut Values) -> Result<Client, Faults> {
    let client = client(values);
    finish(values, client)
}

/// Makes a client, and describes the wanted setup.
///
/// # Errors
/// All faults of the configuration.
pub(super) fn prepare(values: &mut Values) -> Result<(Client, Wanted), Faults> {
    let client = client(values);
    let wanted = wanted(values)?;
    finish(values, client.zip(wanted))
}

fn client(values: &mut Values) -> Option<Client> {
    let options = platform(values)?;
    usable(values, Client::new(options))
}

fn finish<T>(values: &mut Values, value: Option<T>) -> Result<T, Faults> {
    values.check()?;
    // Without a value there is a fault, which was returned above.
    value.ok_or_else(|| values.faults())
}
