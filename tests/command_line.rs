//! The commands that simulate the platform and read a receiver, as a user runs them.

mod export;
mod manual;
mod network;
mod quarantine;
mod read;
mod send;
mod tail;
mod terminal;
mod wait;

use std::net::SocketAddr;

use crate::support::program::{Ended, Program};

/// An address on which no program listens.
const NOWHERE: &str = "127.0.0.1:0";

/// Runs a command line, split at spaces, against a receiver.
fn run(address: SocketAddr, line: &str) -> Ended {
    Program::new(line.split(' ')).at(address).run()
}
