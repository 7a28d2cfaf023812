//! End-to-end tests: the program `batchtask` as a process of its own, asked
//! over HTTP, killed, stopped, and put on disks that fail.
//!
//! | room | what holds there |
//! |---|---|
//! | `example` | the documented example, from HTTP to disk and back, by both ways into a component |
//! | `outcomes` | every kind of request has one outcome, and every row of the table of outcomes is seen |
//! | `bodies` | odd bodies, each with its outcome, the same over HTTP and through `Intake` |
//! | `json_suite` | a public suite of JSON texts: none is mistaken for what it is not |
//! | `order` | tasks and histories do not depend on order and repetition |
//! | `kills` | what was acknowledged survives `kill -9` |
//! | `restarts` | a restart under pushes misses none of them |
//! | `signals` | what each signal does, and none loses a push |
//! | `listening` | addresses, paths, inherited sockets, proxies, a service manager |
//! | `stops` | a graceful stop loses nothing and breaks no answer |
//! | `journals` | mistakes of operators are noticed before the next 200; backup, restore, prune |
//! | `disks` | a journal that cannot be had, is full, or is locked: never a 200 |
//! | `admin` | alive, ready, counted; never on the public port |
//! | `alerts` | the alerts for Prometheus fire when they should, on metrics that are there from the start |
//! | `failures` | what goes wrong is counted by reason, and logged with the peer |
//! | `unread` | a log that nobody reads delays nothing |
//! | `faults` | calls that fail: an error for one request, and nothing lost |
//! | `limits` | beyond a limit the answer comes at once |
//! | `floods` | whatever strangers leave unfinished, genuine pushes get their 200, in bounded memory |
//! | `address_space` | little of it is reserved, and little is enough |
//! | `command_line` | other commands play the platform and read the host, for people and scripts |
//! | `logs` | no secret, and no control character of somebody else's |
//! | `pages` | who gets to see them, what is on them, where their links lead |
//! | `senders` | only proven senders get something in, and only proven readers something out |
//! | `readers` | readers never keep notifications waiting |
//! | `settings` | a bad setting stops the start, by name |
//! | `openapi` | answers are as the description of the API says, and nothing more |
//! | `browser` | people see their tasks, with and without JavaScript |
//! | `hostile` | text that would do harm reaches everybody unharmed and unharming |
//! | `pushes` | all of that under the platform's own rules for pushing |
//! | `slow` | who is slow costs nothing but their own connection |
//! | `soak` | a long load with everything beside it leaves memory and latency flat |
//! | `smuggling` | a request that two readers could understand differently is refused |
//! | `tls` | both versions, both protocols, any server name, client certificates, new certificates |
//! | `hosts` | one suite for every way into a receiver, on this host and on others |
//! | `support` | the host under test, a receiver in this process, a client, a ledger, and the platform's simulator |
//!
//! Nothing here has a fixed port, and nothing sleeps: tests wait for a line or
//! a state. Two variables make the long ones longer: see [`support::scale`].

mod address_space;
mod admin;
mod alerts;
mod bodies;
mod browser;
mod command_line;
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
mod logs;
mod openapi;
mod order;
mod outcomes;
mod pages;
mod pushes;
mod readers;
mod restarts;
mod senders;
mod settings;
mod signals;
mod slow;
mod smuggling;
mod soak;
mod stops;
mod support;
mod tls;
mod unread;
