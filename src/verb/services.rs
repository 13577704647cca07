//! Clients of the services beside Kafka.

use super::SharedRun;
use crate::connect::ConnectClient;
use crate::database::Database;
use crate::environment::LogQuery;
use crate::faults::Resource;
use crate::verb::StepError;

/// Lines of a service's log that go with a failure.
const LOG_LINES: usize = 15;
/// Lines in which secrets are searched for: one may be folded over several.
const SEARCHED_LINES: usize = 500;

impl SharedRun {
    /// Kafka Connect's REST interface.
    ///
    /// # Errors
    /// Where the environment has none.
    pub fn connect(&self) -> Result<ConnectClient, StepError> {
        let url = self.endpoints.connect.as_deref().ok_or_else(|| {
            StepError::broken("no-connect", "this environment has no Kafka Connect")
                .help("add `connect: { url: … }` to it in kscen.yaml")
        })?;
        ConnectClient::new(url).map_err(|error| StepError::broken("no-connect", error.to_string()).because(error))
    }

    /// PostgreSQL.
    ///
    /// # Errors
    /// Where the environment has none, or its address is wrong.
    pub fn database(&self) -> Result<Database, StepError> {
        let url = self.endpoints.postgres.as_deref().ok_or_else(|| {
            StepError::broken("no-postgres", "this environment has no PostgreSQL")
                .help("add `postgres: { url: … }` to it in kscen.yaml")
        })?;
        Database::from_url(url).map_err(|error| StepError::broken("no-postgres", error.to_string()).because(error))
    }

    /// The last lines of a service's log, where the environment can show them.
    pub async fn last_words(&self, service: &str) -> Vec<String> {
        let query = LogQuery { tail: Some(SEARCHED_LINES), ..LogQuery::default() };
        let mut lines = self.environment.logs(service, query).await.unwrap_or_default();
        // They are cut when nothing secret is in them any more.
        self.recorder.redactor().last_lines(&mut lines.iter_mut().map(|line| &mut line.text).collect::<Vec<_>>());
        lines.drain(..lines.len().saturating_sub(LOG_LINES));
        lines.into_iter().map(|line| line.text).collect()
    }

    /// Name of the slot and publication through which this run reads what the database committed.
    pub fn account_name(&self) -> String {
        crate::debezium::safe_name(&format!("kscen_{}_account", self.id()))
    }

    /// What lies in the database for that.
    pub fn account(&self) -> [Resource; 3] {
        let name = self.account_name();
        let inserts = crate::database::inserts_publication(&name);
        [Resource::Slot(name.clone()), Resource::Publication(name), Resource::Publication(inserts)]
    }
}
