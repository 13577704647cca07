//! Replication slots and publications that a step makes for connectors to read. What was there before is somebody else's, whatever the
//! statements say: PostgreSQL knows no `IF NOT EXISTS` for them, so scripts look first, or take the error.

use super::RECONNECT;
use super::failure::broken;
use crate::database::{Database, DatabaseError, DatabaseResult, Statement};
use crate::faults::Resource;
use crate::text::one_line;
use crate::verb::{StepContext, StepError};
use std::time::Duration;

/// How long a look behind the step may take: without it nothing is known to be the run's.
const GLANCE: Duration = Duration::from_secs(5);

/// What there was before a step that may make some.
pub(super) struct Making {
    /// The step's statements and parameters.
    sql: String,
    before: Vec<Resource>,
}

impl Making {
    /// Looks before a step whose statements may make some; nothing of any other.
    pub(super) async fn begin(
        database: &Database,
        statements: &[Statement],
        params: &str,
        cx: &mut StepContext,
    ) -> Result<Option<Self>, StepError> {
        let texts: Vec<&str> = statements.iter().map(|statement| statement.text.as_str()).chain([params]).collect();
        let sql = texts.join("\n").to_lowercase();
        if !may_make(&sql) {
            return Ok(None);
        }
        match cx.unless_stopped(present(database, RECONNECT)).await? {
            Ok(before) => Ok(Some(Self { sql, before })),
            Err(error @ DatabaseError::Sql(_)) => Err(StepError::broken("database", error.to_string()).because(error)),
            Err(error) => Err(broken(&error, cx).await),
        }
    }

    /// Looks behind it, whatever came of it: what is there now, and was not or was dropped, is the scenario's own.
    pub(super) async fn end(self, database: &Database, succeeded: bool, cx: &StepContext) {
        if let Ok(Ok(after)) = tokio::time::timeout(GLANCE, present(database, GLANCE)).await {
            let mut before = self.before;
            before.retain(|resource| !(succeeded && is_made_anew(&self.sql, resource)));
            cx.run.changes.made(made(&self.sql, &before, after));
        }
    }
}

async fn present(database: &Database, patience: Duration) -> DatabaseResult<Vec<Resource>> {
    let session = database.connect_within(patience).await?;
    let slots = session.slots().await?.into_iter().map(|slot| Resource::Slot(slot.name));
    Ok(slots.chain(session.publications().await?.into_iter().map(Resource::Publication)).collect())
}

/// Whether a text in lower case may make a slot or a publication.
fn may_make(sql: &str) -> bool {
    let words = one_line(sql);
    let makes = ["create publication", "pg_create_logical_replication_slot", "pg_copy_logical_replication_slot"];
    makes.iter().any(|way| words.contains(way))
}

/// Whether a script in lower case that went through has dropped such a thing and made it again. Where it does one of both only on a
/// condition, nobody knows.
fn is_made_anew(sql: &str, resource: &Resource) -> bool {
    let words = one_line(sql);
    let drops = match resource {
        Resource::Slot(_) => words.contains("pg_drop_replication_slot"),
        Resource::Publication(_) => words.contains("drop publication"),
        _ => false,
    };
    drops && !["not exists", "exception", "case ", "not active"].iter().any(|condition| words.contains(condition))
}

/// What is new and named by the statements; others may make some at the same time.
fn made(sql: &str, before: &[Resource], after: Vec<Resource>) -> Vec<Resource> {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
    let is_named = |name: &str| {
        let name = name.to_lowercase();
        sql.match_indices(&name).any(|(at, _)| {
            let (ahead, behind) = (sql[..at].chars().next_back(), sql[at + name.len()..].chars().next());
            !ahead.is_some_and(is_part) && !behind.is_some_and(is_part)
        })
    };
    let is_made = |resource: &Resource| match resource {
        Resource::Slot(name) | Resource::Publication(name) => !before.contains(resource) && is_named(name),
        _ => false,
    };
    after.into_iter().filter(is_made).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(name: &str) -> Resource {
        Resource::Slot(name.to_owned())
    }

    fn publication(name: &str) -> Resource {
        Resource::Publication(name.to_owned())
    }

    #[test]
    fn what_was_there_before_a_statement_that_would_make_it_is_somebody_elses() {
        let idioms = "select pg_create_logical_replication_slot('shop', 'pgoutput')\n  where not exists (select from \
                      pg_replication_slots where slot_name = 'shop');\ndo $$ begin create\n publication shop for table orders; \
                      exception when duplicate_object then null; end $$";
        assert!(may_make(idioms));
        let all = || vec![slot("shop"), publication("shop")];
        assert_eq!(made(idioms, &all(), all()), []);
        assert_eq!(made(idioms, &[slot("shop")], all()), [publication("shop")]);
        assert_eq!(made(idioms, &[], all()), all());
        // Others are made at the same time, and one whose name has the other in it.
        assert_eq!(made(idioms, &all(), vec![slot("theirs"), slot("shop_2")]), []);
        let copy = "select pg_copy_logical_replication_slot('theirs', 'mine')";
        let there = [slot("theirs")];
        assert_eq!(made(copy, &there, vec![slot("theirs"), slot("mine")]), [slot("mine")]);
    }

    #[test]
    fn what_a_script_drops_and_makes_again_is_its_own() {
        let drop_slot = "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = 'shop'";
        let make_slot = "select pg_create_logical_replication_slot('shop', 'pgoutput')";
        let script = format!("{drop_slot};\n{make_slot};\ndrop  publication if exists shop;\ncreate publication shop");
        assert!(is_made_anew(&script, &slot("shop")) && is_made_anew(&script, &publication("shop")));
        assert!(!is_made_anew(&format!("{drop_slot};\n{make_slot}"), &publication("shop")));
        // One that could not be dropped would be taken for the run's.
        for careful in [
            format!("{drop_slot} and not active;\n{make_slot} where not exists (select from pg_replication_slots)"),
            format!("do $$ begin {drop_slot}; {make_slot}; exception when others then null; end $$"),
        ] {
            assert!(!is_made_anew(&careful, &slot("shop")), "{careful}");
        }
    }

    #[test]
    fn names_are_as_postgresql_folds_them() {
        let sql = "CREATE PUBLICATION Shop; CREATE PUBLICATION \"Store\"".to_lowercase();
        let after = || vec![publication("shop"), publication("Store")];
        assert_eq!(made(&sql, &[], after()), after());
        assert!(!may_make("select slot_name from pg_replication_slots where slot_name = 'theirs'"));
    }
}
