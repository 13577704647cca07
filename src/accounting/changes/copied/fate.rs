//! What became of the changes of one row, by what the table shows of it.

use super::row::TableShows;
use super::{CopyLedger, SourceStep, of_step};
use crate::accounting::changes::reconciliation::RowClass;
use crate::accounting::changes::scope::Owed;
use crate::debezium::Form;

const EMPTIED: &str =
    "the table was truncated after it, and whether that comes is a setting of whoever writes the other one";
const MESSAGES: &str = "the messages of an outbox are no rows, and what a sink makes of them cannot be told";
const UNTOLD: &str = "the row was deleted, maybe before a snapshot could read it, and nobody takes deleted rows away; let the step of the \
                      source's connector wait until it streams (until: streaming)";
const OF_A_SNAPSHOT: &str =
    "the publication has the row no more, and a snapshot, which takes every row, may have read it";
const OF_ANOTHER: &str = "the table has the row as it never was, and its last change is another step's";

impl<'a> CopyLedger<'a> {
    /// One row of the source and what the table shows of it.
    pub(super) fn row(&mut self, key: &str, steps: &[SourceStep<'_>], shown: TableShows) {
        if let (TableShows::Nothing, Some(reason)) = (&shown, &self.untold) {
            for _ in steps.iter().filter(|step| step.claimed) {
                self.result.gap(Some(self.copy.source), reason, 1, 0);
            }
            return;
        }
        let duties: Vec<Owed> = steps.iter().map(|step| self.duty(step)).collect();
        let excused = |place: usize| matches!(duties[place], Owed::Excused(_));
        // What does not have to come leaves the row as the change before it did. A truncation may come, or not.
        let last = (0..steps.len()).rev().find(|place| !excused(*place) || steps[*place].emptied);
        let judged = (0..steps.len()).rev().find(|place| steps[*place].claimed && !excused(*place));
        for (place, step) in steps.iter().enumerate().filter(|(_, step)| step.claimed) {
            match &duties[place] {
                Owed::Excused(reason) => self.result.excuse(self.copy.source, step.change.op, reason),
                _ if judged == Some(place) => {}
                Owed::Barred(reason) => self.result.gap(Some(self.copy.source), reason, 1, 0),
                _ => self.contained(step),
            }
        }
        match judged {
            Some(place) if last == Some(place) => self.own(key, steps, place, &duties[place], shown),
            Some(place) => {
                // What came behind may have taken the row away, and another one's row may be on its way yet.
                let goes = |at: usize| steps[at].emptied || steps[at].deletes() && !excused(at);
                let gone = (place..steps.len()).any(goes);
                self.of_others(key, steps, place, &duties[place], shown, gone);
            }
            // Whatever the table shows is another's, or does not have to come.
            None => self.beside(shown, steps.last().is_some_and(|last| last.claimed)),
        }
    }

    /// The setting by which values of the table may be others than the source's.
    fn doubt(&self) -> Option<&'a str> {
        self.copy.may_change.or(self.copy.changes)
    }

    /// A row whose last change that has to come is the senders'.
    fn own(&mut self, key: &str, steps: &[SourceStep<'_>], place: usize, owed: &Owed, shown: TableShows) {
        let step = &steps[place];
        match shown {
            TableShows::State { place: state, compared, skipped } if state == place => {
                self.once(step, compared, skipped)
            }
            TableShows::Nothing if step.deletes() => self.gone(key, step, owed),
            TableShows::Nothing if self.may_be_untold(&steps[place + 1..]) => {
                self.result.gap(Some(self.copy.source), UNTOLD, 1, 0);
            }
            TableShows::Nothing => self.missing(key, step, owed, "the table has no such row"),
            // A snapshot, which takes every row, has read it after the change.
            TableShows::Hidden(state) if state >= place => {
                self.result.sheet.beside += 1;
                self.contained(step);
            }
            // It has the row of before, or that of a snapshot of which not all is compared.
            _ if step.published.is_some() && step.deletes() && !self.has_streamed(step) => {
                self.result.gap(Some(self.copy.source), OF_A_SNAPSHOT, 1, 1);
            }
            TableShows::Never(_) | TableShows::Before if self.doubt().is_some() && !step.deletes() => {
                let reason = self.doubt().unwrap_or_default();
                self.result.gap(Some(self.copy.source), reason, 1, 1);
            }
            TableShows::Never(difference) if !step.deletes() => self.damaged(step, &difference),
            shown => {
                self.result.sheet.beside += 1;
                let detail =
                    if step.deletes() { "the table still has the row".to_owned() } else { as_left(steps, &shown) };
                self.missing(key, step, owed, &detail);
            }
        }
    }

    /// A row whose last change is another's: the senders' last one has to be in it. `gone`: the other one may have taken the row away.
    fn of_others(
        &mut self,
        key: &str,
        steps: &[SourceStep<'_>],
        place: usize,
        owed: &Owed,
        shown: TableShows,
        gone: bool,
    ) {
        let step = &steps[place];
        let unknown = match shown {
            TableShows::Never(_) => Some(OF_ANOTHER),
            TableShows::Before => self.doubt(),
            _ => None,
        };
        if let Some(reason) = unknown {
            self.result.gap(Some(self.copy.source), reason, 1, 1);
            return;
        }
        let detail = as_left(steps, &shown);
        match shown {
            TableShows::Nothing if gone => self.gone(key, step, owed),
            TableShows::State { place: state, .. } | TableShows::Hidden(state) if state >= place => {
                self.beside(shown, false);
                match owed {
                    Owed::Barred(reason) => self.result.gap(Some(self.copy.source), reason, 1, 0),
                    _ => self.contained(step),
                }
            }
            shown => {
                self.beside(shown, false);
                self.missing(key, step, owed, &detail);
            }
        }
    }

    /// A row of the table that no change of the senders has to have left; `own`: their changes do not have to come.
    fn beside(&mut self, shown: TableShows, own: bool) {
        match shown {
            TableShows::Nothing => {}
            _ if own => self.result.sheet.beside += 1,
            _ => {
                self.result.sheet.foreign += 1;
                self.result.foreign += 1;
            }
        }
    }

    /// The table has not the row, and is not to have it. Before everything has come it may not have had it yet.
    fn gone(&mut self, key: &str, step: &SourceStep<'_>, owed: &Owed) {
        match owed {
            // Who may keep deleted rows did not keep this one, and who may drop rows has left none.
            Owed::Perhaps(reason) if ![self.copy.may_keep_deleted, self.copy.may_drop].contains(&Some(&**reason)) => {
                self.result.gap(Some(self.copy.source), reason, 1, 0);
            }
            Owed::Barred(reason) => self.result.gap(Some(self.copy.source), reason, 1, 0),
            _ if self.copy.passed => self.contained(step),
            _ => self.missing(key, step, &Owed::Yes, "the table has no such row, and may not have had it yet"),
        }
    }

    /// Whether a delete that nobody applies may have been committed before a snapshot read the table.
    fn may_be_untold(&self, behind: &[SourceStep<'_>]) -> bool {
        self.copy.passed && behind.iter().any(|step| step.deletes() && !self.has_streamed(step))
    }

    /// Whether the connector streamed when the change was committed.
    fn has_streamed(&self, step: &SourceStep<'_>) -> bool {
        self.copy.connector.streaming_from.is_some_and(|from| step.transaction.commit_lsn >= from)
    }

    /// What a connector owes of it, and whoever writes the table.
    fn duty(&self, step: &SourceStep<'_>) -> Owed {
        if step.emptied {
            return Owed::Excused(EMPTIED.into());
        }
        if let Some(setting) = self.copy.keeps_deleted.filter(|_| step.deletes()) {
            return Owed::Excused(setting.into());
        }
        if matches!(self.scope.rules.form(), Form::Outbox(_)) {
            return Owed::Barred(MESSAGES.into());
        }
        let setting = self.copy.may_keep_deleted.filter(|_| step.deletes()).or(self.copy.may_drop);
        match (self.scope.owed(step.transaction.xid, step.change), setting) {
            (Owed::Yes, Some(setting)) => Owed::Perhaps(setting.into()),
            (owed, _) => owed,
        }
    }

    fn once(&mut self, step: &SourceStep<'_>, compared: u32, skipped: Vec<(String, String)>) {
        self.result.sheet.once += 1;
        self.result.sheet.owed += 1;
        self.result.values_compared += u64::from(compared);
        for (column, reason) in skipped {
            self.result.skip_value(self.copy.source, &column, &reason);
        }
        self.result.expected.add(step.change.op);
        self.result.delivered.add(step.change.op);
    }

    /// What came later contains it.
    fn contained(&mut self, step: &SourceStep<'_>) {
        self.result.sheet.superseded += 1;
        self.result.covered_by_snapshot += 1;
        self.result.expected.add(step.change.op);
    }

    fn missing(&mut self, key: &str, step: &SourceStep<'_>, owed: &Owed, detail: &str) {
        if let Owed::Perhaps(reason) | Owed::Barred(reason) = owed {
            self.result.gap(Some(self.copy.source), reason, 1, 0);
            return;
        }
        let class = if self.copy.passed { RowClass::Lost } else { RowClass::Unread };
        if self.copy.passed {
            self.result.sheet.lost += 1;
            self.lost.insert(key.to_owned());
        } else {
            self.result.sheet.unread += 1;
        }
        self.result.expected.add(step.change.op);
        let samples = self.expectation.samples;
        self.result.note(samples, class, || of_step(step, class, detail));
    }

    fn damaged(&mut self, step: &SourceStep<'_>, difference: &str) {
        let early = self.expectation.blind.changes_before.get(&step.change.relation.name);
        if early.is_some_and(|before| step.change.lsn < *before) {
            let reason = "its rows were changed in the moment in which it was created; create it in a step of its own";
            self.result.gap(Some(self.copy.source), reason, 1, 1);
            return;
        }
        self.result.sheet.damaged += 1;
        self.result.sheet.corrupted += 1;
        self.result.expected.add(step.change.op);
        self.result.delivered.add(step.change.op);
        let class = RowClass::WrongContent;
        self.result.note(self.expectation.samples, class, || of_step(step, class, difference));
    }
}

/// What the table shows of a row, in words, where it is not what it has to show.
fn as_left(steps: &[SourceStep<'_>], shown: &TableShows) -> String {
    match shown {
        TableShows::Nothing => "the table has no such row".to_owned(),
        TableShows::State { place, .. } | TableShows::Hidden(place) => {
            format!("the table has the row as the change at {} left it", steps[*place].change.lsn)
        }
        TableShows::Before | TableShows::Never(_) => {
            "the table has the row as no change of the account left it".to_owned()
        }
    }
}
