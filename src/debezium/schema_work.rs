//! How much work a JSON schema is, counted before it is compiled: a few kilobytes of references can say more than anybody can look at.

use serde_json::{Map, Value};
use std::collections::HashMap;

/// Regular expressions, and what one has in bytes.
const MOST_PATTERNS: usize = 256;
const LONGEST_PATTERN: usize = 1_000;
/// Parts that name themselves, to which references may lead.
const MOST_IDS: usize = 64;
/// Parts that apply to the same value because one refers to the next or has it in itself.
const MOST_IN_A_ROW: usize = 64;
/// Looks at parts of the schema for one value of a message and all that it lies in.
const MOST_LOOKS: u64 = 1 << 20;
/// How deep messages lie at least that a schema must be fit for, and at most.
const LEAST_DEPTH: usize = 8;
const MOST_DEPTH: usize = 128;

/// Keys of schemas that apply to the same value.
const SAME: [&str; 9] = ["allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies"];
/// Keys of which each applies to another value inside.
const EACH: [&str; 3] = ["properties", "prefixItems", "items"];
/// Keys that may all apply to one value inside.
const INSIDE: [&str; 7] = [
    "patternProperties",
    "additionalProperties",
    "additionalItems",
    "contains",
    "propertyNames",
    "unevaluatedProperties",
    "unevaluatedItems",
];
const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];

/// A part of a schema: what else applies where it does, by place.
#[derive(Default)]
struct Part {
    same: Vec<usize>,
    each: Vec<usize>,
    inside: Vec<usize>,
}

/// The parts of a schema that apply to something.
struct Parts<'a> {
    root: &'a Value,
    /// The root, and parts with an `$id`: the fragment of a reference counts from one of them.
    resources: Vec<&'a Value>,
    anchors: HashMap<&'a str, Vec<&'a Value>>,
    places: HashMap<*const Value, usize>,
    found: Vec<&'a Value>,
}

/// How deep a message may lie that is held against a schema; `None` where any may.
///
/// # Errors
/// Why the schema is more than is looked at, in words.
pub(super) fn deepest(schema: &Value) -> Result<Option<usize>, String> {
    patterns(schema)?;
    let parts = parts(schema)?;
    let order = order(&parts)?;
    let mut inner: Vec<u64> = Vec::new();
    for depth in 0..=MOST_DEPTH {
        let mut looks = vec![1_u64; parts.len()];
        for place in &order {
            let part = &parts[*place];
            let sum = |of: &[usize], table: &[u64]| {
                of.iter().fold(0_u64, |sum, part| sum.saturating_add(*table.get(*part).unwrap_or(&0)))
            };
            let each = part.each.iter().filter_map(|part| inner.get(*part)).max().copied().unwrap_or(0);
            looks[*place] = 1_u64
                .saturating_add(sum(&part.same, &looks))
                .saturating_add(sum(&part.inside, &inner))
                .saturating_add(each);
        }
        if looks[0] > MOST_LOOKS {
            if depth < LEAST_DEPTH {
                return Err(format!(
                    "its parts refer to each other so often that a value of a message is looked at more than {MOST_LOOKS} times"
                ));
            }
            return Ok(Some(depth - 1));
        }
        if looks == inner {
            return Ok(None);
        }
        inner = looks;
    }
    Ok(None)
}

/// Counts regular expressions, wherever they stand.
fn patterns(schema: &Value) -> Result<(), String> {
    let (mut count, mut rest) = (0, vec![schema]);
    while let Some(value) = rest.pop() {
        rest.extend(inner(value));
        let Some(object) = value.as_object() else { continue };
        let own = object.get("pattern").and_then(Value::as_str);
        let named = object.get("patternProperties").and_then(Value::as_object).into_iter().flat_map(Map::keys);
        for pattern in own.into_iter().chain(named.map(String::as_str)) {
            count += 1;
            if pattern.len() > LONGEST_PATTERN {
                return Err(format!("a regular expression in it has more than {LONGEST_PATTERN} bytes"));
            }
        }
    }
    if count > MOST_PATTERNS { Err(format!("it has more than {MOST_PATTERNS} regular expressions")) } else { Ok(()) }
}

/// The values in a list or an object.
fn inner(value: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match value {
        Value::Array(items) => Box::new(items.iter()),
        Value::Object(object) => Box::new(object.values()),
        _ => Box::new(std::iter::empty()),
    }
}

/// The schemas of a key: one, a list or an object of them.
fn schemas<'a>(key: &str, value: &'a Value) -> Box<dyn Iterator<Item = &'a Value> + 'a> {
    match (key, value) {
        ("properties" | "patternProperties" | "dependentSchemas" | "dependencies", Value::Object(object)) => {
            Box::new(object.values())
        }
        (_, Value::Array(items)) => Box::new(items.iter()),
        _ => Box::new(std::iter::once(value)),
    }
}

impl<'a> Parts<'a> {
    fn of(root: &'a Value) -> Result<Self, String> {
        let (mut resources, mut anchors, mut rest) = (vec![root], HashMap::<&str, Vec<&Value>>::new(), vec![root]);
        while let Some(value) = rest.pop() {
            rest.extend(inner(value));
            let text = |key: &str| value.get(key).and_then(Value::as_str);
            let id = text("$id").or_else(|| text("id"));
            if id.is_some() && !std::ptr::eq(value, root) {
                resources.push(value);
            }
            let named = id.and_then(|id| id.strip_prefix('#'));
            for anchor in [text("$anchor"), text("$dynamicAnchor"), named].into_iter().flatten() {
                anchors.entry(anchor).or_default().push(value);
            }
        }
        let named = anchors.values().map(Vec::len).max().unwrap_or(0);
        if resources.len().max(named) > MOST_IDS {
            return Err(format!("more than {MOST_IDS} of its parts name themselves"));
        }
        Ok(Self { root, resources, anchors, places: HashMap::new(), found: Vec::new() })
    }

    /// The place of a part.
    fn place(&mut self, part: &'a Value) -> usize {
        *self.places.entry(std::ptr::from_ref(part)).or_insert_with(|| {
            self.found.push(part);
            self.found.len() - 1
        })
    }

    /// All parts that a reference can lead to: where it counts from is not asked.
    fn targets(&self, reference: &str) -> Vec<&'a Value> {
        let fragment = reference.split_once('#').map_or("", |(_, fragment)| fragment);
        let pointer = decoded(fragment);
        match &*pointer {
            "" => self.resources.clone(),
            pointer if pointer.starts_with('/') => {
                self.resources.iter().filter_map(|resource| resource.pointer(pointer)).collect()
            }
            anchor => self.anchors.get(anchor).cloned().unwrap_or_default(),
        }
    }

    fn part(&mut self, value: &'a Value) -> Part {
        let mut part = Part::default();
        let Some(object) = value.as_object() else { return part };
        let of = |keys: &[&str], all: &mut Self| -> Vec<usize> {
            let given = keys.iter().filter_map(|key| Some((*key, object.get(*key)?)));
            let schemas = given.flat_map(|(key, value)| schemas(key, value)).filter(|schema| schema.is_object());
            schemas.map(|schema| all.place(schema)).collect()
        };
        (part.same, part.each, part.inside) = (of(&SAME, self), of(&EACH, self), of(&INSIDE, self));
        for reference in REFERENCES.iter().filter_map(|key| object.get(*key)?.as_str()) {
            for target in self.targets(reference) {
                let place = self.place(target);
                part.same.push(place);
            }
        }
        // What is not evaluated is known only when all else is looked at once more.
        if object.keys().any(|key| key.starts_with("unevaluated")) {
            part.same.extend_from_within(..);
        }
        part
    }
}

/// The parts that apply to something, the whole schema first.
fn parts(schema: &Value) -> Result<Vec<Part>, String> {
    let mut all = Parts::of(schema)?;
    all.place(all.root);
    let mut parts = Vec::new();
    while let Some(value) = all.found.get(parts.len()).copied() {
        parts.push(all.part(value));
    }
    Ok(parts)
}

/// The parts in an order in which each comes behind those that apply to the same value because of it.
fn order(parts: &[Part]) -> Result<Vec<usize>, String> {
    const OPEN: usize = usize::MAX;
    let (mut order, mut heights) = (Vec::new(), vec![0_usize; parts.len()]);
    for first in 0..parts.len() {
        let mut path = vec![(first, 0)];
        while let Some((place, next)) = path.pop() {
            if next == 0 && heights[place] != 0 {
                continue;
            }
            heights[place] = OPEN;
            if let Some(inner) = parts[place].same.get(next) {
                if heights[*inner] == OPEN {
                    return Err("a part of it refers to itself, for the same value".to_owned());
                }
                path.extend([(place, next + 1), (*inner, 0)]);
                continue;
            }
            heights[place] = 1 + parts[place].same.iter().map(|inner| heights[*inner]).max().unwrap_or(0);
            if heights[place] > MOST_IN_A_ROW {
                return Err(format!("more than {MOST_IN_A_ROW} of its parts refer to each other in a row"));
            }
            order.push(place);
        }
    }
    Ok(order)
}

/// A fragment without its percent signs.
fn decoded(fragment: &str) -> String {
    let mut parts = fragment.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => bytes.extend([&[byte], &part.as_bytes()[2..]].concat()),
            None => bytes.extend([b"%", part.as_bytes()].concat()),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// How deep a value lies.
pub(super) fn depth(value: &Value) -> usize {
    match value {
        Value::Array(_) | Value::Object(_) => 1 + inner(value).map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// So many definitions, each of which has what `of` makes of a reference to the next one.
    fn chain(count: usize, of: impl Fn(Value) -> Value) -> Value {
        let next = |number: usize| of(json!({ "$ref": format!("#/$defs/d{}", number + 1) }));
        let mut all: Map<String, Value> = (0..count).map(|number| (format!("d{number}"), next(number))).collect();
        all.insert(format!("d{count}"), json!({ "type": "integer" }));
        json!({ "$ref": "#/$defs/d0", "$defs": all })
    }

    #[test]
    fn what_no_message_can_be_held_against_is_refused() {
        let twice = |next: Value| json!({ "allOf": [next, next] });
        assert_eq!(deepest(&chain(8, twice)), Ok(None));
        assert!(deepest(&chain(25, twice)).expect_err("2^25 looks").contains("looked at more than 1048576 times"));
        assert!(deepest(&chain(70, |next| json!({ "allOf": [next] }))).expect_err("a row").contains("in a row"));
        let inside = |next: Value| json!({ "additionalProperties": next, "patternProperties": { "a": next } });
        assert!(deepest(&chain(7, inside)).is_ok());
        let ring = json!({ "$defs": { "a": { "anyOf": [{ "$ref": "#/$defs/a" }] } }, "$ref": "#/$defs/a" });
        assert!(deepest(&ring).expect_err("a ring").contains("refers to itself"));
        let anchor = json!({ "$anchor": "all", "not": { "$ref": "#all" } });
        assert!(deepest(&anchor).expect_err("a ring").contains("refers to itself"));
        let unevaluated = |next: Value| json!({ "allOf": [next], "unevaluatedProperties": false });
        assert!(deepest(&chain(25, unevaluated)).is_err());
    }

    #[test]
    fn a_schema_that_repeats_itself_bounds_how_deep_messages_lie() {
        let list = json!({ "properties": { "next": { "$ref": "#" }, "other": { "$ref": "#" } } });
        assert_eq!(deepest(&list), Ok(None), "each value is looked at once");
        let either = json!({ "items": { "anyOf": [{ "$ref": "#" }, { "$ref": "#" }] } });
        let most = deepest(&either).expect("a schema").expect("a bound");
        assert!((10..30).contains(&most), "{most}");
        assert_eq!(depth(&json!({ "a": [1, { "b": [] }], "c": 1 })), 4);
        assert_eq!(depth(&json!("text")), 0);
    }

    #[test]
    fn regular_expressions_are_counted_wherever_they_stand() {
        let of = |count: usize| -> Value {
            let all: Map<String, Value> =
                (0..count).map(|number| (format!("k{number}"), json!({ "pattern": "a" }))).collect();
            json!({ "properties": all, "patternProperties": { "x": true } })
        };
        assert_eq!(deepest(&of(MOST_PATTERNS - 1)), Ok(None));
        assert!(deepest(&of(MOST_PATTERNS)).expect_err("one more").contains("256 regular expressions"));
        let long = json!({ "items": { "pattern": "a".repeat(LONGEST_PATTERN + 1) } });
        assert!(deepest(&long).expect_err("a long one").contains("1000 bytes"));
    }
}
