//! The checked configuration of the AMQP channel.

use std::fs;

use batchtask_amqp::{Credentials, Options};

use super::options::{
    AMQP_ACCESS_CODE, AMQP_ACCESS_KEY, AMQP_CA, AMQP_INSTANCE_ID, AMQP_MEMORY_MIB, AMQP_MESSAGES,
    AMQP_QUEUES, AMQP_URL, how_to_set,
};
use super::values::Values;

/// The AMQP channel of a host.
#[derive(Clone)]
pub(crate) struct Amqp {
    pub(crate) options: Options,
    pub(crate) credentials: Credentials,
}

/// Checks the options of AMQP. Returns `None` if there is no URL, or a fault.
pub(crate) fn amqp(values: &mut Values) -> Option<Amqp> {
    let broker = values.value(&AMQP_URL);
    let access_key = values.value(&AMQP_ACCESS_KEY);
    let access_codes = values.value(&AMQP_ACCESS_CODE);
    let instance_id = values.value(&AMQP_INSTANCE_ID);
    let queues = values.value(&AMQP_QUEUES);
    let messages = values.value(&AMQP_MESSAGES);
    let memory_mib = values.value(&AMQP_MEMORY_MIB);
    values.text(AMQP_URL.name)?;
    for name in [AMQP_ACCESS_KEY.name, AMQP_ACCESS_CODE.name] {
        if values.text(name).is_none() {
            values.refuse(name, how_to_set(name));
        }
    }
    let mut options = Options::new(broker?);
    options.authorities = authorities(values);
    options.instance_id = instance_id;
    options.queues = queues;
    options.messages = messages;
    options.memory_bytes = (memory_mib as usize) << 20;
    if let Err(error) = options.check() {
        values.refuse(AMQP_CA.name, format!("cannot be used: {}", error.reason));
    }
    let access_key = access_key?;
    Some(Amqp {
        options,
        credentials: Credentials {
            access_key,
            access_codes,
        },
    })
}

fn authorities(values: &mut Values) -> Option<Vec<u8>> {
    let path = values.value(&AMQP_CA)?;
    let read = fs::read(&path);
    let refuse = |error: &_| {
        let problem = format!("cannot be read: `{}`: {error}", path.display());
        values.refuse(AMQP_CA.name, problem);
    };
    read.inspect_err(refuse).ok()
}
