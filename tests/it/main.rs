//! Tests against real programs: the installed binary, a real Kafka, real containers.
#![allow(missing_docs)]

mod check;
mod docker;
mod editor;
mod goldens;
mod local;
mod schemas;
mod starting;
mod suites;
mod verbs;
