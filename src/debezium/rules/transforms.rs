//! The transforms of a connector: what they do to topics, to values and to the form of records.

use super::flattened::{Flat, flat};
use super::pattern::Pattern;
use super::predicate::When;
use crate::connect::ConnectorConfig;

/// The form of a connector's records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// Debezium's envelope.
    Envelope,
    /// Flat rows (`ExtractNewRecordState`).
    Flat(Flat),
    /// Messages of an outbox table (`EventRouter`).
    Outbox(Outbox),
}

/// Messages of an outbox table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outbox {
    /// Name of the transform.
    pub transform: String,
    /// Column of the record's key.
    pub key: String,
    /// Column of the record's value.
    pub payload: String,
    /// Column by which messages are routed.
    pub route_by: String,
    /// The topic's name, with `${routedByValue}`, or with the groups of `regex`.
    pub topic: String,
    /// What the value has to match by which messages are routed, so that the topic has that name and not the value itself.
    pub regex: Option<String>,
    /// A message whose payload is empty is a record without value.
    pub buries_empty: bool,
    /// The value contains more columns than the payload.
    pub envelope: bool,
    /// A payload of JSON becomes a value with fields of its own.
    pub expands: bool,
}

/// What a transform does to the name of a topic.
#[derive(Clone, Debug)]
enum TopicRoute {
    /// Another name where the pattern matches.
    Replace { pattern: Pattern, replacement: String },
    /// A name that cannot be told.
    Unknown(String),
}

/// What a transform does that depends on the topic.
#[derive(Clone, Debug)]
enum Effect {
    Route(TopicRoute),
    Shape(Form),
}

/// All transforms together.
#[derive(Clone, Debug)]
pub(super) struct Transforms {
    /// In order, each with when it applies.
    steps: Vec<(When, Effect)>,
    /// Why a change may not arrive.
    pub(super) may_drop: Option<String>,
    /// Why values are not those of the database.
    pub(super) changes_values: Option<String>,
    /// Why the records of one row may be in several partitions.
    pub(super) scatters: Option<String>,
}

/// What becomes of the records of a topic.
pub(super) struct Transformed {
    /// The names that it may have then, or the setting by which that cannot be told.
    pub(super) names: Result<Vec<String>, String>,
    /// Which of the transforms gives them another form; the setting by which that cannot be told.
    pub(super) shape: Result<Option<usize>, String>,
}

impl Transforms {
    pub(super) fn of(config: &ConnectorConfig) -> Self {
        let mut all = Self { steps: Vec::new(), may_drop: None, changes_values: None, scatters: None };
        let names = config.get("transforms").map(String::as_str).unwrap_or_default();
        for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let when = When::of(config, name);
            all.add(name, when, &|key: &str| config.get(&format!("transforms.{name}.{key}")).map(String::as_str));
        }
        all
    }

    fn add<'a>(&mut self, name: &str, when: When, get: &dyn Fn(&str) -> Option<&'a str>) {
        let class = get("type").unwrap_or_default();
        let setting = format!("transforms.{name}.type={class}");
        let short = class.rsplit('.').next().unwrap_or_default();
        let short = short.split('$').next().unwrap_or_default();
        let replaced = |pattern: &str, replacement: &str| {
            Effect::Route(TopicRoute::Replace {
                pattern: Pattern::new(get(pattern).unwrap_or_default(), false),
                replacement: get(replacement).unwrap_or_default().to_owned(),
            })
        };
        match short {
            "RegexRouter" => self.steps.push((when, replaced("regex", "replacement"))),
            "ByLogicalTableRouter" => self.steps.push((when, replaced("topic.regex", "topic.replacement"))),
            "ExtractNewRecordState" => {
                self.steps.push((when.clone(), Effect::Shape(Form::Flat(flat(name, get)))));
                if get("route.by.field").is_some_and(|field| !field.is_empty()) {
                    let route = TopicRoute::Unknown(format!("transforms.{name}.route.by.field"));
                    self.steps.push((when, Effect::Route(route)));
                }
            }
            "EventRouter" => self.steps.push((when, Effect::Shape(Form::Outbox(outbox(name, get))))),
            "Filter" => self.may_drop = Some(setting),
            // They leave topic, form and the row alone.
            "InsertField" | "SetSchemaMetadata" | "HeaderFrom" | "InsertHeader" | "DropHeaders" | "HeaderToValue"
            | "AddMetadataHeaders" => {}
            "PartitionRouting" | "ComputePartition" => self.scatters = Some(setting),
            "ReplaceField" | "MaskField" | "Cast" | "TimestampConverter" | "TimezoneConverter" | "Flatten" => {
                self.changes_values = Some(setting);
            }
            _ => {
                self.steps.push((when, Effect::Route(TopicRoute::Unknown(setting.clone()))));
                self.may_drop = Some(setting.clone());
                self.changes_values = Some(setting);
            }
        }
    }

    /// The transforms that give records another form: their places, and when each applies.
    pub(super) fn shapes(&self) -> impl Iterator<Item = (usize, &When, &Form)> {
        self.steps.iter().enumerate().filter_map(|(place, (when, effect))| match effect {
            Effect::Shape(form) => Some((place, when, form)),
            Effect::Route(_) => None,
        })
    }

    /// The forms that records may have, by the place of the transform that gives it. What no such transform applies to is an envelope.
    pub(super) fn forms(&self) -> Vec<Option<usize>> {
        let mut forms = Vec::new();
        for (place, when, _) in self.shapes() {
            forms.push(Some(place));
            if matches!(when, When::Always) {
                // Who comes behind it finds no envelope any more, and leaves the records as they are.
                return forms;
            }
        }
        forms.push(None);
        forms
    }

    /// The form that the transform at that place gives.
    pub(super) fn form(&self, place: Option<usize>) -> Form {
        match place.and_then(|place| self.steps.get(place)) {
            Some((_, Effect::Shape(form))) => form.clone(),
            _ => Form::Envelope,
        }
    }

    /// What decides on the forms of records, in words, and these: where it is something else, so may the forms be.
    pub(super) fn told_forms(&self) -> Vec<(String, Form)> {
        self.shapes().map(|(_, when, form)| (when.to_string(), form.clone())).collect()
    }

    /// The setting by which it cannot be told which records have another form, if there is one. `named`: the names of topics before all
    /// transforms are known.
    pub(super) fn undecided(&self, named: bool) -> Option<String> {
        let mut sure = named;
        for (when, effect) in &self.steps {
            match (effect, when) {
                (Effect::Shape(_), When::Always) => return None,
                (Effect::Shape(_), When::Topics { .. }) if sure => {}
                (Effect::Shape(_), _) => {
                    return Some(format!(
                        "{when} decides which records have another form, and kscen does not evaluate it; use TopicNameMatches \
                         with the names that topics have before other transforms"
                    ));
                }
                (Effect::Route(route), When::Always | When::Topics { .. }) if route.is_understood() => {}
                (Effect::Route(_), _) => sure = false,
            }
        }
        None
    }

    /// What becomes of the records of a topic, by its name before all transforms.
    pub(super) fn applied(&self, name: String) -> Transformed {
        self.applied_from(0, name, Ok(None))
    }

    /// The topics that may have a message of the outbox whose transform is at that place, by the value that it is routed by.
    ///
    /// # Errors
    /// The setting by which that cannot be told.
    pub(super) fn routed(&self, place: Option<usize>, value: &str) -> Result<Vec<String>, String> {
        let Some((place, Form::Outbox(outbox))) = place.map(|place| (place, self.form(Some(place)))) else {
            return Ok(Vec::new());
        };
        let name = match &outbox.regex {
            None => outbox.topic.replace("${routedByValue}", value),
            Some(regex) => {
                let replaced = Pattern::new(regex, false).replace(value, &outbox.topic);
                let setting = || format!("transforms.{}.route.topic.regex={regex}", outbox.transform);
                replaced.ok_or_else(setting)?.unwrap_or_else(|| value.to_owned())
            }
        };
        self.applied_from(place + 1, name, Ok(Some(place))).names
    }

    /// What the transforms from that place on make of a topic.
    fn applied_from(&self, first: usize, name: String, mut shape: Result<Option<usize>, String>) -> Transformed {
        let mut names: Result<Vec<String>, String> = Ok(vec![name]);
        for (place, (when, effect)) in self.steps.iter().enumerate().skip(first) {
            let applies = names.as_ref().ok().and_then(|names| when.applies(names));
            match (effect, applies) {
                (_, Some(false)) => {}
                (Effect::Shape(_), Some(true)) if shape == Ok(None) => shape = Ok(Some(place)),
                (Effect::Shape(_), None) if shape == Ok(None) => {
                    shape = if matches!(when, When::Always) { Ok(Some(place)) } else { Err(when.to_string()) };
                }
                (Effect::Shape(_), _) => {}
                (Effect::Route(route), applies) => {
                    names = names.and_then(|names| route.applied(names, applies == Some(true)));
                }
            }
        }
        Transformed { names, shape }
    }
}

impl TopicRoute {
    fn is_understood(&self) -> bool {
        matches!(self, Self::Replace { pattern, .. } if pattern.is_understood())
    }

    /// The names that topics may have behind it; `always`: it applies to each.
    fn applied(&self, names: Vec<String>, always: bool) -> Result<Vec<String>, String> {
        let Self::Replace { pattern, replacement } = self else {
            let Self::Unknown(setting) = self else { return Ok(names) };
            return Err(setting.clone());
        };
        let mut next = Vec::new();
        for name in names {
            match pattern.replace(&name, replacement) {
                Some(Some(replaced)) => {
                    next.push(replaced);
                    if !always {
                        next.push(name);
                    }
                }
                Some(None) => next.push(name),
                None => return Err(format!("the pattern `{}`", pattern.source())),
            }
        }
        Ok(next)
    }
}

fn outbox<'a>(name: &str, get: &dyn Fn(&str) -> Option<&'a str>) -> Outbox {
    let or = |key: &str, default: &str| get(key).unwrap_or(default).to_owned();
    let placed = get("table.fields.additional.placement").unwrap_or_default();
    Outbox {
        transform: name.to_owned(),
        key: or("table.field.event.key", "aggregateid"),
        payload: or("table.field.event.payload", "payload"),
        route_by: or("route.by.field", "aggregatetype"),
        topic: or("route.topic.replacement", "outbox.event.${routedByValue}"),
        regex: get("route.topic.regex").map(str::to_owned),
        buries_empty: get("route.tombstone.on.empty.payload") == Some("true"),
        envelope: placed.split(',').any(|placement| placement.contains(":envelope")),
        expands: get("table.expand.json.payload") == Some("true"),
    }
}
