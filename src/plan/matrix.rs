//! The cells of a matrix.

use crate::scenario::interpolate;
use crate::text::{Origin, Problem};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Most cells a matrix may have.
pub const MAX_CELLS: usize = 256;
/// What the values of all cells may take: each has them for itself.
const MOST_BYTES: usize = 8 << 20;

/// One combination of the values of a matrix.
pub type Cell = BTreeMap<String, Value>;

/// Every combination, the last key varying fastest. A scenario without matrix has one empty cell.
pub fn cells(matrix: &Map<String, Value>, origin: &Origin, problems: &mut Vec<Problem>) -> Vec<Cell> {
    let size = matrix
        .values()
        .filter_map(Value::as_array)
        .try_fold(1_usize, |size, values| size.checked_mul(values.len().max(1)))
        .unwrap_or(usize::MAX);
    if size > MAX_CELLS {
        problems.push(
            Problem::new("matrix-too-large", format!("the matrix has {size} cells; the most is {MAX_CELLS}"))
                .at(origin.key_place("")),
        );
        return vec![Cell::new()];
    }
    let bytes: usize = matrix
        .values()
        .filter_map(Value::as_array)
        .flat_map(|values| {
            values.iter().map(|value| interpolate::size(value).saturating_mul(size / values.len().max(1)))
        })
        .fold(0, usize::saturating_add);
    if bytes > MOST_BYTES {
        let message = format!("the values of all cells of the matrix take more than {} MiB together", MOST_BYTES >> 20);
        problems.push(
            Problem::new("matrix-too-large", message)
                .at(origin.key_place(""))
                .help("put what is long into `vars`, and its name into the matrix"),
        );
        return vec![Cell::new()];
    }
    let mut cells = vec![Cell::new()];
    for (key, values) in matrix {
        let Value::Array(values) = values else { continue };
        cells = cells
            .into_iter()
            .flat_map(|cell| {
                values.iter().map(move |value| {
                    let mut cell = cell.clone();
                    cell.insert(key.clone(), value.clone());
                    cell
                })
            })
            .collect();
    }
    cells
}

/// A cell as it is shown behind a scenario's name: `a=1,b=x`.
pub fn label(cell: &Cell) -> String {
    cell.iter()
        .map(|(key, value)| match value {
            Value::String(text) => format!("{key}={text}"),
            other => format!("{key}={other}"),
        })
        .collect::<Vec<_>>()
        .join(",")
}
