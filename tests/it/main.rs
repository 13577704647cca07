//! Tests against real programs: the installed binary, a real Kafka, real containers.
#![allow(missing_docs)]

mod baseline;
mod cdc;
mod check;
mod clean;
mod cluster;
mod docker;
mod editor;
mod goldens;
mod interrupt;
mod jars;
mod local;
mod loss;
mod means;
mod outcomes;
mod pipeline;
mod program;
mod remote;
mod schemas;
mod starting;
mod suites;
mod twins;
mod undo;
mod verbs;
