//! What is wrong with an input, and where: the one form that loading, checking, planning and running share.

mod problem;
mod render;
mod similar;
mod told;

pub use problem::{Place, Problem};
pub use render::{for_terminal, harmless, harmless_json, render};
pub use similar::did_you_mean;
pub use told::{covered, redacted, told, withheld};
