//! Tests against real programs: the installed binary, a real Kafka, real containers.
#![allow(missing_docs)]

mod docker;
mod interrupt;
mod local;
mod program;
mod suites;
