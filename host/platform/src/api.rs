//! The calls of the application API, and their types.
//!
//! | module | resource |
//! |---|---|
//! | [`rules`] | rules: which notifications are forwarded |
//! | [`actions`] | actions: where a rule forwards them |
//! | [`certificates`] | authorities of receivers' and devices' certificates |
//! | [`queues`] | AMQP queues, and the access code for them |
//! | [`policies`] | the backlog policy and the flow-control policies |
//! | [`tasks`] | batch tasks and their devices |
//! | [`applications`] | resource spaces |
//!
//! A member that the platform leaves out, or sends as `null`, is `None` or empty.

pub mod actions;
pub mod applications;
pub mod certificates;
pub mod policies;
pub mod queues;
pub mod rules;
pub mod tasks;
