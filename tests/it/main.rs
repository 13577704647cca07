//! Tests against real programs: the installed binary, a real Kafka, real containers.
#![allow(missing_docs)]

mod cdc;
mod docker;
mod local;
