//! Tests against real programs: the installed binary, a real Kafka, real containers.
#![allow(missing_docs)]

mod check;
mod clean;
mod docker;
mod editor;
mod goldens;
mod interrupt;
mod local;
mod pipeline;
mod program;
mod schemas;
mod suites;
mod twins;
mod verbs;
