//! `kscen serve`: backups, restores, verifications, migrations and drains over HTTP, as jobs that survive whatever ends the service.
//!
//! | file | what is in it |
//! |---|---|
//! | `start.rs` | the service from its settings to its end |
//! | `service.rs` | what every part shares |
//! | `listen.rs`, `unread.rs` | connections: TLS, how many, how slow; requests that cannot be read |
//! | `http/` | the API |
//! | `jobs/` | jobs, on disk and at work |
//! | `work/` | the kinds of jobs, a file each |
//! | `schedule/` | backups at set times |
//! | `page/` | the page for people |
//! | `archives.rs`, `verified.rs`, `age.rs`, `clusters.rs` | what may be named: archives below one root, environments |
//! | `state.rs` | documents that are whole and synced; damaged ones set aside |
//! | `tokens.rs`, `audit.rs`, `asked_by.rs`, `metrics.rs`, `exported.rs`, `problem.rs` | who may do what; who did what; figures, and all of them; what is refused, and why |

mod age;
mod archives;
#[cfg(test)]
mod archives_tests;
mod aside;
mod asked_by;
mod audit;
#[cfg(test)]
mod bench;
mod clusters;
mod exported;
mod http;
mod jobs;
mod listen;
#[cfg(test)]
mod listen_tests;
mod metrics;
mod page;
mod problem;
mod schedule;
mod service;
mod start;
mod state;
mod tokens;
mod unread;
mod verified;
mod work;

pub use start::Serving;
pub use tokens::{NewToken, TokenScope};
