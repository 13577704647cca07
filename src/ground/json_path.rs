//! Where a value stands in a JSON document.

use serde_json::Value;
use std::fmt;

/// Names and indexes from the root of a document: `$.after.id`, `items[0].id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPath(Vec<String>);

impl JsonPath {
    /// Reads a path.
    ///
    /// # Errors
    /// Says what a path looks like.
    pub fn parse(text: &str) -> Result<Self, String> {
        let path = text.trim().trim_start_matches('$');
        let path = path.strip_prefix(['.', '[']).unwrap_or(path);
        let steps: Vec<String> = path
            .split(['.', '['])
            .map(|step| step.trim_end_matches(']').trim_matches(['\'', '"']).to_owned())
            .collect();
        match steps.iter().any(String::is_empty) {
            true => Err(format!("`{text}` is not a path of names and indexes such as `$.after.id`")),
            false => Ok(Self(steps)),
        }
    }

    /// The value there; `None` where the document has none.
    pub fn find<'a>(&self, root: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(root, |value, step| match value {
            Value::Array(items) => items.get(step.parse::<usize>().ok()?),
            other => other.get(step),
        })
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "$.{}", self.0.join("."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_path_leads_through_names_and_indexes() {
        let document = json!({ "after": { "id": 7 }, "items": [{ "id": "a" }], "none": null });
        let find = |path: &str| JsonPath::parse(path).expect("a path").find(&document).cloned();
        assert_eq!(find("$.after.id"), Some(json!(7)));
        assert_eq!(find("items[0]['id']"), Some(json!("a")));
        assert_eq!(find("$.none"), Some(Value::Null));
        assert_eq!((find("$.items[1].id"), find("$.after.id.x"), find("other")), (None, None, None));
        for wrong in ["", "$", "$..id", "a.", "a[]"] {
            assert!(JsonPath::parse(wrong).is_err(), "{wrong}");
        }
    }
}
