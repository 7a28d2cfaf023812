//! Certificates from a real CA, Pebble.
//!
//! | module | what it tests |
//! |---|---|
//! | `orders` | the first certificate, its renewal, restarts, accounts |
//! | `failures` | what fails is explained, harms nothing, and is tried again in time |
//! | `dns` | certificates by DNS records, which a program sets |
//! | `hosts` | several hosts share a certificate |
//! | `schedules` | random schedules keep the limits of the CA |
//! | `front` | a server in front of the CA, with what Pebble lacks |
//! | `support` | a manager, and a server that answers challenges |
//! | `pebble` | the CA |

mod dns;
mod failures;
mod front;
mod hosts;
mod orders;
#[allow(dead_code, reason = "the tests of the program use the rest")]
mod pebble;
mod schedules;
mod support;
