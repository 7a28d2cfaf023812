//! Tests with real servers. They need PostgreSQL 13 or later; without it, each test
//! prints `skipped` and passes.
//!
//! | module | content |
//! |---|---|
//! | `conformance` | the suite that every journal passes |
//! | `hosts` | several hosts write one journal |
//! | `model` | random entries have the same effect as in memory |
//! | `outages` | the database, or the link to it, fails |
//! | `locks` | a host stops in the middle of a commit |
//! | `standby` | a synchronous standby |
//! | `steps` | the flags of steps are those of the guest |
//! | `refusals` | databases that cannot be a journal |
//! | `tls` | TLS to the server |
//! | `rates` | how fast several hosts answer |
//! | `pooler` | a connection pooler before the server |
//! | `support` | starts servers and opens journals |

mod conformance;
mod hosts;
mod locks;
mod model;
mod outages;
mod pooler;
mod rates;
mod refusals;
mod standby;
mod steps;
mod support;
mod tls;
