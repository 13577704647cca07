//! Containers of the user's own compose project, through the Docker Engine API.
//!
//! kscen neither starts nor removes the stack; it finds the containers by their compose labels, disturbs them, proves
//! that each disturbance was real by what the engine says about it, and can repair what it did from a
//! [`HealRecipe`] even when the process that did it is gone.

mod action;
mod address;
mod attach;
mod config;
mod container;
mod cuts;
mod data;
mod disk;
mod engine;
mod erasure;
mod freezer;
mod kind;
mod layout;
mod logs;
mod membership;
mod network;
mod own;
mod project;
mod readiness;
mod recipe;
mod recreate;
mod roles;
mod stack;
mod usage;
mod watch;

pub use config::DockerConfig;
pub use recipe::{HealRecipe, heal_from};
pub use stack::DockerStack;
