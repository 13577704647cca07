//! `params:` of `sql`: values bound to `$1 … $n`, with placeholders that differ from repetition to repetition.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

/// Names as they stand between `{{` and `}}`.
const PLACEHOLDERS: [&str; 4] = ["sequence", "random", "uuid", "time_ms"];

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Placeholder(&'static str),
}

#[derive(Clone, Debug, PartialEq)]
enum Param {
    Fixed(Value),
    Template(Vec<Part>),
}

/// Parsed parameters.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Params {
    params: Vec<Param>,
    seed: u64,
}

impl Params {
    /// Parses them. `seed` makes random values the same in every run with that seed.
    ///
    /// # Errors
    /// Place in the list and what is wrong, of every unknown placeholder.
    pub(super) fn parse(values: &[Value], seed: u64) -> Result<Self, Vec<(usize, String)>> {
        let (mut params, mut wrong) = (Vec::new(), Vec::new());
        for (index, value) in values.iter().enumerate() {
            match value {
                Value::String(text) if text.contains("{{") => match template(text) {
                    Ok(parts) => params.push(Param::Template(parts)),
                    Err(why) => wrong.push((index, why)),
                },
                other => params.push(Param::Fixed(other.clone())),
            }
        }
        if wrong.is_empty() { Ok(Self { params, seed }) } else { Err(wrong) }
    }

    /// The values of one repetition.
    pub(super) fn values(&self, sequence: u64) -> Vec<Value> {
        let mut rng = StdRng::seed_from_u64(self.seed ^ sequence.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        self.params
            .iter()
            .map(|param| match param {
                Param::Fixed(value) => value.clone(),
                Param::Template(parts) => Value::String(
                    parts
                        .iter()
                        .map(|part| match part {
                            Part::Text(text) => text.clone(),
                            Part::Placeholder("sequence") => sequence.to_string(),
                            Part::Placeholder("time_ms") => jiff::Timestamp::now().as_millisecond().to_string(),
                            Part::Placeholder("uuid") => uuid(&mut rng),
                            // Fits every integer type of PostgreSQL but smallint.
                            Part::Placeholder(_) => rng.random_range(0..i32::MAX).to_string(),
                        })
                        .collect(),
                ),
            })
            .collect()
    }
}

fn template(text: &str) -> Result<Vec<Part>, String> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").ok_or("`{{` is never closed with `}}`")?;
        let known = PLACEHOLDERS.into_iter().find(|known| *known == name.trim());
        let placeholder = known.ok_or_else(|| {
            format!("there is no placeholder `{}`; there are {}", name.trim(), PLACEHOLDERS.join(", "))
        })?;
        parts.extend([Part::Text(before.to_owned()), Part::Placeholder(placeholder)]);
        rest = after;
    }
    parts.push(Part::Text(rest.to_owned()));
    Ok(parts)
}

/// A random UUID (version 4).
fn uuid(rng: &mut StdRng) -> String {
    let bits = (rng.random::<u128>() & !(0xF << 76) & !(0x3 << 62)) | (4 << 76) | (2 << 62);
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn placeholders_differ_by_repetition_and_repeat_by_seed() {
        let params = Params::parse(&[json!("user-{{sequence}}"), json!("{{ uuid }}"), json!(7)], 42).unwrap();
        let [first, second] = [params.values(0), params.values(1)];
        assert_eq!((&first[0], &second[0], &first[2]), (&json!("user-0"), &json!("user-1"), &json!(7)));
        assert_ne!(first[1], second[1]);
        assert_eq!(first, params.values(0));
        let uuid = first[1].as_str().unwrap();
        assert_eq!((uuid.len(), &uuid[14..15]), (36, "4"));
        let wrong = Params::parse(&[json!(1), json!("{{squence}}")], 0).unwrap_err();
        assert_eq!(wrong[0].0, 1);
        assert!(wrong[0].1.contains("sequence"));
    }
}
