//! The variables of a scenario: each resolved once, in an order in which they refer to what is known.

use super::bindings::{Bindings, RESERVED, variable};
use crate::scenario::interpolate;
use crate::text::{Origin, Problem, escape};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl Bindings {
    /// Binds `raw` variables: resolves references between them, in whichever order they stand.
    pub fn bind_vars(&mut self, raw: &Map<String, Value>, origin: &Origin, problems: &mut Vec<Problem>) {
        for name in raw.keys().filter(|name| RESERVED.contains(&name.as_str())) {
            problems.push(
                Problem::new("reserved-name", format!("`{name}` is a reserved name and cannot be a variable"))
                    .at(origin.key_place(&format!("/{}", escape(name)))),
            );
        }
        // Whoever refers to nothing unbound is bound, and frees those that wait for it; what is left at the end waits in cycles.
        let mut waits: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        let mut waiters: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (name, value) in raw {
            let mut depends = variables(value);
            depends.retain(|other| raw.contains_key(other));
            for other in &depends {
                waiters.entry(other.clone()).or_default().push(name);
            }
            waits.insert(name, depends);
        }
        let mut ready: BTreeSet<&str> =
            waits.iter().filter(|(_, depends)| depends.is_empty()).map(|(name, _)| *name).collect();
        while let Some(name) = ready.pop_first() {
            waits.remove(name);
            self.bind(name, &raw[name], origin, problems);
            for waiter in waiters.remove(name).unwrap_or_default() {
                if let Some(depends) = waits.get_mut(waiter) {
                    depends.remove(name);
                    if depends.is_empty() {
                        ready.insert(waiter);
                    }
                }
            }
        }
        report_cycles(&waits, origin, problems);
        for name in waits.into_keys() {
            Arc::make_mut(&mut self.vars).insert(name.to_owned(), Value::Null);
            Arc::make_mut(&mut self.broken).insert(name.to_owned());
        }
    }

    fn bind(&mut self, name: &str, value: &Value, origin: &Origin, problems: &mut Vec<Problem>) {
        let place = origin.key(name);
        if self.check(value, &place, None, problems) {
            match self.resolve_static(value) {
                Ok(value) => {
                    Arc::make_mut(&mut self.vars).insert(name.to_owned(), value);
                    return;
                }
                Err(failures) => problems.extend(
                    failures
                        .into_iter()
                        .map(|(pointer, message)| Problem::new("bad-reference", message).at(place.place(&pointer))),
                ),
            }
        }
        Arc::make_mut(&mut self.vars).insert(name.to_owned(), Value::Null);
        Arc::make_mut(&mut self.broken).insert(name.to_owned());
    }
}

/// Names of a cycle that a message lists.
const LISTED: usize = 10;

/// Reports each cycle once, at the variable that stands first in it. Everything in `waits` refers to something in it, so each walk from
/// one to the first of those that it waits for runs into a cycle, or into what was walked before.
fn report_cycles(waits: &BTreeMap<&str, BTreeSet<String>>, origin: &Origin, problems: &mut Vec<Problem>) {
    let mut walked: BTreeMap<&str, &str> = BTreeMap::new();
    for start in waits.keys() {
        let (mut path, mut at) = (Vec::new(), *start);
        while !walked.contains_key(at) {
            walked.insert(at, start);
            path.push(at);
            let Some(next) = waits[at].first().and_then(|next| waits.get_key_value(next.as_str())) else { break };
            at = *next.0;
        }
        // Another walk has told the cycle that it ran into.
        let Some(begin) = path.iter().position(|name| *name == at) else { continue };
        let cycle = &path[begin..];
        let mut round: Vec<String> = cycle.iter().chain(&[cycle[0]]).map(|name| format!("`{name}`")).collect();
        if round.len() > LISTED {
            round.splice(LISTED / 2..round.len() - LISTED / 2, ["…".to_owned()]);
        }
        let message = match cycle {
            [only] => format!("the variable `{only}` refers to itself"),
            _ => format!("the variable `{}` refers to itself: {}", cycle[0], round.join(" → ")),
        };
        problems.push(Problem::new("variable-cycle", message).at(origin.key(cycle[0]).place("")));
    }
}

fn variables(value: &Value) -> BTreeSet<String> {
    interpolate::references(value)
        .into_iter()
        .filter_map(|(_, reference)| variable(&reference).map(str::to_owned))
        .collect()
}
