//! From the steps of a document to planned steps: ids, references, decoding, nesting.

use super::bindings::{Bindings, RESERVED};
use super::include::Includes;
use super::origin::{Origin, escape};
use super::planned::{Children, PlannedStep};
use super::timeout;
use crate::diagnostic::{Place, Problem, did_you_mean};
use crate::record::Section;
use crate::scenario::{Guarantee, Items, Modifiers};
use crate::step::{self, CheckContext, Scope, ScopeStep, VerbEntry};
use crate::validate::Findings;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most steps a plan may have: a `for_each` over a huge list is a mistake.
const MAX_STEPS: usize = 10_000;
/// Steps inside steps inside steps.
const MAX_NESTING: usize = 16;

/// Expands documents into planned steps.
pub struct Expander<'a> {
    /// Steps by id, filled on the way.
    pub scope: Scope,
    /// Fragments.
    pub includes: &'a mut Includes,
    /// Where problems go.
    pub problems: &'a mut Vec<Problem>,
    order: usize,
    /// Whether there are too many steps: what comes now is left out.
    full: bool,
    places: BTreeMap<String, Place>,
}

/// Where the expansion is.
#[derive(Clone)]
pub(super) struct Frame {
    pub section: Section,
    pub bindings: Arc<Bindings>,
    pub findings: Arc<Findings>,
    pub nesting: usize,
}

impl<'a> Expander<'a> {
    pub fn new(includes: &'a mut Includes, problems: &'a mut Vec<Problem>) -> Self {
        Self { scope: Scope::default(), includes, problems, order: 0, full: false, places: BTreeMap::new() }
    }

    /// Expands a list of steps.
    pub(super) fn list(&mut self, list: &Value, origin: &Origin, frame: &Frame) -> Vec<PlannedStep> {
        let Value::Array(items) = list else { return Vec::new() };
        let mut steps = Vec::new();
        for (index, item) in items.iter().enumerate() {
            if let Value::Object(object) = item {
                self.step(object, &origin.at(&format!("/{index}")), frame, &mut steps);
            }
        }
        steps
    }

    fn step(&mut self, object: &Map<String, Value>, origin: &Origin, frame: &Frame, into: &mut Vec<PlannedStep>) {
        let Some((entry, body)) = self.the_verb(object, origin, frame) else {
            self.enter_broken(object, "", origin, frame);
            return;
        };
        let Some(modifiers) = self.modifiers(object, origin, frame, entry) else {
            self.enter_broken(object, entry.verb, origin, frame);
            return;
        };
        let Some(Items(items)) = &modifiers.for_each else {
            into.extend(self.instance(entry, body, modifiers, None, origin, frame));
            return;
        };
        let Value::Array(items) = items.clone() else {
            self.problems.push(Problem::new("not-a-list", "`for_each` needs a list").at(origin.place("/for_each")));
            return;
        };
        for (index, item) in items.into_iter().enumerate() {
            if self.full {
                return;
            }
            let frame = Frame { bindings: frame.bindings.with_item(item, index), ..frame.clone() };
            // The modifiers may use the item.
            let Some(modifiers) = self.modifiers(object, origin, &frame, entry) else { return };
            into.extend(self.instance(entry, body, modifiers, Some(index), origin, &frame));
        }
    }

    /// Enters the id of a step that cannot be planned: it exists, and nobody should be told otherwise.
    fn enter_broken(&mut self, object: &Map<String, Value>, verb: &'static str, origin: &Origin, frame: &Frame) {
        let Some(Value::String(id)) = object.get("id") else { return };
        let background =
            object.get("background").is_some_and(|value| value != &Value::Bool(false)) || misspelt_background(object);
        let id = Id { full: format!("{}{id}", frame.bindings.prefix), given: Some(id), place: origin.place("/id") };
        self.enter(id, verb, background, frame);
    }

    /// The one verb of a step.
    fn the_verb<'o>(
        &mut self,
        object: &'o Map<String, Value>,
        origin: &Origin,
        frame: &Frame,
    ) -> Option<(&'static VerbEntry, &'o Value)> {
        let mut verbs = object.iter().filter_map(|(key, body)| step::verb(key).map(|entry| (entry, body)));
        let first = verbs.next();
        if let (Some((first, body)), Some((second, _))) = (first, verbs.next()) {
            if body.is_null() && frame.findings.touch(&origin.key(first.verb).pointer) {
                // Its keys are not indented, and one of them happens to be the name of a verb.
                return Some((first, body));
            }
            self.problems.push(
                Problem::new(
                    "two-verbs",
                    format!("a step has one verb; this one has `{}` and `{}`", first.verb, second.verb),
                )
                .at(origin.key_place(&format!("/{}", second.verb)))
                .help("make two steps of it"),
            );
            return None;
        }
        let unknown = object.keys().any(|key| !Modifiers::KEYS.contains(&key.as_str()) && step::verb(key).is_none());
        if first.is_none() && !unknown {
            self.problems.push(
                Problem::new("no-verb", "this step does nothing: it has no verb")
                    .at(origin.place(""))
                    .help("`kscen steps` lists the verbs"),
            );
        }
        first
    }

    fn modifiers(
        &mut self,
        object: &Map<String, Value>,
        origin: &Origin,
        frame: &Frame,
        entry: &VerbEntry,
    ) -> Option<Modifiers> {
        let mut raw: Map<String, Value> = object
            .iter()
            .filter(|(key, _)| Modifiers::KEYS.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let condition = raw.remove("if");
        if Modifiers::KEYS.iter().any(|key| object.contains_key(*key) && frame.findings.touch(&origin.key(key).pointer))
        {
            return None;
        }
        let mut fine = true;
        for (key, value) in &raw {
            // `name` and `timeout` may use the item of `for_each`, which is not bound yet on the first pass.
            if frame.bindings.item.is_none() && raw.contains_key("for_each") && key != "for_each" {
                continue;
            }
            fine &= frame.bindings.check(value, &origin.key(key), None, self.problems);
        }
        if !fine {
            return None;
        }
        if frame.bindings.item.is_none() && raw.contains_key("for_each") {
            raw.retain(|key, _| key == "for_each");
        }
        let mut resolved = self.resolved(&Value::Object(raw), origin, frame)?;
        if let (Some(condition), Value::Object(resolved)) = (condition, &mut resolved) {
            if let Value::String(text) = &condition
                && let Err(error) = super::condition::check(text, &frame.bindings)
            {
                self.problems
                    .push(Problem::new("bad-condition", error.message).at(origin.place("/if")).help(error.help));
                return None;
            }
            resolved.insert("if".to_owned(), condition);
        }
        match serde_path_to_error::deserialize::<_, Modifiers>(resolved) {
            Ok(mut modifiers) => {
                self.check_modifiers(&modifiers, entry, origin);
                // Somebody who misspelt it wanted it: others need not be told that the step is not in the background.
                modifiers.background |= misspelt_background(object);
                Some(modifiers)
            }
            Err(error) => {
                let key = error.path().to_string();
                self.problems
                    .push(Problem::new("bad-value", error.inner().to_string()).at(origin.place(&format!("/{key}"))));
                None
            }
        }
    }

    /// The value with its references replaced; reports the ones that do not fit into their text.
    fn resolved(&mut self, value: &Value, origin: &Origin, frame: &Frame) -> Option<Value> {
        match frame.bindings.resolve_static(value) {
            Ok(value) => Some(value),
            Err(failures) => {
                self.problems.extend(
                    failures
                        .into_iter()
                        .map(|(pointer, message)| Problem::new("bad-reference", message).at(origin.place(&pointer))),
                );
                None
            }
        }
    }

    fn check_modifiers(&mut self, modifiers: &Modifiers, entry: &VerbEntry, origin: &Origin) {
        if modifiers.background && !entry.background {
            self.problems.push(
                Problem::new("no-background", format!("`{}` cannot run in the background", entry.verb))
                    .at(origin.key_place("/background")),
            );
        }
        if modifiers.retry.is_some() && !entry.retry {
            self.problems.push(
                Problem::new("no-retry", format!("`{}` cannot be retried: doing it again is not the same", entry.verb))
                    .at(origin.key_place("/retry")),
            );
        }
        if let Some(id) = &modifiers.id
            && !is_name(id)
        {
            self.problems.push(
                Problem::new("bad-id", format!("`{id}` cannot be an id"))
                    .at(origin.place("/id"))
                    .help("use letters, digits, `-` and `_`"),
            );
        }
    }

    fn instance(
        &mut self,
        entry: &'static VerbEntry,
        body: &Value,
        modifiers: Modifiers,
        index: Option<usize>,
        origin: &Origin,
        frame: &Frame,
    ) -> Option<PlannedStep> {
        let id = self.id(entry, &modifiers, index, origin, frame);
        let full = id.full.clone();
        let order = self.enter(id, entry.verb, modifiers.background, frame)?;
        let id = full;
        let origin = origin.key(entry.verb);
        if frame.findings.touch(&origin.pointer) && !nests(entry) {
            // It cannot be decoded; its names can be looked up all the same.
            frame.bindings.check(body, &origin, None, self.problems);
            return None;
        }
        if frame.nesting >= MAX_NESTING {
            self.problems.push(
                Problem::new("nested-too-deep", format!("steps are nested more than {MAX_NESTING} deep"))
                    .at(origin.place("")),
            );
            return None;
        }
        if !nests(entry) && !frame.bindings.check(body, &origin, None, self.problems) {
            return None;
        }
        let decodable = if nests(entry) { body.clone() } else { self.resolved(body, &origin, frame)? };
        let step = match (entry.decode)((entry.normalise)(decodable)) {
            Ok(step) => Arc::from(step),
            Err(error) => {
                if !frame.findings.touch(&origin.pointer) {
                    self.problems.push(Problem::new("bad-value", error.message).at(origin.place(&error.pointer)));
                }
                return None;
            }
        };
        let step: Arc<dyn step::AnyStep> = step;
        let facts = step.facts();
        if let Some(entered) = self.scope.steps.get_mut(&id) {
            entered.facts = Some(facts.clone());
        }
        let children = self.children(entry, body, &id, &origin, frame);
        let title = modifiers.name.clone().unwrap_or_else(|| step.describe());
        Some(PlannedStep {
            id,
            entry,
            section: frame.section,
            order,
            origin,
            title,
            needs: step.needs(),
            timeout: timeout::of(&modifiers, &facts),
            facts,
            step,
            dynamic: (!nests(entry) && Bindings::is_dynamic(body)).then(|| body.clone()),
            bindings: Arc::clone(&frame.bindings),
            modifiers,
            children,
        })
    }

    fn children(&mut self, entry: &VerbEntry, body: &Value, id: &str, origin: &Origin, frame: &Frame) -> Children {
        let inner = Frame { nesting: frame.nesting + 1, ..frame.clone() };
        match entry.verb {
            "parallel" => Children::Branches(
                body.as_array()
                    .into_iter()
                    .flatten()
                    .enumerate()
                    .map(|(index, branch)| self.list(branch, &origin.at(&format!("/{index}")), &inner))
                    .collect(),
            ),
            "include" => Children::Sequence(super::include::expand(self, body, id, origin, &inner)),
            _ => Children::None,
        }
    }

    /// The id that a step has: given, or made from verb and line.
    fn id<'m>(
        &self,
        entry: &VerbEntry,
        modifiers: &'m Modifiers,
        index: Option<usize>,
        origin: &Origin,
        frame: &Frame,
    ) -> Id<'m> {
        let prefix = &frame.bindings.prefix;
        let index = index.map(|index| format!("[{index}]")).unwrap_or_default();
        if let Some(given) = &modifiers.id {
            return Id { full: format!("{prefix}{given}{index}"), given: Some(given), place: origin.place("/id") };
        }
        let base = format!("{prefix}{}-{}", entry.verb, origin.location("").line);
        let mut full = format!("{base}{index}");
        let mut copy = 2;
        while self.scope.steps.contains_key(&full) {
            full = format!("{base}.{copy}{index}");
            copy += 1;
        }
        Id { full, given: None, place: origin.place("") }
    }

    /// Enters a step into the scope; `None` where its id is taken or there are too many steps.
    fn enter(&mut self, id: Id<'_>, verb: &'static str, background: bool, frame: &Frame) -> Option<usize> {
        if self.full {
            return None;
        }
        if self.order >= MAX_STEPS {
            self.full = true;
            self.problems.push(
                Problem::new("too-many-steps", format!("this makes more than {MAX_STEPS} steps"))
                    .at(id.place)
                    .help("shorten the lists of `for_each`, or include fewer fragments"),
            );
            return None;
        }
        if let Some(first) = self.places.get(&id.full) {
            let shown = id.given.unwrap_or(&id.full);
            self.problems.push(
                Problem::new("duplicate-id", format!("there is another step with the id `{shown}`"))
                    .at(id.place)
                    .note(format!("the first one is at {first}"))
                    .help("an id names one step of the file; choose another"),
            );
            return None;
        }
        let order = self.order;
        self.order += 1;
        let named = id.given.is_some();
        let step = ScopeStep { verb, named, section: frame.section, order, background, facts: None };
        self.places.insert(id.full.clone(), id.place);
        self.scope.steps.insert(id.full, step);
        Some(order)
    }
}

/// The id of a step, and where it stands.
struct Id<'a> {
    full: String,
    given: Option<&'a str>,
    place: Place,
}

fn misspelt_background(object: &Map<String, Value>) -> bool {
    object.keys().any(|key| key != "background" && did_you_mean(key, ["background"]).is_some())
}

/// Verbs whose body holds steps, which are interpolated on their own.
fn nests(entry: &VerbEntry) -> bool {
    entry.verb == "parallel" || entry.verb == "include"
}

fn is_name(id: &str) -> bool {
    !id.is_empty() && id.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '-' | '_'))
}

/// Checks of planned steps against each other.
pub(super) fn check_steps(
    steps: &[PlannedStep],
    scope: &Scope,
    guarantee: Option<Guarantee>,
    problems: &mut Vec<Problem>,
) {
    for step in steps {
        step.walk(&mut |step| {
            if let Some(condition) = &step.modifiers.condition
                && let Err(error) = super::condition::check_steps(condition, scope, &step.bindings.prefix)
            {
                // The body's key stands beside `if`.
                let place = step.origin.beside("if").place("");
                problems.push(Problem::new("bad-condition", error.message).at(place).help(error.help));
            }
            if let Some(body) = &step.dynamic
                && !step.bindings.check(body, &step.origin, Some(scope), problems)
            {
                return;
            }
            let mut cx = CheckContext {
                scope,
                prefix: &step.bindings.prefix,
                order: step.order,
                section: step.section,
                background: step.modifiers.background,
                guarantee,
                origin: &step.origin,
                problems,
            };
            step.step.check(&mut cx);
        });
    }
}

/// A variable that `include` may pass.
pub(super) fn is_variable(name: &str) -> bool {
    is_name(name) && !RESERVED.contains(&name) && !escape(name).contains('~')
}
