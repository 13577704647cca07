//! `kscen serve`: backups, restores and verifications over HTTP, as jobs that survive whatever ends the service.
//!
//! | file | what is in it |
//! |---|---|
//! | `service.rs` | what every part shares: settings, jobs, archives, clusters, tokens |
//! | `start.rs` | the service from its settings to its end |
//! | `listen.rs` | connections: TLS, limits, time limits |
//! | `http/` | the API: one file for each group of paths, problems, OpenAPI |
//! | `jobs/` | jobs, on disk and at work |
//! | `work/` | the kinds of jobs, a file each |
//! | `archives.rs`, `clusters.rs` | what may be named: archives below one root, environments |
//! | `tokens.rs`, `audit.rs`, `metrics.rs` | who may do what; who did what; figures for Prometheus |
