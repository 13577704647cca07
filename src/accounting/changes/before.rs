//! Flattened rows of before their connector streamed: a snapshot shows the last state of each, and nothing of those that were gone by then.

use super::flat::Histories;
use super::ledger::{ChangeFate, ChangeLedger, ConnectorLane};
use super::scope::Owed;
use crate::database::{Lsn, RowOp};
use crate::debezium::Flat;
use std::sync::Arc;

impl ChangeLedger<'_> {
    /// What was committed before the connector streamed was read by its snapshot, if the row came later in whatever state. A step knows only
    /// afterwards that it streams: what records say of the beginning is nearer to it.
    pub(super) fn cover_before(&mut self, lane: usize, flat: &Flat, histories: &Histories<'_>) {
        let Some(streaming) = self.expectation.connectors[lane].streaming_from else { return };
        let reason: Arc<str> = format!(
            "it was committed while its connector began, and a snapshot may stand for it: set transforms.{}.add.fields to op,source.lsn, or \
             change rows only once the connector streams",
            flat.transform
        )
        .into();
        let lane = &mut self.lanes[lane];
        let placed = lane.first_placed.map(|index| lane.entries[index].transaction.commit_lsn);
        let border = placed.into_iter().chain(lane.shown_at).fold(streaming, Lsn::min);
        // Rows of the snapshot say where it was.
        let sure = lane.made_at.filter(|_| lane.shown_at.is_none()).map_or(border, |made_at| made_at.min(border));
        for history in histories.all() {
            let covered = lane.stood_for(&history.entries, sure);
            let doubtful = lane.stood_for(&history.entries, border).max(covered);
            for index in &history.entries[..covered] {
                lane.cover(*index);
            }
            for index in &history.entries[covered..doubtful] {
                let entry = &mut lane.entries[*index];
                if entry.owed == Owed::Yes && !entry.has_arrived() {
                    entry.owed = Owed::Perhaps(Arc::clone(&reason));
                }
            }
        }
    }

    /// Where nobody knows when the connector began to stream, a row of its snapshot stands for changes before it, and a row that was gone by
    /// then is in no snapshot.
    pub(super) fn doubt_before(&mut self, lane: usize, flat: &Flat, histories: &Histories<'_>) {
        if self.expectation.connectors[lane].streaming_from.is_some() {
            return;
        }
        let reason: Arc<str> = format!(
            "a snapshot may stand for it: set transforms.{}.add.fields to op,source.lsn, and let the step of the connector wait until it \
             streams (until: streaming)",
            flat.transform
        )
        .into();
        let calm = self.expectation.calm;
        let lane = &mut self.lanes[lane];
        for history in histories.all() {
            for index in lane.before_a_snapshot(&history.entries, flat, calm) {
                let entry = &mut lane.entries[index];
                if entry.owed == Owed::Yes && !entry.has_arrived() {
                    entry.owed = Owed::Perhaps(Arc::clone(&reason));
                }
            }
        }
    }
}

impl ConnectorLane<'_> {
    /// A snapshot has read a row at that position. Another one of its prefix may have taken one before, and it takes others while it streams.
    pub(super) fn has_shown(&mut self, at: Option<Lsn>) {
        let (Some(made_at), Some(streaming)) = (self.made_at, self.streaming_from) else { return };
        self.shown_at = self.shown_at.max(at.filter(|at| (made_at..=streaming).contains(at)));
    }

    /// A record told the position of a change. Before this connector was made another one of its prefix has streamed.
    pub(super) fn has_placed(&mut self, index: usize) {
        let commit_lsn = self.entries[index].transaction.commit_lsn;
        if self.made_at.is_some_and(|made_at| commit_lsn >= made_at) {
            self.first_placed = Some(self.first_placed.map_or(index, |first| first.min(index)));
        }
    }

    /// How many of the changes of a row, in order, a snapshot stands for that was taken at a position.
    fn stood_for(&self, history: &[usize], position: Lsn) -> usize {
        let before = history.partition_point(|index| self.entries[*index].transaction.commit_lsn < position);
        let shown = history.iter().rposition(|index| self.entries[*index].has_arrived());
        let Some(last) = history[..before].last().map(|last| self.entries[*last].change) else { return 0 };
        // A row that is shown as it was then may have been so before, and is taken for the earlier change.
        let is_so =
            |index: &usize| self.entries[*index].has_arrived() && self.entries[*index].change.after == last.after;
        if last.op == RowOp::Delete || history[..before].iter().any(is_so) {
            before
        } else {
            before.min(shown.unwrap_or(0))
        }
    }

    /// Behind a change that a snapshot may have shown, or behind the last one that left the row so again before another one came.
    fn as_shown(&self, history: &[usize], shown: usize) -> usize {
        let (after, behind) = (&self.entries[history[shown]].change.after, &history[shown + 1..]);
        let came = behind.iter().position(|index| self.entries[*index].has_arrived()).unwrap_or(behind.len());
        let is_so = |index: &usize| after.is_some() && self.entries[*index].change.after == *after;
        behind[..came].iter().rposition(is_so).map_or(shown, |again| shown + 2 + again)
    }

    /// The changes of a row, in order, that a snapshot of it may stand for.
    fn before_a_snapshot(&self, history: &[usize], flat: &Flat, calm: bool) -> Vec<usize> {
        let has_arrived = |index: &usize| self.entries[*index].has_arrived();
        // Records that say what was done to the row say which of them are of a snapshot.
        let told = flat.op.is_some();
        // One that was taken at the beginning is before everything that was streamed; after a disturbance there may be another.
        let first = history.iter().position(has_arrived);
        let shown = if calm { first } else { history.iter().rposition(has_arrived) };
        let until = match (shown, history.last()) {
            (Some(shown), _) if !told || self.entries[history[shown]].fate == ChangeFate::Covered => {
                self.as_shown(history, shown)
            }
            (Some(_), _) | (None, None) => 0,
            (None, Some(last)) if self.entries[*last].change.op == RowOp::Delete => history.len(),
            (None, Some(_)) if told => 0,
            (None, Some(_)) => history.len() - 1,
        };
        let streamed = self.first_streamed.filter(|_| told);
        history[..until].iter().copied().filter(|index| streamed.is_none_or(|first| *index < first)).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::accounting::changes::flat_tests::{FlatWorld, settled, settled_from};
    use crate::database::Lsn;

    #[test]
    fn a_flattened_snapshot_may_stand_for_what_came_before() {
        let mut world = FlatWorld::default();
        world.insert(1, "v1");
        world.update(1, "v2");
        world.row(1, "v2", None);
        let figures = |world: &FlatWorld| {
            let result = settled(world, &[]);
            (result.lost, result.sheet.unjudged, result.sheet.once)
        };
        assert_eq!(figures(&world), (0, 1, 1));
        // Gone before a snapshot could see it.
        world.insert(2, "w");
        world.delete(2);
        assert_eq!(figures(&world), (0, 3, 1));
        // Whatever a snapshot did not stand for, the last state of a row has to come.
        world.insert(3, "x1");
        world.update(3, "x2");
        assert_eq!(figures(&world), (1, 4, 1));
    }

    const TOLD: [(&str, &str); 1] = [("transforms.u.add.fields", "op,source.lsn")];

    /// Lost, covered and not judged, where a step said that its connector streamed, and where it was before.
    fn figures(world: &FlatWorld, settings: &[(&str, &str)], made_at: Option<u64>) -> [u64; 3] {
        let result = settled_from(world, settings, Some(Lsn(2000)), made_at.map(Lsn));
        [result.lost, result.covered_by_snapshot, result.sheet.unjudged]
    }

    #[test]
    fn what_had_to_be_streamed_before_a_step_knew_that_it_was_is_lost() {
        let mut world = FlatWorld::default();
        world.insert(1, "v1");
        world.row(1, "v1", Some("c"));
        world.insert(2, "w");
        world.delete(2);
        assert_eq!(figures(&world, &TOLD, Some(900)), [2, 0, 0]);
        // The one that was streamed was another one's, of the same prefix.
        assert_eq!(figures(&world, &TOLD, Some(1100)), [0, 2, 0]);
        // Rows of a snapshot say where it was.
        let mut world = FlatWorld::default();
        world.insert(1, "v1");
        world.insert(2, "w");
        world.row(1, "v1", Some("r"));
        world.delete(2);
        assert_eq!(figures(&world, &TOLD, Some(900)), [2, 1, 0]);
    }

    #[test]
    fn what_was_committed_while_a_connector_began_is_not_judged_where_nothing_says_when() {
        let mut world = FlatWorld::default();
        world.insert(2, "w");
        world.delete(2);
        assert_eq!(figures(&world, &TOLD, Some(900)), [0, 0, 2]);
        assert_eq!(figures(&world, &TOLD, Some(1500)), [0, 2, 0]);
        let mut world = FlatWorld::default();
        world.insert(1, "v1");
        world.update(1, "v2");
        world.row(1, "v2", None);
        assert_eq!(figures(&world, &[], Some(900)), [0, 0, 1]);
        assert_eq!(figures(&world, &[], Some(1010)), [0, 1, 0]);
    }

    /// A snapshot shows it once, and as it was at first.
    #[test]
    fn a_row_that_was_changed_back_before_its_snapshot_is_not_lost() {
        let world = |op: Option<&str>| {
            let mut world = FlatWorld::default();
            world.insert(1, "v1");
            world.update(1, "v2");
            world.update(1, "v1");
            world.row(1, "v1", op);
            world
        };
        assert_eq!(figures(&world(None), &[], Some(1100)), [0, 2, 0]);
        assert_eq!(figures(&world(Some("r")), &TOLD, Some(1100)), [0, 3, 0]);
        assert_eq!(figures(&world(None), &[], Some(1010)), [0, 0, 2]);
        // Where nobody knows when the connector began.
        let unknown = |op: Option<&str>, settings: &[(&str, &str)]| {
            let result = settled(&world(op), settings);
            [result.lost, result.covered_by_snapshot, result.sheet.unjudged]
        };
        assert_eq!(unknown(None, &[]), [0, 0, 2]);
        assert_eq!(unknown(Some("r"), &TOLD), [0, 3, 0]);
        let told = [("transforms.u.add.fields", "op")];
        assert_eq!(unknown(Some("r"), &told), [0, 1, 2]);
        // Behind a snapshot that says where it was it is lost.
        let mut behind = FlatWorld::default();
        behind.insert(1, "v1");
        behind.row(1, "v1", Some("r"));
        behind.update(1, "v2");
        behind.update(1, "v1");
        assert_eq!(figures(&behind, &TOLD, Some(900)), [2, 1, 0]);
        // Another state was not shown.
        let mut other = world(None);
        other.update(1, "v3");
        assert_eq!(figures(&other, &[], Some(1100)), [3, 0, 0]);
    }

    #[test]
    fn what_is_missing_behind_what_was_streamed_is_lost() {
        let mut world = FlatWorld::default();
        world.insert(1, "v1");
        world.row(1, "v1", Some("c"));
        world.insert(2, "w");
        world.delete(2);
        world.update(1, "v2");
        world.update(1, "v3");
        world.row(1, "v3", Some("u"));
        let result = settled(&world, &TOLD);
        assert_eq!((result.lost, result.sheet.unjudged, result.sheet.once), (3, 0, 2), "{result:?}");
    }
}
