//! Tests against real programs: the installed binary, a real Kafka, real containers.
#![allow(missing_docs)]

mod cluster;
mod docker;
mod interrupt;
mod jars;
mod local;
mod loss;
mod outcomes;
mod program;
mod remote;
mod undo;
