//! What `${…}` stands for.

use crate::environment::Endpoints;
use crate::ground::some_of;
use crate::record::{Unit, metric};
use crate::scenario::interpolate::{self, Budget, MOST_OF_ALL, Reference};
use crate::text::{Origin, Problem, did_you_mean, short};
use crate::verb::Scope;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::env::VarError;
use std::sync::Arc;

/// First words of references that are not variables.
pub const RESERVED: &[&str] =
    &["run", "matrix", "env", "secrets", "steps", "kafka", "connect", "postgres", "kafka_ui", "item", "index", "vars"];

/// Problems of one file beyond which no more are looked for.
pub(super) const MOST_PROBLEMS: usize = 200;

/// The values that are fixed before the run starts. Every turn of a `for_each` has a copy: what can be large is shared.
#[derive(Clone, Debug, Default)]
pub struct Bindings {
    /// Variables, resolved.
    pub vars: Arc<Map<String, Value>>,
    /// This run's cell of the matrix.
    pub matrix: Arc<BTreeMap<String, Value>>,
    /// The run's id.
    pub run_id: String,
    /// The run's seed.
    pub seed: u64,
    /// Secrets by name; `None` where one is declared and not set.
    pub secrets: Arc<BTreeMap<String, Option<String>>>,
    /// The item and index of an enclosing `for_each`.
    pub item: Option<(Value, usize)>,
    /// Prefix of ids inside the same fragment.
    pub prefix: String,
    /// Variables whose own definition is wrong: what uses them is not worth a problem of its own.
    pub broken: Arc<BTreeSet<String>>,
    /// What planning the scenario may still cost.
    pub budget: Budget,
}

/// What is only known while running.
pub trait RunValues: Send + Sync {
    /// A metric of a step, as it is used in texts and numbers.
    ///
    /// # Errors
    /// Says why there is no value.
    fn metric(&self, step: &str, path: &[String]) -> Result<Value, String>;
    /// Addresses of the environment.
    fn endpoints(&self) -> Endpoints;
}

/// Stands in for what is only known while running, with values of the right type.
struct Placeholder;

impl RunValues for Placeholder {
    fn metric(&self, _: &str, path: &[String]) -> Result<Value, String> {
        let unit = path.first().and_then(|name| metric::named(name)).map_or(Unit::Count, |metric| metric.unit);
        Ok(match unit {
            Unit::Count => json!(1),
            Unit::Duration => json!("1s"),
            Unit::Rate => json!("1/s"),
            Unit::Bytes => json!("1B"),
            Unit::Share => json!("1%"),
        })
    }

    fn endpoints(&self) -> Endpoints {
        Endpoints {
            bootstrap: "127.0.0.1:9092".to_owned(),
            connect: Some("http://127.0.0.1:8083".to_owned()),
            postgres: Some("postgres://127.0.0.1:5432/app".to_owned()),
            kafka_ui: Some("http://127.0.0.1:8081".to_owned()),
            ..Endpoints::default()
        }
    }
}

impl Bindings {
    /// The bindings inside a `for_each`.
    #[must_use]
    pub fn with_item(&self, item: Value, index: usize) -> Arc<Self> {
        Arc::new(Self { item: Some((item, index)), ..self.clone() })
    }

    /// Whether a value refers to what is only known while running.
    pub fn is_dynamic(value: &Value) -> bool {
        interpolate::references(value).iter().any(|(_, reference)| {
            matches!(
                reference.path.first().map(String::as_str),
                Some("steps" | "kafka" | "connect" | "postgres" | "kafka_ui")
            )
        })
    }

    /// Checks every reference in `value`; reports the ones that stand for nothing.
    pub fn check(&self, value: &Value, origin: &Origin, scope: Option<&Scope>, problems: &mut Vec<Problem>) -> bool {
        let mut fine = true;
        for (pointer, error) in interpolate::malformed(value) {
            if problems.len() >= MOST_PROBLEMS {
                return false;
            }
            problems.push(Problem::new("bad-reference", error.to_string()).at(origin.place(&pointer)));
            fine = false;
        }
        for (pointer, reference) in interpolate::references(value) {
            if problems.len() >= MOST_PROBLEMS {
                return false;
            }
            if let Err(problem) = self.check_reference(&reference, scope) {
                problems.push(problem.at(origin.place_within(&pointer, &reference.raw)));
                fine = false;
            } else if self.is_broken(&reference) {
                fine = false;
            }
        }
        fine
    }

    fn is_broken(&self, reference: &Reference) -> bool {
        variable(reference).is_some_and(|name| self.broken.contains(name))
    }

    fn check_reference(&self, reference: &Reference, scope: Option<&Scope>) -> Result<(), Problem> {
        let words: Vec<&str> = reference.path.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["steps", id, path @ ..] => scope.map_or(Ok(()), |scope| self.check_metric(id, path, scope)),
            _ => self.lookup(reference, &Placeholder).map(|_| ()).map_err(|message| {
                let mut problem = Problem::new(code_of(&words), message);
                if let Some(help) = self.remedy(&words) {
                    problem = problem.help(help);
                }
                problem
            }),
        }
    }

    /// Checks that a step of that id exists and has the metric, with a statistic where it is a distribution.
    ///
    /// # Errors
    /// Names what there is instead.
    pub(super) fn check_metric(&self, id: &str, path: &[&str], scope: &Scope) -> Result<(), Problem> {
        let full = format!("{}{id}", self.prefix);
        let Some(step) = scope.step(&full) else {
            let known = scope.ids(&self.prefix);
            let problem = Problem::new("unknown-step", format!("there is no step with the id `{id}`"));
            return Err(match did_you_mean(id, known) {
                Some(similar) => problem.help(format!("did you mean `{similar}`?")),
                None => problem,
            });
        };
        if step.verb.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = metric::of(step.work).map(|metric| metric.name).collect();
        let known = match path {
            [name] => names
                .contains(name)
                .then_some(())
                .filter(|()| metric::named(name).is_some_and(|metric| metric.shape == metric::MetricShape::Single)),
            [name, statistic @ ..] => {
                (names.contains(name) && metric::is_statistic(&statistic.join("."))).then_some(())
            }
            [] => None,
        };
        known.ok_or_else(|| {
            let message = match path {
                [] => format!("`${{steps.{id}}}` names no metric of `{id}`"),
                path => format!("`{}` is not a metric of a `{}` step", path.join("."), step.verb),
            };
            let problem = Problem::new("unknown-metric", message);
            match path.first().and_then(|name| did_you_mean(name, names.iter().copied())) {
                Some(similar) if path.first() == Some(&similar) => {
                    problem.help(format!("name a statistic, such as `{similar}.p99`"))
                }
                Some(similar) => problem.help(format!("did you mean `{similar}`?")),
                None => problem.help(format!("its metrics are {}", names.join(", "))),
            }
        })
    }

    fn remedy(&self, words: &[&str]) -> Option<String> {
        match words {
            ["env", name] => Some(format!("set it, or give a default: ${{env.{name}:-default}}")),
            ["secrets", name] => Some(format!("declare it: `secrets: [{name}]`, and set KSCEN_SECRET_{name}")),
            ["matrix", name, ..] => did_you_mean(name, self.matrix.keys().map(String::as_str))
                .map(|similar| format!("did you mean `matrix.{similar}`?")),
            ["item" | "index", ..] if self.item.is_none() => Some("only steps with `for_each` have it".to_owned()),
            ["vars", name, ..] => did_you_mean(name, self.vars.keys().map(String::as_str))
                .map(|similar| format!("did you mean `{similar}`?")),
            [name, ..] if RESERVED.contains(name) || self.vars.contains_key(*name) => None,
            [name, ..] => {
                let candidates = self.vars.keys().map(String::as_str).chain(RESERVED.iter().copied());
                did_you_mean(name, candidates).map(|similar| format!("did you mean `{similar}`?")).or_else(|| {
                    Some(if self.vars.is_empty() {
                        format!("declare it under `vars`, or pass --var {name}=VALUE")
                    } else {
                        format!("the variables are {}", some_of(self.vars.keys().map(String::as_str)))
                    })
                })
            }
            [] => None,
        }
    }

    /// Replaces every reference; what is only known while running is stood in for.
    ///
    /// # Errors
    /// Pointers and messages of references that stand for nothing, and of a scenario that grows without end.
    pub fn resolve_static(&self, value: &Value) -> Result<Value, Vec<(String, String)>> {
        let resolved = self.resolve(value, &Placeholder)?;
        if self.budget.take(interpolate::size(&resolved)) {
            return Ok(resolved);
        }
        let message = format!(
            "with all references replaced the scenario takes more than {} MiB: use shorter values, fewer items or a smaller matrix",
            MOST_OF_ALL >> 20
        );
        Err(vec![(String::new(), message)])
    }

    /// Replaces every reference.
    ///
    /// # Errors
    /// Pointers and messages of references that stand for nothing.
    pub fn resolve(&self, value: &Value, live: &dyn RunValues) -> Result<Value, Vec<(String, String)>> {
        interpolate::resolve(value, &mut |reference| self.lookup(reference, live))
    }

    fn lookup(&self, reference: &Reference, live: &dyn RunValues) -> Result<Cow<'_, Value>, String> {
        let words: Vec<&str> = reference.path.iter().map(String::as_str).collect();
        let made = match words.as_slice() {
            ["run", "id"] => Ok(json!(self.run_id)),
            ["run", "seed"] => Ok(json!(self.seed)),
            ["matrix", name, rest @ ..] => {
                let value = self.matrix.get(*name).ok_or_else(|| format!("there is no matrix value `{name}`"))?;
                return descend(value, rest).map(Cow::Borrowed);
            }
            ["env", name] => match (std::env::var(name), &reference.default) {
                (Ok(value), _) => Ok(json!(value)),
                (Err(VarError::NotUnicode(_)), _) => {
                    Err(format!("the environment variable `{name}` is not UTF-8 text"))
                }
                (Err(_), Some(default)) => Ok(json!(default)),
                (Err(_), None) => Err(format!("the environment variable `{name}` is not set")),
            },
            ["secrets", name] => match (self.secrets.get(*name), &reference.default) {
                (Some(Some(secret)), _) => Ok(json!(secret)),
                (Some(None), Some(default)) => Ok(json!(default)),
                (Some(None), None) => Err(format!("the secret `{name}` is not set: KSCEN_SECRET_{name} is missing")),
                (None, _) => Err(format!("the secret `{name}` is not declared")),
            },
            ["steps", id, ..] => live.metric(&format!("{}{id}", self.prefix), &reference.path[2..]),
            ["kafka", "bootstrap"] => Ok(json!(live.endpoints().bootstrap)),
            ["connect", "url"] => address(live.endpoints().connect, "Kafka Connect"),
            ["kafka_ui", "url"] => address(live.endpoints().kafka_ui, "Kafka UI"),
            ["postgres", "url"] => address(live.endpoints().postgres, "PostgreSQL"),
            ["item", rest @ ..] => match &self.item {
                Some((item, _)) => return descend(item, rest).map(Cow::Borrowed),
                None => Err("there is no `item` here".to_owned()),
            },
            ["index"] => match &self.item {
                Some((_, index)) => Ok(json!(index)),
                None => Err("there is no `index` here".to_owned()),
            },
            ["vars", name, rest @ ..] => return self.variable(name, rest).map(Cow::Borrowed),
            [name, rest @ ..] if !RESERVED.contains(name) => {
                return self.variable(name, rest).map(Cow::Borrowed);
            }
            [name, rest @ ..] => Err(match namespace(name) {
                Some(known) if rest.is_empty() => format!("`${{{name}}}` alone is not a value: {known}"),
                Some(known) => format!("`{name}` has no `{}`: {known}", rest.join(".")),
                None => format!("`{name}` has no value here"),
            }),
            [] => Err("an empty reference has no value".to_owned()),
        };
        made.map(Cow::Owned)
    }

    fn variable(&self, name: &str, path: &[&str]) -> Result<&Value, String> {
        let value = self.vars.get(name).ok_or_else(|| format!("there is no variable `{name}`"))?;
        descend(value, path).map_err(|error| format!("`{name}` is {}: {error}", short(&value.to_string(), 200)))
    }
}

/// What a reserved word can be followed by.
fn namespace(word: &str) -> Option<&'static str> {
    Some(match word {
        "run" => "write `${run.id}` or `${run.seed}`",
        "kafka" => "write `${kafka.bootstrap}`",
        "connect" => "write `${connect.url}`",
        "postgres" => "write `${postgres.url}`",
        "kafka_ui" => "write `${kafka_ui.url}`",
        "vars" => "write `${vars.NAME}`, or just `${NAME}`",
        "matrix" => "write `${matrix.NAME}`",
        "env" => "write `${env.NAME}`",
        "secrets" => "write `${secrets.NAME}`",
        "steps" => "write `${steps.ID.METRIC}`",
        "index" => "write `${index}`",
        _ => return None,
    })
}

fn code_of(words: &[&str]) -> &'static str {
    match words.first() {
        Some(&"env") => "unset-environment",
        Some(&"secrets") => "unknown-secret",
        Some(&"matrix") => "unknown-matrix-value",
        _ => "unknown-variable",
    }
}

/// The variable that a reference uses, if it is one.
pub(super) fn variable(reference: &Reference) -> Option<&str> {
    match reference.path.as_slice() {
        [first, second, ..] if first == "vars" => Some(second),
        [first, ..] if !RESERVED.contains(&first.as_str()) => Some(first),
        _ => None,
    }
}

fn descend<'a>(value: &'a Value, path: &[&str]) -> Result<&'a Value, String> {
    path.iter()
        .try_fold(value, |value, key| match value {
            Value::Object(object) => object.get(*key),
            Value::Array(items) => key.parse::<usize>().ok().and_then(|index| items.get(index)),
            _ => None,
        })
        .ok_or_else(|| format!("it has no `{}`", path.join(".")))
}

fn address(url: Option<String>, what: &str) -> Result<Value, String> {
    url.map(Value::String).ok_or_else(|| format!("this environment has no {what}"))
}
