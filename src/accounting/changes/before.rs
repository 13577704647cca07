//! Flattened rows of before their connector streamed: a snapshot shows the last state of each, and nothing of those that were gone by then.

use super::flat::Histories;
use super::ledger::{ChangeLedger, ConnectorLane};
use super::scope::Owed;
use crate::database::RowOp;
use crate::debezium::Flat;
use std::sync::Arc;

impl ChangeLedger<'_> {
    /// What was committed before the connector streamed was read by its snapshot, if the row came later in whatever state.
    pub(super) fn cover_before(&mut self, lane: usize, histories: &Histories<'_>) {
        let Some(streaming) = self.expectation.connectors[lane].streaming_from else { return };
        let lane = &mut self.lanes[lane];
        for history in histories.values() {
            let before =
                history.entries.partition_point(|index| lane.entries[*index].transaction.commit_lsn < streaming);
            let shown = history.entries.iter().rposition(|index| lane.entries[*index].has_arrived());
            let gone = before > 0 && lane.entries[history.entries[before - 1]].change.op == RowOp::Delete;
            let until = if gone { before } else { before.min(shown.unwrap_or(0)) };
            for index in &history.entries[..until] {
                lane.cover(*index);
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
        for history in histories.values() {
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
    /// The changes of a row, in order, that a snapshot of it may stand for.
    fn before_a_snapshot(&self, history: &[usize], flat: &Flat, calm: bool) -> Vec<usize> {
        let has_arrived = |index: &usize| self.entries[*index].has_arrived();
        // Records that say what was done to the row say which of them are of a snapshot.
        let told = flat.op.is_some();
        // One that was taken at the beginning is before everything that was streamed; after a disturbance there may be another.
        let first = history.iter().position(has_arrived);
        let shown = if calm { first } else { history.iter().rposition(has_arrived) };
        let until = match (shown, history.last()) {
            (Some(shown), _) if !told => shown,
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
    use crate::accounting::changes::flat_tests::{FlatWorld, settled};

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

    #[test]
    fn what_is_missing_behind_what_was_streamed_is_lost() {
        let mut world = FlatWorld::default();
        let told = [("transforms.u.add.fields", "op,source.lsn")];
        world.insert(1, "v1");
        world.row(1, "v1", Some("c"));
        world.insert(2, "w");
        world.delete(2);
        world.update(1, "v2");
        world.update(1, "v3");
        world.row(1, "v3", Some("u"));
        let result = settled(&world, &told);
        assert_eq!((result.lost, result.sheet.unjudged, result.sheet.once), (3, 0, 2), "{result:?}");
    }
}
