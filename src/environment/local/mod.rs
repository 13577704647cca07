//! Real Kafka, Connect and PostgreSQL as supervised child processes of kscen.
//!
//! ```text
//! LocalConfig + Needs → version, Java, jars → Cluster (ids, ports, settings) → Service* → LocalStack
//! ```
//!
//! Linux only: it relies on parent-death signals and `/proc`.

mod archives;
mod attached;
mod broker;
mod cache;
mod cds;
mod cluster;
mod config;
mod connect;
mod environment;
mod fetch;
mod format;
mod info;
mod jars;
mod java;
mod jvm;
mod kind;
mod logs;
mod maven;
mod mounts;
mod network;
mod offer;
mod pinned;
mod ports;
mod postgres;
mod process;
mod procfs;
mod properties;
mod proxy;
mod readiness;
mod reaper;
mod remedy;
mod service;
mod shape;
mod spawner;
mod stack;
mod supervisor;
mod usage;
mod version;
mod wire;

pub use attached::Attached;
pub use config::{Jvm, LocalConfig, Timeouts};
pub(crate) use process::ProcessLife;
pub(crate) use spawner::Launch;
pub use stack::LocalStack;
pub use supervisor::supervise;
