//! What goes wrong on a scripted environment, and when.

use crate::environment::EnvironmentError;
use std::time::Duration;

/// How long a service takes until it is ready, once its process runs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Boot {
    /// This long.
    After(Duration),
    /// It runs and never answers.
    Never,
    /// It ends by itself after this long.
    Dies(Duration),
}

/// What a call does instead of what was asked for.
#[derive(Clone, Debug)]
pub(crate) enum Reaction {
    /// Refuses, and changes nothing.
    Fails(EnvironmentError),
    /// Changes nothing and says so.
    NoEffect,
    /// Takes this long, and then does it.
    Takes(Duration),
    /// Never answers, and changes nothing.
    Hangs,
    /// The service ends after this long, also where whoever asked for it has left; what is asked for later waits for that.
    GoesOn(Duration),
}

/// A reaction to a call, such as `resume kafka-1`.
#[derive(Clone, Debug)]
struct Line {
    call: String,
    reaction: Reaction,
    /// How many times more.
    times: u32,
}

/// What is going to go wrong, in order.
#[derive(Debug, Default)]
pub(super) struct Script(Vec<Line>);

impl Script {
    /// The next `times` calls get this reaction.
    pub(super) fn add(&mut self, call: &str, times: u32, reaction: Reaction) {
        self.0.push(Line { call: call.to_owned(), reaction, times });
    }

    /// What this call does, where it is scripted.
    pub(super) fn next(&mut self, call: &str) -> Option<Reaction> {
        let line = self.0.iter_mut().find(|line| line.times > 0 && line.call == call)?;
        line.times -= 1;
        Some(line.reaction.clone())
    }
}
