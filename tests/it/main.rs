//! Tests against real programs: the installed binary, a real Kafka.
#![allow(missing_docs)]

mod local;
