//! A row of a table beside the states that the row had in the database that it came from.

use super::super::scope::ConnectorScope;
use super::SourceStep;
use crate::database::{Column, ColumnValue, Relation, RowOp, TableRows};
use crate::debezium::{Agreement, are_of_one_kind, canonical_text, compare_cells, may_be_filled};
use std::collections::{HashMap, HashSet};

/// What a table shows of a row.
pub(super) enum TableShows {
    /// Nothing.
    Nothing,
    /// What a change left.
    State {
        /// The place of the change in the row's history.
        place: usize,
        /// How many values were compared.
        compared: u32,
        /// Those that were not, with the reason.
        skipped: Vec<(String, String)>,
    },
    /// What a change left that its publication does not have, by its place: a snapshot has read it.
    Hidden(usize),
    /// The row as it may have been before the account began.
    Before,
    /// No state that the row ever had: how it differs from the last one.
    Never(String),
}

/// The columns of a table by name.
pub(super) struct TableColumns {
    places: HashMap<String, usize>,
    /// The same where nothing else has that name in lower case.
    folded: HashMap<String, usize>,
}

impl TableColumns {
    pub(super) fn of(rows: &TableRows) -> Self {
        let names = || rows.columns.iter().enumerate();
        Self {
            places: names().map(|(place, column)| (column.name.clone(), place)).collect(),
            folded: names().map(|(place, column)| (column.name.to_lowercase(), place)).collect(),
        }
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.places.get(name).or_else(|| self.folded.get(&name.to_lowercase())).copied()
    }

    /// The key of a row in the form of the source's, by the columns of the source that give one that is `known`, else by the first.
    pub(super) fn key(
        &self,
        scope: &ConnectorScope<'_>,
        rows: &TableRows,
        row: &[ColumnValue],
        relations: &[&Relation],
        known: &dyn Fn(&String) -> bool,
    ) -> Option<String> {
        let mut keys = relations.iter().filter_map(|relation| self.key_by(scope, rows, row, relation));
        let first = keys.next()?;
        if known(&first) { Some(first) } else { keys.find(known).or(Some(first)) }
    }

    fn key_by(
        &self,
        scope: &ConnectorScope<'_>,
        rows: &TableRows,
        row: &[ColumnValue],
        relation: &Relation,
    ) -> Option<String> {
        let mut parts = Vec::new();
        for column in relation.columns.iter().filter(|column| column.key) {
            let place = self.place(&column.name)?;
            let own = Column { type_modifier: column.type_modifier, ..rows.columns[place].clone() };
            let form = |column: &Column, text: &str| canonical_text(column, text, &scope.rules.modes);
            parts.push(match &row[place] {
                // As a text it may be what the source's type writes.
                ColumnValue::Text(text) if !are_of_one_kind(column, &own) => {
                    format!("{:?}", form(column, text).or_else(|| form(&own, text))?)
                }
                ColumnValue::Text(text) => format!("{:?}", form(&own, text)?),
                ColumnValue::Null | ColumnValue::Unchanged => "null".to_owned(),
            });
        }
        Some(parts.join(","))
    }

    /// Why rows of the table may not be told by the key that they have in the source, by each of these tables that it was.
    pub(super) fn doubt(
        &self,
        scope: &ConnectorScope<'_>,
        rows: &TableRows,
        relations: &[&Relation],
    ) -> Option<String> {
        let reasons: Option<Vec<String>> =
            relations.iter().map(|relation| self.doubt_by(scope, rows, relation)).collect();
        let reason = reasons?.into_iter().next()?;
        Some(format!("which row of one table is which of the other cannot be told by the key: {reason}"))
    }

    fn doubt_by(&self, scope: &ConnectorScope<'_>, rows: &TableRows, relation: &Relation) -> Option<String> {
        let rules = scope.table(relation);
        let mut key = relation.columns.iter().enumerate().filter(|(_, column)| column.key);
        key.find_map(|(index, column)| {
            let name = &column.name;
            match (&rules.columns[index], self.place(name)) {
                (Some(setting), _) => Some(format!("{setting} changes column {name}")),
                (None, None) => Some(format!("the other table has no column {name}")),
                (None, Some(place)) if !are_of_one_kind(column, &rows.columns[place]) => {
                    Some(format!("column {name} has another type in the other table"))
                }
                (None, Some(_)) => None,
            }
        })
    }

    /// The keys of all rows, by all of these columns of the source.
    pub(super) fn keys(
        &self,
        scope: &ConnectorScope<'_>,
        rows: &TableRows,
        relations: &[&Relation],
    ) -> HashSet<String> {
        let of_row = |row: &Vec<ColumnValue>| -> Vec<String> {
            relations.iter().filter_map(|relation| self.key_by(scope, rows, row, relation)).collect()
        };
        rows.rows.iter().flat_map(of_row).collect()
    }

    /// What a row shows of the changes of a history.
    pub(super) fn shown(
        &self,
        scope: &ConnectorScope<'_>,
        rows: &TableRows,
        steps: &[SourceStep<'_>],
        row: Option<&Vec<ColumnValue>>,
        changes: Option<&str>,
    ) -> TableShows {
        let Some(row) = row else { return TableShows::Nothing };
        let mut difference = None;
        let states = |hidden: bool| steps.iter().enumerate().rev().filter(move |(_, step)| step.hidden == hidden);
        for (place, step) in states(false).chain(states(true)) {
            let Some(cells) = whole(steps, place) else { continue };
            match self.compare((scope, rows), &step.change.relation, &cells, row, None) {
                Ok(_) if step.hidden => return TableShows::Hidden(place),
                Ok((compared, skipped)) => return TableShows::State { place, compared, skipped },
                Err(words) => difference = difference.or(Some(words)),
            }
        }
        // Who changes values has changed these, if the last state agrees in more of the others than each other one.
        if changes.is_some() {
            let mut fits: Vec<_> = states(false)
                .chain(states(true))
                .filter_map(|(place, step)| {
                    let cells = whole(steps, place)?;
                    let held = self.compare((scope, rows), &step.change.relation, &cells, row, changes);
                    held.ok().map(|(compared, skipped)| (compared, place, skipped))
                })
                .collect();
            fits.sort_by_key(|(compared, ..)| std::cmp::Reverse(*compared));
            let alone = !fits.is_empty() && fits.get(1).is_none_or(|(second, ..)| fits[0].0 > *second);
            if alone && steps[0].change.op == RowOp::Insert {
                let (compared, place, skipped) = fits.swap_remove(0);
                if states(false).next().is_some_and(|(last, _)| last == place) {
                    return TableShows::State { place, compared, skipped };
                }
            }
            return TableShows::Before;
        }
        // A row that was there before the account began may be as it was then.
        match difference {
            Some(words) if steps[0].change.op == RowOp::Insert => TableShows::Never(words),
            _ => TableShows::Before,
        }
    }

    /// Holds a row against a state of it; `changes`: the setting by which values may be others.
    fn compare(
        &self,
        (scope, rows): (&ConnectorScope<'_>, &TableRows),
        relation: &Relation,
        cells: &[ColumnValue],
        row: &[ColumnValue],
        changes: Option<&str>,
    ) -> Result<(u32, Vec<(String, String)>), String> {
        let rules = scope.table(relation);
        let (mut compared, mut skipped) = (0, Vec::new());
        for (index, (column, cell)) in relation.columns.iter().zip(cells).enumerate() {
            let mut skip = |reason: &str| skipped.push((column.name.clone(), reason.to_owned()));
            if let Some(setting) = &rules.columns[index] {
                skip(setting);
                continue;
            }
            let Some(place) = self.place(&column.name) else {
                skip("the other table has no such column");
                continue;
            };
            match compare_cells(column, cell, &rows.columns[place], &row[place], &scope.rules.modes) {
                Agreement::Equal => compared += 1,
                Agreement::NotCompared if *cell == ColumnValue::Null && may_be_filled(column, &scope.rules.modes) => {
                    skip("the row has NULL, in whose place a converter may write the column's default");
                }
                Agreement::NotCompared => skip("it has another type in the other table, or its value is not known"),
                Agreement::Different => {
                    if let Some(setting) = changes {
                        skip(setting);
                        continue;
                    }
                    let text = |cell: &ColumnValue| cell.text().map_or("NULL".to_owned(), |text| format!("{text:?}"));
                    let (database, table) = (text(cell), text(&row[place]));
                    return Err(format!("column {}: {database} in the database, {table} in the table", column.name));
                }
            }
        }
        Ok((compared, skipped))
    }
}

/// The row as a change left it, with the large values that it did not touch as the changes before it left them.
fn whole(steps: &[SourceStep<'_>], place: usize) -> Option<Vec<ColumnValue>> {
    // What is published as a delete is hidden, and stands here with the row that a snapshot would read.
    let change = if steps[place].hidden { steps[place].change } else { steps[place].told() };
    let mut cells = change.after.clone()?;
    for (index, cell) in cells.iter_mut().enumerate().filter(|(_, cell)| **cell == ColumnValue::Unchanged) {
        let name = &change.relation.columns[index].name;
        let earlier = steps[..place].iter().rev().map_while(|step| {
            let cells = step.change.after.as_ref()?;
            let index = step.change.relation.columns.iter().position(|column| column.name == *name)?;
            Some(&cells[index])
        });
        let mut known = earlier.filter(|cell| **cell != ColumnValue::Unchanged);
        if let Some(known) = known.next() {
            *cell = known.clone();
        }
    }
    Some(cells)
}
