use serde_json::{Map, Value};
use std::borrow::Cow;

use super::budget::{MOST_DEEP, MOST_OF_ONE, measure};
use super::template::{Part, Reference, TemplateError, parse};

/// All references in a value, each with the JSON pointer of its scalar, in the order of the document. Malformed texts are left out:
/// see [`malformed`].
pub fn references(value: &Value) -> Vec<(String, Reference)> {
    let mut found = Vec::new();
    texts(value, &mut String::new(), &mut |pointer, text| {
        if let Ok(template) = parse(text) {
            found.extend(template.references().map(|reference| (pointer.to_owned(), reference.clone())));
        }
    });
    found
}

/// All texts whose references cannot be read, each with its JSON pointer.
pub fn malformed(value: &Value) -> Vec<(String, TemplateError)> {
    let mut found = Vec::new();
    texts(value, &mut String::new(), &mut |pointer, text| {
        if let Err(error) = parse(text) {
            found.push((pointer.to_owned(), error));
        }
    });
    found
}

fn texts(value: &Value, pointer: &mut String, visit: &mut dyn FnMut(&str, &str)) {
    match value {
        Value::String(text) => visit(pointer, text),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                within(pointer, &index.to_string(), |pointer| texts(item, pointer, visit));
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                within(pointer, key, |pointer| texts(item, pointer, visit));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Replaces every reference in the scalars of a value; keys stay as they are.
///
/// A text that is exactly one `${x}` becomes the value of x with its type; elsewhere the value is written into the text. `lookup` gives
/// the value or says why there is none; [`Reference::default`] is its business. All failures are returned, each with the JSON
/// pointer of its scalar. A value that would become too large or too deep is given up.
pub fn resolve<'v>(
    value: &Value,
    lookup: &mut dyn FnMut(&Reference) -> Result<Cow<'v, Value>, String>,
) -> Result<Value, Vec<(String, String)>> {
    let mut resolver =
        Resolver { lookup, pointer: String::new(), depth: 0, size: 0, full: false, failures: Vec::new() };
    let resolved = resolver.value(value);
    if resolver.failures.is_empty() { Ok(resolved) } else { Err(resolver.failures) }
}

struct Resolver<'a, 'v> {
    lookup: &'a mut dyn FnMut(&Reference) -> Result<Cow<'v, Value>, String>,
    pointer: String,
    /// How deep the pointer leads.
    depth: usize,
    /// Bytes of what was made so far.
    size: usize,
    /// Whether that is too much: what comes now is left out.
    full: bool,
    failures: Vec<(String, String)>,
}

impl<'v> Resolver<'_, 'v> {
    fn value(&mut self, value: &Value) -> Value {
        if self.full {
            return Value::Null;
        }
        match value {
            Value::String(text) => self.text(text),
            Value::Array(items) => {
                let each = items.iter().enumerate();
                Value::Array(each.map(|(index, item)| self.child(&index.to_string(), item)).collect())
            }
            Value::Object(map) => {
                let mut resolved = Map::with_capacity(map.len());
                for (key, item) in map {
                    resolved.insert(key.clone(), self.child(key, item));
                }
                Value::Object(resolved)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                self.take(measure(value));
                value.clone()
            }
        }
    }

    /// Counts what is added to the result; `false` where it does not fit any more.
    fn take(&mut self, (size, depth): (usize, usize)) -> bool {
        self.size = self.size.saturating_add(size);
        if self.full {
            return false;
        }
        if self.size > MOST_OF_ONE {
            self.full = true;
            self.fail(format!("with its references replaced the value takes more than {} KiB", MOST_OF_ONE >> 10));
        } else if self.depth + depth > MOST_DEEP {
            self.full = true;
            self.fail(format!("with its references replaced the value nests deeper than {MOST_DEEP} levels"));
        }
        !self.full
    }

    fn child(&mut self, token: &str, value: &Value) -> Value {
        let length = self.pointer.len();
        push_token(&mut self.pointer, token);
        self.depth += 1;
        // A key, and the place of the item itself.
        let resolved = if self.take((token.len(), 0)) { self.value(value) } else { Value::Null };
        self.depth -= 1;
        self.pointer.truncate(length);
        resolved
    }

    fn text(&mut self, text: &str) -> Value {
        let template = match parse(text) {
            Ok(template) => template,
            Err(error) => return self.fail(error.to_string()),
        };
        if let Some(reference) = template.single() {
            return match (self.lookup)(reference) {
                Ok(value) if self.take(measure(&value)) => value.into_owned(),
                Ok(_) => Value::Null,
                Err(message) => self.fail(message),
            };
        }
        let mut out = String::with_capacity(text.len());
        self.take(measure(&Value::Null));
        for part in &template.parts {
            if self.full {
                break;
            }
            match part {
                Part::Text(text) => {
                    self.take((text.len(), 0));
                    out.push_str(text);
                }
                Part::Reference(reference) => {
                    match (self.lookup)(reference).and_then(|value| written(reference, value)) {
                        Ok(text) if self.take((text.len(), 0)) => out.push_str(&text),
                        Ok(_) => {}
                        Err(message) => {
                            self.fail(message);
                        }
                    }
                }
            }
        }
        Value::String(out)
    }

    fn fail(&mut self, message: String) -> Value {
        self.failures.push((self.pointer.clone(), message));
        Value::Null
    }
}

/// A value within a longer text.
fn written<'v>(reference: &Reference, value: Cow<'v, Value>) -> Result<Cow<'v, str>, String> {
    let what = match value {
        Cow::Borrowed(Value::String(text)) => return Ok(Cow::Borrowed(text)),
        Cow::Owned(Value::String(text)) => return Ok(Cow::Owned(text)),
        value => match &*value {
            Value::Number(_) | Value::Bool(_) => return Ok(Cow::Owned(value.to_string())),
            Value::Array(_) => "a list",
            Value::Object(_) => "a mapping",
            Value::Null | Value::String(_) => "null",
        },
    };
    Err(format!("`{}` is {what}, which cannot be part of a text", reference.raw))
}

fn within(pointer: &mut String, token: &str, visit: impl FnOnce(&mut String)) {
    let length = pointer.len();
    push_token(pointer, token);
    visit(pointer);
    pointer.truncate(length);
}

fn push_token(pointer: &mut String, token: &str) {
    pointer.push('/');
    for c in token.chars() {
        match c {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            c => pointer.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lookup(reference: &Reference) -> Result<Cow<'static, Value>, String> {
        let value = match reference.path.join(".").as_str() {
            "n" => Ok(json!(1000)),
            "on" => Ok(json!(true)),
            "t" => Ok(json!("orders-${n}")),
            "list" => Ok(json!([1, 2])),
            name => match &reference.default {
                Some(default) => Ok(json!(default)),
                None => Err(format!("no value named `{name}`")),
            },
        };
        value.map(Cow::Owned)
    }

    #[test]
    fn types_are_kept_and_texts_filled() {
        let value = json!({
            "${n}": "${n}",
            "a/b": ["${on}", "x-${n}-${on}", "${t}", "$${n}", 7, null],
            "list": "${list}",
            "env": "${env.X:-fallback}",
        });
        let expected = json!({
            "${n}": 1000,
            "a/b": [true, "x-1000-true", "orders-${n}", "${n}", 7, null],
            "list": [1, 2],
            "env": "fallback",
        });
        assert_eq!(resolve(&value, &mut lookup), Ok(expected));
        let found: Vec<_> =
            references(&value).into_iter().map(|(pointer, reference)| (pointer, reference.raw)).collect();
        assert_eq!(found[0], ("/${n}".to_owned(), "${n}".to_owned()));
        assert_eq!(found[2], ("/a~1b/1".to_owned(), "${n}".to_owned()));
        assert_eq!(found.len(), 7);
    }

    #[test]
    fn all_failures_are_reported() {
        let value = json!({"a": "${x}", "b": ["in ${list}", "${", "${y} ${z}"]});
        let failures = resolve(&value, &mut lookup).expect_err("nothing is known");
        let pointers: Vec<_> = failures.iter().map(|(pointer, _)| pointer.as_str()).collect();
        assert_eq!(pointers, ["/a", "/b/0", "/b/1", "/b/2", "/b/2"]);
        assert_eq!(failures[0].1, "no value named `x`");
        assert_eq!(failures[1].1, "`${list}` is a list, which cannot be part of a text");
    }

    #[test]
    fn what_would_grow_without_end_is_given_up() {
        let long = Value::String("x".repeat(100_000));
        let mut deep = json!(0);
        for _ in 0..60 {
            deep = json!([deep]);
        }
        let mut lookup = |reference: &Reference| {
            Ok(match reference.path.join(".").as_str() {
                "long" => Cow::Borrowed(&long),
                _ => Cow::Borrowed(&deep),
            })
        };
        let mut fails = |value: Value| resolve(&value, &mut lookup).expect_err("it is too much");
        let texts = fails(json!({ "a": "${long}".repeat(1_000), "b": "${long}" }));
        assert_eq!(
            texts,
            [("/a".to_owned(), "with its references replaced the value takes more than 1024 KiB".to_owned())]
        );
        let lists = fails(json!([vec!["${long}"; 1_000]]));
        assert_eq!((lists.len(), lists[0].0.as_str()), (1, "/0/10"));
        let nested = fails(json!({ "a": [{ "b": [[["${deep}"]]] }] }));
        assert!(nested[0].1.contains("deeper than 64 levels"), "{nested:?}");
        assert!(resolve(&json!(["${deep}", "${long}"]), &mut lookup).is_ok());
    }
}
