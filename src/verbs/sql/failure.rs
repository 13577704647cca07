//! What PostgreSQL refuses, with the place in the script.

use super::Sql;
use crate::database::{DatabaseError, ScriptFailure, Statement};
use crate::environment::ServiceId;
use crate::verb::{StepContext, StepError};
use std::path::PathBuf;

impl Sql {
    pub(super) async fn failed(&self, failure: &ScriptFailure, cx: &StepContext) -> StepError {
        if failure.error.is_connection() {
            return broken(&failure.error, cx).await;
        }
        let (line, column) = failure.line_and_column();
        if let (Some(why), DatabaseError::Sql(sql)) = (self.unshown(), &failure.error) {
            return StepError::check("sql", format!("{}, in line {line}: {why}", refused_as(&sql.sqlstate)));
        }
        let lines: Vec<&str> = failure.statement.text.lines().collect();
        let shown =
            usize::try_from(line.saturating_sub(failure.statement.line)).ok().and_then(|index| lines.get(index));
        StepError::check("sql", format!("{}{}", failure.error, excerpt(shown.copied(), line, column)))
            .because(failure.error.clone())
    }

    /// A statement of a load that the server refuses, with the place in it where it says one.
    pub(super) async fn refused(&self, error: &DatabaseError, statements: &[Statement], cx: &StepContext) -> StepError {
        if error.is_connection() {
            return broken(error, cx).await;
        }
        if let (Some(why), DatabaseError::Sql(sql)) = (self.unshown(), error) {
            return StepError::check("sql", format!("{}: {why}", refused_as(&sql.sqlstate)));
        }
        let place = match (error, statements) {
            (DatabaseError::Sql(failure), [only]) => failure.line_and_column(&only.text).map(|place| (only, place)),
            _ => None,
        };
        let excerpt = match place {
            Some((statement, (line, column))) => {
                let shown = usize::try_from(line - 1).ok().and_then(|index| statement.text.lines().nth(index));
                excerpt(shown, statement.line + line - 1, Some(column))
            }
            None => String::new(),
        };
        StepError::check("sql", format!("{error}{excerpt}")).because(error.clone())
    }
}

impl Sql {
    /// Why neither the lines of the file nor what the server says of them is repeated: whoever names a file need not have written it, and
    /// one that is no script may hold secrets.
    fn unshown(&self) -> Option<&'static str> {
        let is_script =
            |file: &PathBuf| file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("sql"));
        let why = "what it says of it is not repeated, because the file is not called like a script (`….sql`)";
        self.file.as_ref().is_some_and(|file| !is_script(file)).then_some(why)
    }
}

fn refused_as(sqlstate: &str) -> String {
    format!("PostgreSQL refuses the file (SQLSTATE {sqlstate})")
}

/// The line of a script that an error is about, with a mark below the place.
fn excerpt(text: Option<&str>, line: u32, column: Option<u32>) -> String {
    let Some(text) = text else { return format!("\n  in line {line}") };
    let number = line.to_string();
    let mut shown = format!("\n  {number} | {text}");
    if let Some(column) = column {
        let width = number.len() + 4 + usize::try_from(column).unwrap_or(0);
        shown.push_str(&format!("\n{:>1$}^", "", width));
    }
    shown
}

/// A database that does not answer, with its log.
pub(super) async fn broken(error: &DatabaseError, cx: &StepContext) -> StepError {
    let log = cx.run.last_words(&ServiceId::Postgres.to_string()).await;
    StepError::broken("database", error.to_string()).with_log(log).because(error.clone())
}

#[cfg(test)]
mod tests {
    use super::excerpt;

    #[test]
    fn the_mark_stands_below_the_place() {
        assert_eq!(
            excerpt(Some("INSERT INTO nowhere"), 12, Some(13)),
            "\n  12 | INSERT INTO nowhere\n                   ^"
        );
        assert_eq!(excerpt(None, 3, None), "\n  in line 3");
    }
}
