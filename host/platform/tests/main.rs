//! Tests of the client against a platform in memory, which listens on a real
//! socket. The recorded requests of the vendor's SDK are in `fixtures/`.
//!
//! | module | content |
//! |---|---|
//! | `fake` | the platform in memory |
//! | `support` | clients of it, and the recorded requests |
//! | `signatures` | every recorded signature is reproduced |
//! | `requests` | each call equals the recorded one |
//! | `calls` | the calls against the platform |
//! | `setup` | setup, status and removal, interrupted anywhere |
//! | `sdk` | the vendor's own SDK drives the platform in memory |
//! | `reconcile` | the search for lost changes, simulated |
//! | `failures` | every failure has one clear message |

mod calls;
mod failures;
mod fake;
mod reconcile;
mod requests;
mod sdk;
mod setup;
mod signatures;
mod support;
