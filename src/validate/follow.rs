//! Which findings are worth saying: one mistake is one problem.

use super::schema::SchemaFinding;
use crate::scenario::Modifiers;
use crate::text::{Located, Problem, did_you_mean, escape};
use crate::verb::Registry;
use serde_json::Value;

/// Drops what only follows from something else.
pub fn worth_saying(found: Vec<SchemaFinding>, document: &Located, schema: &Value, verbs: Registry) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut said: Vec<String> = Vec::new();
    for finding in found.iter().filter(|finding| !finding.unknown) {
        if let Some((problem, siblings)) = not_indented(finding, document, schema, verbs) {
            problems.push(problem);
            said.push(finding.pointer.clone());
            said.extend(siblings);
        }
    }
    for finding in &found {
        let covered = said.iter().any(|said| {
            finding.pointer.strip_prefix(said.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        if !covered && !is_misspelt(finding, &found) {
            problems.push(finding.problem.clone());
        }
    }
    problems
}

/// Whether the missing key is there after all, with a typo, which is reported itself.
fn is_misspelt(finding: &SchemaFinding, found: &[SchemaFinding]) -> bool {
    let Some(missing) = &finding.missing else { return false };
    found.iter().filter(|other| other.unknown).any(|other| {
        other
            .pointer
            .rsplit_once('/')
            .is_some_and(|(owner, key)| owner == finding.pointer && did_you_mean(key, [missing.as_str()]).is_some())
    })
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
