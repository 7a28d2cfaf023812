//! End-to-end tests: the program `batchtask` runs as a separate process, is called
//! over HTTP, is killed and stopped, and runs on disks that fail.
//!
//! | module | what it tests |
//! |---|---|
//! | `example` | the documented example, from HTTP to disk and back, through both entry points of a component |
//! | `outcomes` | every kind of request has one outcome, and every row of the table of outcomes occurs |
//! | `bodies` | unusual bodies, each with its outcome, the same over HTTP and through `Intake` |
//! | `json_suite` | a public suite of JSON texts: each one is accepted or refused correctly |
//! | `order` | tasks and histories do not depend on order and repetition |
//! | `kills` | acknowledged events survive `kill -9` |
//! | `restarts` | a restart under pushes misses none of them |
//! | `signals` | the effect of each signal; no signal loses a push |
//! | `listening` | addresses, paths, inherited sockets, proxies, a service manager |
//! | `stops` | a graceful stop loses nothing and breaks no answer |
//! | `journals` | mistakes of operators are detected before the next 200; backup, restore, prune |
//! | `shared` | several hosts on one PostgreSQL: kills, crashes, hangs; all read the same |
//! | `outages` | several hosts on one PostgreSQL: a cut network, a promoted standby, a full disk; a follower of four hosts |
//! | `balancers` | three hosts behind HAProxy: restarts, kills, and a host without its database |
//! | `copies` | `batchtask journal copy` between files and databases |
//! | `status` | `batchtask status` and `batchtask health`, their lines and exit codes |
//! | `disks` | a journal that cannot be opened, is full, or is locked never results in a 200 |
//! | `amqp` | messages of AMQP queues survive kills of everything, and one broken message stops nothing |
//! | `acme` | a certificate from a CA is obtained, used, renewed, and kept when the disk is full |
//! | `admin` | liveness, readiness and metrics, never on the public port |
//! | `alerts` | the alerts for Prometheus fire when they should, on metrics that exist from the start |
//! | `deploy` | the files in `deploy/`: validators, systemd and nginx accept and run them |
//! | `failures` | failures are counted by reason, and logged with the peer |
//! | `unread` | a log that is not read delays nothing |
//! | `faults` | failing system calls cause an error for one request, and no loss |
//! | `live` | the feed as a stream, compression, and pages of other sites |
//! | `limits` | beyond a limit, the answer comes at once |
//! | `floods` | unfinished requests of strangers do not prevent the 200 of genuine pushes, in bounded memory |
//! | `address_space` | little address space is reserved, and little is enough |
//! | `command_line` | the other commands simulate the platform and read the host, for people and scripts |
//! | `logs` | logs contain no secrets, and no control characters from others |
//! | `pages` | who may see the pages, what they contain, where their links lead |
//! | `senders` | only authenticated senders can store, and only authenticated readers can read |
//! | `readers` | readers never delay notifications |
//! | `platform` | the platform is set up until genuine pushes arrive, compared, and undone; its tasks |
//! | `configuration` | faults of a configuration, `batchtask check`, and reloading without a lost push |
//! | `settings` | an invalid setting stops the start, and the error names it |
//! | `openapi` | answers match the description of the API exactly |
//! | `browser` | people see their tasks, with and without JavaScript |
//! | `hostile` | dangerous text is passed on unchanged, and does no harm |
//! | `pushes` | the platform's own rules for pushing |
//! | `slow` | slow clients affect only their own connection |
//! | `soak` | memory and latency do not grow under a long mixed load |
//! | `sinks` | events are passed on at least once and in order, whatever happens to the host |
//! | `smuggling` | a request that two readers could understand differently is refused |
//! | `tls` | both versions, both protocols, any server name, client certificates, new certificates |
//! | `traces` | what a collector of traces gets; a collector that fails does no harm |
//! | `hosts` | the same suite for every entry point of a receiver, on this host and on others |
//! | `support` | the host under test, a receiver in this process, a client, a ledger, and the platform's simulator |
//!
//! The tests use no fixed ports, and wait for a line or a state instead of sleeping.
//! Variables make the long ones longer: see [`support::scale`].

mod acme;
mod address_space;
mod admin;
mod alerts;
mod amqp;
mod balancers;
mod bodies;
mod browser;
mod command_line;
mod configuration;
mod copies;
mod deploy;
mod disks;
mod example;
mod failures;
mod faults;
mod floods;
mod hostile;
mod hosts;
mod journals;
mod json_suite;
mod kills;
mod limits;
mod listening;
mod live;
mod logs;
mod openapi;
mod order;
mod outages;
mod outcomes;
mod pages;
mod platform;
mod pushes;
mod readers;
mod restarts;
mod senders;
mod settings;
mod shared;
mod signals;
mod sinks;
mod slow;
mod smuggling;
mod soak;
mod status;
mod stops;
mod support;
mod tls;
mod traces;
mod unread;
