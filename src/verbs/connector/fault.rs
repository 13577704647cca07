//! Faults whose target is a connector.

use crate::environment::Action;
use crate::text::Problem;
use crate::verb::CheckContext;
use crate::verbs::fault::{Fault, Until};

impl Fault {
    /// Refuses what does not apply to connectors.
    pub(in crate::verbs) fn check_connector(&self, action: Action, cx: &mut CheckContext<'_>) {
        if self.service.is_some() || self.step.is_some() {
            cx.report(
                "/connector",
                Problem::new("two-targets", format!("`{action}` acts on one thing; give only one")),
            );
        }
        if matches!(action, Action::Kill | Action::Wipe) {
            cx.report(
                "/connector",
                Problem::new("not-for-connectors", format!("`{action}` does not apply to a connector"))
                    .help("a connector is code in the worker's process: use `kill: { service: connect }`"),
            );
        }
        if self.hold.is_some() && !matches!(action, Action::Pause | Action::Stop) {
            cx.report(
                "/for",
                Problem::new("nothing-to-undo", format!("`{action}` is not undone, so it cannot last `for` a time"))
                    .help(format!("use `{}` or `{}` with `for`", Action::Pause, Action::Stop)),
            );
        }
        if self.until != Until::Ready {
            cx.report("/until", Problem::new("does-not-apply", "a connector is waited for until its tasks run"));
        }
    }
}
