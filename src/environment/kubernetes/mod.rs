//! Pods of somebody's Kubernetes cluster, through its API.
//!
//! kscen neither deploys nor removes anything; it finds the pods by label, disturbs what runs in them, proves each disturbance by
//! what it sees inside of the container or by what the API says of the pod, and can repair what it did from a recipe even when the
//! process that did it is gone.

mod access;
mod action;
mod attach;
mod book;
mod claim;
mod cluster;
mod config;
mod hold;
mod job;
mod kind;
mod logs;
mod member;
mod own;
mod pod;
mod pods;
mod readiness;
mod recipe;
mod script;
mod shell;
mod stack;
mod strimzi;
mod usage;
mod volumes;

pub use config::KubernetesConfig;
pub(crate) use job::PlacedJob;
pub use job::{JobTrace, WorkerJobConfig};
