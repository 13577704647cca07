//! What a scenario declares as secret, and where it must not stand.

use super::bindings::Bindings;
use super::planned::PlannedStep;
use super::scenario::PlanOptions;
use crate::scenario::interpolate;
use crate::text::{Located, Origin, Problem, Redactor, escape};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// Secrets of one scenario in all its cells, and what they have in bytes: each is searched for in many forms.
pub(super) const MOST_VALUES: usize = 1_000;
pub(super) const MOST_BYTES: usize = 128 << 10;

/// The names under `secrets:`.
pub(super) fn names(document: &Value) -> impl Iterator<Item = &str> {
    document.get("secrets").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// What is secret in the cells of a scenario. To make ready to search for it takes time and memory, so that is done once for all of them.
#[derive(Default)]
pub(super) struct Hidden {
    values: BTreeSet<String>,
    bytes: usize,
    made: Option<Redactor>,
}

impl Hidden {
    /// Adds what is secret in one cell; false where that is more, together with the others, than can be searched for.
    pub(super) fn add(&mut self, document: &Located, bindings: &Bindings, options: &PlanOptions) -> bool {
        for value in values(document, Some(bindings), options) {
            let bytes = value.len();
            if self.values.insert(value) {
                self.bytes += bytes;
                self.made = None;
            }
        }
        self.values.len() <= MOST_VALUES && self.bytes <= MOST_BYTES
    }

    /// Whether a text holds a secret as it is.
    pub(super) fn is_in(&self, text: &str) -> bool {
        self.values.iter().any(|value| !value.is_empty() && text.contains(value.as_str()))
    }

    /// Hides what is secret in any of the cells that were looked at, in all of them; and the environment's credentials.
    pub(super) fn redactor(&mut self, options: &PlanOptions) -> Redactor {
        let made = || options.credentials.clone().and(self.values.iter().take(MOST_VALUES).map(String::as_str));
        self.made.get_or_insert_with(made).clone()
    }

    /// The same, and what stands in the document itself.
    pub(super) fn all(&mut self, document: &Located, options: &PlanOptions) -> Redactor {
        let mut own = values(document, None, options);
        own.truncate(MOST_VALUES);
        for value in own {
            if self.values.insert(value) {
                self.made = None;
            }
        }
        self.redactor(options)
    }
}

/// Hides what a document declares as secret, before it is planned; and the environment's credentials.
pub fn secrets_of(document: &Located, options: &PlanOptions) -> Redactor {
    Hidden::default().all(document, options)
}

/// The values of all names under `secrets:`: of KSCEN_SECRET_NAME, of the environment variable of that name, of the scenario's variable
/// of that name in every layer and of an axis of its matrix; as they are meant, and as they are written in the document.
fn values(document: &Located, bindings: Option<&Bindings>, options: &PlanOptions) -> Vec<String> {
    let (mut values, mut stated) = (Vec::new(), Vec::new());
    for name in names(&document.value) {
        values.extend(
            [format!("KSCEN_SECRET_{name}"), name.to_owned()].into_iter().filter_map(|key| std::env::var(key).ok()),
        );
        for pointer in ["vars", "matrix"].map(|section| format!("/{section}/{}", escape(name))) {
            if let Some(value) = document.value.pointer(&pointer) {
                texts(value, &mut stated);
                spellings(document, value, &pointer, &mut stated);
            }
        }
        let bound = bindings.and_then(|bindings| bindings.vars.get(name));
        let layers = options.vars.iter().filter_map(|layer| layer.get(name));
        bound.into_iter().chain(layers).for_each(|value| texts(value, &mut stated));
    }
    // What only refers to others holds no secret itself. A text with a reference in it does.
    stated.retain(|text| !interpolate::parse(text).is_ok_and(|template| template.only_refers()));
    values.append(&mut stated);
    values.sort_unstable();
    values.dedup();
    values
}

fn texts(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::String(text) => into.push(text.clone()),
        Value::Number(number) => {
            into.push(number.to_string());
            // Messages tell numbers in other ways than JSON does.
            into.extend(number.as_f64().filter(|_| number.is_f64()).map(|number| number.to_string()));
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, into)),
        Value::Object(object) => object.values().for_each(|value| texts(value, into)),
        Value::Null | Value::Bool(_) => {}
    }
}

/// How the texts and numbers of a value are written in the document: quotes may be doubled, lines folded, numbers hexadecimal.
fn spellings(document: &Located, value: &Value, pointer: &str, into: &mut Vec<String>) {
    match value {
        Value::String(_) | Value::Number(_) => {
            into.extend(document.written(pointer).filter(|text| !text.is_empty()).map(str::to_owned));
        }
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items.for_each(|(index, item)| spellings(document, item, &format!("{pointer}/{index}"), into));
        }
        Value::Object(object) => {
            let fields = object.iter();
            fields.for_each(|(key, item)| spellings(document, item, &format!("{pointer}/{}", escape(key)), into));
        }
        Value::Null | Value::Bool(_) => {}
    }
}

/// The values of an axis stand in names, titles and labels: a secret must not be one.
pub(super) fn refuse_as_axis(matrix: &Map<String, Value>, root: &Origin, problems: &mut Vec<Problem>) {
    for name in names(&root.document.value).filter(|name| matrix.contains_key(*name)) {
        let message = format!("`{name}` is declared as a secret, and it is an axis of the matrix");
        problems.push(
            Problem::new("secret-as-axis", message)
                .at(root.key_place(&format!("/matrix/{}", escape(name))))
                .help("take it out of the matrix or of `secrets`: the values of an axis tell runs apart by name"),
        );
    }
}

/// Ids are written everywhere and tell steps apart: a secret must not be a part of one.
pub(super) fn refuse_in_ids(steps: &[PlannedStep], redactor: &Redactor, problems: &mut Vec<Problem>) {
    for step in steps {
        step.walk(&mut |step| {
            if let Cow::Owned(_) = redactor.text(&step.id) {
                problems.push(
                    Problem::new("secret-in-id", "the id of this step contains the value of a secret")
                        .at(step.origin.key_place(""))
                        .help("choose another id: ids are written in every result"),
                );
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::path::Path;
    use std::sync::Arc;

    fn read(text: &str) -> Located {
        crate::text::parse(Path::new("x.yaml"), text.to_owned()).expect("YAML")
    }

    #[test]
    fn the_values_of_declared_secrets_are_hidden_wherever_they_are_given() {
        let document = read(
            "secrets: [token, port, whole, given, part]\nvars:\n  token: correct horse\n  port: 918273\n  \
             whole: { user: [staple], no: true }\n  given: \"${env.X}\"\n  part: \"dol${lar-${run.id}\"\n  open: battery\n",
        );
        let layer = json!({ "given": "from a $${layer" }).as_object().cloned().unwrap_or_default();
        let options = PlanOptions {
            vars: vec![layer],
            credentials: Redactor::new(["the environment's own"]),
            ..PlanOptions::default()
        };
        let redactor = secrets_of(&document, &options);
        for secret in [
            "correct horse",
            "918273",
            "staple",
            "from a $${layer",
            "the environment's own",
            // It cannot be read as a template, and is a secret for that.
            "dol${lar-${run.id}",
        ] {
            assert_eq!(redactor.text(&format!("x {secret} y")), "x *** y");
        }
        for open in ["battery", "${env.X}", "true"] {
            assert_eq!(redactor.text(open), open);
        }
        let undeclared = read("vars: { token: correct horse }\n");
        assert!(secrets_of(&undeclared, &PlanOptions::default()).is_empty());
    }

    #[test]
    fn the_secrets_of_all_cells_count_together_and_are_searched_for_at_once() {
        let document = read("secrets: [token]\nvars: {}\n");
        let cell = |value: Value| Bindings {
            vars: Arc::new([("token".to_owned(), value)].into_iter().collect()),
            ..Bindings::default()
        };
        let (mut hidden, options) = (Hidden::default(), PlanOptions::default());
        for number in 0..10 {
            assert!(hidden.add(&document, &cell(json!(format!("token-{number}"))), &options));
        }
        let redactor = hidden.redactor(&options);
        assert_eq!(redactor.text("token-3, token-9"), "***, ***");
        let many = |from: usize| cell((from..from + 600).map(|number| json!(format!("secret-{number}"))).collect());
        assert!(hidden.add(&document, &many(0), &options) && hidden.add(&document, &many(100), &options));
        assert!(!hidden.add(&document, &many(600), &options), "more values than there may be");
        let mut hidden = Hidden::default();
        let long = |letter: &str| cell(json!(letter.repeat(MOST_BYTES / 2)));
        assert!(hidden.add(&document, &long("a"), &options) && hidden.add(&document, &long("b"), &options));
        assert!(!hidden.add(&document, &cell(json!("abcdef")), &options), "more bytes than there may be");
    }

    /// The lines of the document are shown beside problems, whatever form YAML gives a value.
    #[test]
    fn a_secret_is_hidden_as_it_is_written() {
        let document = read(
            "secrets: [quoted, folded, number, float, block, axis, again]\nvars:\n  quoted: 'it''s-hunter'\n  folded: \"correct\n    \
             horse-staple\"\n  number: 0x1A2B3C4D\n  float: 1.23455e7\n  block: |\n    first-line-of-it\n    second-one\n  \
             again: &a \"tab\\tular\"\nmatrix: { axis: [cell-hunter] }\n",
        );
        let redactor = secrets_of(&document, &PlanOptions::default());
        let shown = redactor.blanked(&document.source.text);
        for part in ["it''s", "hunter", "correct", "staple", "1A2B", "1.23455", "first-line", "second", "tab", "ular"] {
            assert!(!shown.contains(part), "{part}: {shown}");
        }
        assert_eq!(shown.len(), document.source.text.len(), "places in it stay true");
        for told in ["it's-hunter", "correct horse-staple", "439041101", "12345500", "12345500.0", "cell-hunter"] {
            assert_eq!(redactor.text(&format!("`{told}` has no unit")), "`***` has no unit");
        }
    }
}
