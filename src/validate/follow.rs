//! Which findings are worth saying: one mistake is one problem.

use super::pointers::Pointers;
use super::schema::SchemaFinding;
use crate::scenario::Modifiers;
use crate::text::{Located, Problem, did_you_mean, escape};
use crate::verb::Registry;
use serde_json::Value;
use std::collections::BTreeMap;

/// Drops what only follows from something else.
pub fn worth_saying(found: Vec<SchemaFinding>, document: &Located, schema: &Value, verbs: Registry) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut said = Pointers::default();
    let mut unknown: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for finding in &found {
        if finding.unknown {
            if let Some((owner, key)) = finding.pointer.rsplit_once('/') {
                unknown.entry(owner).or_default().push(key);
            }
        } else if let Some((problem, siblings)) = not_indented(finding, document, schema, verbs) {
            problems.push(problem);
            said.extend(siblings);
            said.extend([finding.pointer.clone()]);
        }
    }
    for finding in &found {
        let beside = unknown.get(finding.pointer.as_str()).map_or(&[][..], Vec::as_slice);
        if !said.cover(&finding.pointer) && !is_misspelt(finding, beside) {
            problems.push(finding.problem.clone());
        }
    }
    problems
}

/// Whether the missing key is there after all, with a typo, which is reported itself: as one of the unknown keys of its owner.
fn is_misspelt(finding: &SchemaFinding, unknown: &[&str]) -> bool {
    let Some(missing) = &finding.missing else { return false };
    unknown.iter().any(|key| did_you_mean(key, [missing.as_str()]).is_some())
}

/// A verb without a body, whose keys stand beside it instead of inside it.
fn not_indented(
    finding: &SchemaFinding,
    document: &Located,
    schema: &Value,
    verbs: Registry,
) -> Option<(Problem, Vec<String>)> {
    let (owner, name) = finding.pointer.rsplit_once('/')?;
    let step = document.value.pointer(owner)?.as_object()?;
    if !step.get(name)?.is_null() || verbs.verb(name).is_none() {
        return None;
    }
    let body = schema.pointer(&format!("/definitions/Step/properties/{name}"))?;
    let fields = body.pointer("/then/properties").or_else(|| body.get("properties"))?.as_object()?;
    let keys: Vec<&str> = step
        .keys()
        .map(String::as_str)
        .filter(|key| *key != name && fields.contains_key(*key) && !Modifiers::KEYS.contains(key))
        .collect();
    if keys.is_empty() {
        return None;
    }
    let list = keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    let problem = Problem::new("not-indented", format!("`{name}` is empty: its keys stand beside it, not inside it"))
        .at(document.key_place(&finding.pointer))
        .help(format!("indent {list} further than `{name}`"));
    Some((problem, keys.iter().map(|key| format!("{owner}/{}", escape(key))).collect()))
}
