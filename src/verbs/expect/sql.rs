//! `expect: sql`.

use super::Checked;
use crate::database::QueryResult;
use crate::record::{CheckOutcome, Demand, Observed, Quantity, Unit, demand};
use crate::scenario::predicate::Predicate;
use crate::scenario::units::Count;
use crate::text::{HIDDEN, Problem, Redactor, one_line};
use crate::verb::{CheckContext, StepContext, StepError};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

/// What a query returns.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlSubject {
    /// One statement that returns rows.
    pub query: String,
    /// The only value of the only row: a value, or bounds on a number, such as { min: 5 }.
    #[serde(default)]
    value: Option<Value>,
    /// Number of rows.
    #[serde(default)]
    #[schemars(with = "Option<Predicate<Count>>")]
    count: Option<Value>,
    /// The rows, each a list of values in the order of the columns.
    #[serde(default)]
    rows: Option<Vec<Vec<Value>>>,
}

/// How long a database that is away is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// Rows shown where they are not the expected ones.
const SHOWN: usize = 5;

impl SqlSubject {
    pub fn check(&self, pointer: &str, cx: &mut CheckContext<'_>) {
        if self.value.is_none() && self.count.is_none() && self.rows.is_none() {
            cx.report(
                pointer,
                Problem::new("nothing-expected", "`sql` holds no check").help("add `value`, `count` or `rows`"),
            );
        }
        let numbers = [("count", &self.count), ("value", &self.value)];
        for (field, value) in numbers {
            if let Some(value) = value
                && (field == "count" || value.is_object())
                && let Err(error) = demand(Unit::Count, value)
            {
                cx.report(&format!("{pointer}/{field}"), Problem::new("bad-value", error));
            }
        }
    }

    pub async fn look(&self, pointer: &str, cx: &mut StepContext) -> Result<Vec<Checked>, StepError> {
        let database = cx.run.database()?;
        let query = async {
            let session = database.connect_within(PATIENCE).await?;
            session.query(&self.query).await
        };
        let result = cx.unless_stopped(query).await?.map_err(|error| {
            StepError::broken("sql", error.to_string()).because(error).at(format!("{pointer}/query"))
        })?;
        let mut checked = Vec::new();
        let subject = |what: &str| format!("sql {what} of `{}`", one_line(&self.query));
        if let Some(wanted) = &self.value {
            let (demand, observed) = value(wanted, &result)?;
            let shown = hidden(wanted, result.scalar(), (&demand, &observed), &cx.run.recorder.redactor());
            let check = Checked::new(subject("value"), demand, observed, format!("{pointer}/value"));
            checked.push(Checked { shown, ..check });
        }
        if let Some(wanted) = &self.count {
            let demand = demand(Unit::Count, wanted).map_err(|error| StepError::broken("bad-value", error))?;
            let observed = Observed::Number(Quantity::count(result.rows.len() as u64));
            let shown = hidden(wanted, None, (&demand, &observed), &cx.run.recorder.redactor());
            let check = Checked::new(subject("rows"), demand, observed, format!("{pointer}/count"));
            checked.push(Checked { shown, ..check });
        }
        if let Some(wanted) = &self.rows {
            let (demand, observed) =
                (Demand::Json(serde_json::json!(wanted)), Observed::Json(serde_json::json!(result.rows)));
            checked.push(Checked::new(subject("rows"), demand, observed, format!("{pointer}/rows")));
        }
        for check in checked.iter_mut().filter(|check| check.outcome() != CheckOutcome::Pass) {
            check.samples.extend(result.rows.iter().take(SHOWN).map(|row| serde_json::json!(row).to_string()));
        }
        Ok(checked)
    }
}

/// Bounds are held against a number, anything else has to be equal.
fn value(wanted: &Value, result: &QueryResult) -> Result<(Demand, Observed), StepError> {
    let found = result.scalar();
    let missing =
        || Observed::Nothing { reason: format!("the query returned {} rows, not one value", result.rows.len()) };
    if wanted.is_object() {
        let demand = demand(Unit::Count, wanted).map_err(|error| StepError::broken("bad-value", error))?;
        let observed = match found {
            None => missing(),
            Some(found) => match found.as_f64() {
                Some(number) => Observed::Number(Quantity::new(number, Unit::Count)),
                None => Observed::Nothing { reason: format!("{found} is not a number") },
            },
        };
        return Ok((demand, observed));
    }
    Ok((Demand::Json(wanted.clone()), found.map_or_else(missing, |found| Observed::Json(found.clone()))))
}

/// What the record shows where bounds, or the number that is held against them, are secrets: as numbers with a unit they would be told in
/// another form. Values of any shape are cleaned as all texts are.
fn hidden(
    wanted: &Value,
    found: Option<&Value>,
    (demand, observed): (&Demand, &Observed),
    redactor: &Redactor,
) -> Option<(Demand, Observed)> {
    let is_secret = |value: &Value| redactor.is_in(value.to_string().as_bytes());
    if !matches!(demand, Demand::Number { .. }) || !(is_secret(wanted) || found.is_some_and(is_secret)) {
        return None;
    }
    let observed = match observed {
        Observed::Number(_) => Observed::Text(HIDDEN.to_owned()),
        other => other.clone(),
    };
    Some((Demand::Text(HIDDEN.to_owned()), observed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bounds_on_a_secret_number_are_not_told() {
        let redactor = Redactor::new(["918273"]);
        let result = |value: Value| QueryResult { columns: vec!["pin".to_owned()], rows: vec![vec![value]] };
        let shown = |wanted: Value, found: Value| {
            let result = result(found);
            let (demand, observed) = value(&wanted, &result).expect("a demand");
            hidden(&wanted, result.scalar(), (&demand, &observed), &redactor)
        };
        let stars = Some((Demand::Text("***".to_owned()), Observed::Text("***".to_owned())));
        assert_eq!(shown(json!({ "equals": 918273 }), json!(918273)), stars);
        assert_eq!(shown(json!({ "min": 1 }), json!(918273)), stars);
        assert_eq!(shown(json!({ "min": 918273 }), json!(5)), stars);
        assert_eq!(shown(json!({ "min": 1 }), json!(5)), None);
        let nothing = Observed::Nothing { reason: "\"x\" is not a number".to_owned() };
        assert_eq!(shown(json!({ "min": 918273 }), json!("x")), Some((Demand::Text("***".to_owned()), nothing)));
        // The record takes it out of values of any shape itself.
        assert_eq!(shown(json!(918273), json!(918273)), None);
    }
}
