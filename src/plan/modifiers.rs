//! The modifiers of steps.

use super::expand::{Expander, Frame};
use super::step_id::is_name;
use crate::scenario::{ExpectedFailure, Modifiers};
use crate::text::{Origin, Problem, did_you_mean};
use crate::verb::VerbEntry;
use serde_json::{Map, Value};

pub(super) fn misspelt_background(object: &Map<String, Value>) -> bool {
    object.keys().any(|key| key != "background" && did_you_mean(key, ["background"]).is_some())
}

impl Expander<'_> {
    /// The modifiers of a step; of one with `for_each` first that one alone, then the others in each `turn`, as they may use the item.
    pub(super) fn modifiers(
        &mut self,
        object: &Map<String, Value>,
        origin: &Origin,
        frame: &Frame,
        entry: &VerbEntry,
        turn: bool,
    ) -> Option<Modifiers> {
        let repeats = object.contains_key("for_each");
        let mut raw: Map<String, Value> = object
            .iter()
            .filter(|(key, _)| Modifiers::KEYS.contains(&key.as_str()) && (!repeats || (*key == "for_each") != turn))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let condition = raw.remove("if");
        if Modifiers::KEYS.iter().any(|key| object.contains_key(*key) && frame.findings.touch(&origin.key(key).pointer))
        {
            return None;
        }
        let mut fine = true;
        for (key, value) in &raw {
            fine &= frame.bindings.check(value, &origin.key(key), None, self.problems);
        }
        if !fine {
            return None;
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

    fn check_modifiers(&mut self, modifiers: &Modifiers, entry: &VerbEntry, origin: &Origin) {
        if modifiers.background && !entry.background {
            self.problems.push(
                Problem::new("no-background", format!("`{}` cannot run in the background", entry.verb))
                    .at(origin.key_place("/background")),
            );
        }
        if modifiers.retry.is_some() && !entry.retry {
            self.problems.push(
                Problem::new(
                    "no-retry",
                    format!("`{}` cannot be retried: doing it twice is not the same as doing it once", entry.verb),
                )
                .at(origin.key_place("/retry")),
            );
        }
        if let Some(expected) = &modifiers.expect_failure {
            self.check_expected(expected, entry, origin);
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

    /// A failure that cannot come is no expectation.
    fn check_expected(&mut self, expected: &ExpectedFailure, entry: &VerbEntry, origin: &Origin) {
        if !entry.refusable {
            self.problems.push(
                Problem::new("nothing-to-refuse", format!("`{}` asks nothing that could be refused", entry.verb))
                    .at(origin.key_place("/expect_failure"))
                    .help("put `expect_failure` at the step that is to fail; a check states what it expects itself"),
            );
        }
        if let Some(name) = expected.unknown() {
            let known = ExpectedFailure::known();
            let help = match did_you_mean(name, known.iter().map(String::as_str)) {
                Some(similar) => format!("did you mean `{similar}`?"),
                None => "name it as Kafka does, or give `code` or a part of the `message`".to_owned(),
            };
            let problem = Problem::new("unknown-error", format!("no error of Kafka is called `{name}`"));
            self.problems.push(problem.at(origin.place("/expect_failure")).help(help));
        }
    }
}
