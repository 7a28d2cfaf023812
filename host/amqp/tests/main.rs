//! The client against real brokers.
//!
//! | module | what it tests |
//! |---|---|
//! | `delivery` | every message is stored before it is accepted, whatever its body is |
//! | `failures` | each failure has its own words and its own metric, and ends by itself |
//! | `rabbit` | the same with RabbitMQ, which is killed meanwhile |
//! | `support` | a client with an inbox in memory |
//! | `brokers` | the brokers |

#[allow(dead_code, reason = "the tests of the program use the rest")]
mod brokers;
mod delivery;
mod failures;
mod rabbit;
mod support;
