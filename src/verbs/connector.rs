//! The verb `connector`.

mod act;
mod failure;
mod fault;
mod own;
mod short;
mod sink;

pub(super) use act::{probe, redactor};
pub(super) use failure::failure;

use crate::connect::{
    Applied, ConfigRedactor, ConnectClient, ConnectResult, ConnectorConfig, EffectProbe, config_from_json,
};
use crate::environment::{Grant, Needs, ServiceId};
use crate::text::Problem;
use crate::verb::{CONTROL, CheckContext, Facts, Scope, Step, StepContext, StepError, StepOutcome, Work};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use short::Debezium;
use sink::JdbcSink;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Creates a connector in Kafka Connect, or changes one, and waits until it and its tasks run with that configuration. It is deleted at
/// the end of the run, and with it the replication slot and the publication that it made, unless `--keep`; one that was there before
/// gets its former configuration back.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Connector {
    /// Its name. Use `${run.id}` in it, so that runs do not meet.
    pub name: String,
    /// Debezium for the environment's PostgreSQL, with everything but the tables filled in.
    #[serde(default)]
    debezium: Option<Debezium>,
    /// Debezium's JDBC sink connector, which brings messages of topics into a table of the environment's PostgreSQL server, with everything
    /// but topics and table filled in. Kafka Connect has to have it: `sink` of the local environment in kscen.yaml.
    #[serde(default)]
    sink: Option<JdbcSink>,
    /// A JSON file with the configuration, with or without `name` and `config` around it; the path is relative to the scenario.
    #[serde(default)]
    file: Option<PathBuf>,
    /// Properties of the connector; they win over `debezium` and `file`.
    #[serde(default)]
    config: Map<String, Value>,
    /// When the step is over.
    #[serde(default)]
    until: ConnectorUntil,
}

/// Where the short form puts the environment's credentials.
const CREDENTIALS: [&str; 2] = ["database.user", "database.password"];
/// Most bytes of a file with a configuration.
const CONFIGURATION: u64 = 1 << 20;

/// When a `connector` step is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ConnectorUntil {
    /// Connect has taken the configuration.
    Accepted,
    /// The connector and all its tasks are RUNNING.
    #[default]
    Running,
    /// As `running`, and the replication slot is being read: the snapshot is over.
    Streaming,
}

/// How long a connector may take to run.
const PATIENCE: Duration = Duration::from_secs(90);

impl Step for Connector {
    const VERB: &'static str = "connector";
    const MAY: &'static [Grant] = &[Grant::Connectors, Grant::Topics, Grant::Sql];
    const WORK: Work = Work::Captures;
    const EXAMPLE: &'static str = "connector:\n  name: \"orders-${run.id}\"\n  debezium: { tables: [orders] }\n  config: { snapshot.mode: initial }";

    fn needs(&self) -> Needs {
        let needs = Needs::kafka().service(ServiceId::Connect);
        let database = self.debezium.is_some() || self.sink.is_some();
        if database { needs.service(ServiceId::Postgres) } else { needs }
    }

    fn changes(&self, _: &Scope) -> Vec<Grant> {
        match (&self.debezium, &self.sink) {
            (Some(debezium), _) if debezium.runs_sql(&self.config) => {
                vec![Grant::Connectors, Grant::Topics, Grant::Sql]
            }
            (Some(_), _) => vec![Grant::Connectors, Grant::Topics],
            // With the environment's credentials it writes into the database.
            (None, Some(_)) => vec![Grant::Connectors, Grant::Sql],
            (None, None) => vec![Grant::Connectors],
        }
    }

    fn facts(&self) -> Facts {
        let makes = self.debezium.as_ref().map_or_else(Vec::new, |debezium| debezium.made(&self.name, &self.config));
        Facts {
            connector: Some(self.name.clone()),
            makes,
            allowance: Some(PATIENCE + CONTROL),
            ends: true,
            ..Facts::default()
        }
    }

    fn check(&self, cx: &mut CheckContext<'_>) {
        if self.name.is_empty() {
            cx.report("/name", Problem::new("no-name", "a connector needs a name"));
        }
        if self.debezium.is_none() && self.sink.is_none() && self.file.is_none() && self.config.is_empty() {
            cx.report(
                "",
                Problem::new("no-config", "the connector has no configuration")
                    .help("give `debezium: { tables: [orders] }`, `config` or `file`"),
            );
        }
        if let (Some(_), Some(_)) = (&self.debezium, &self.file) {
            cx.report("/file", Problem::new("two-configs", "give `debezium` or `file`; `config` goes with either"));
        }
        if let Some(sink) = &self.sink {
            if self.debezium.is_some() || self.file.is_some() {
                let message = "give `debezium`, `sink` or `file`; `config` goes with each";
                cx.report("/sink", Problem::new("two-configs", message));
            }
            sink.check(cx);
            self.check_address(cx);
        }
        if let Some(debezium) = &self.debezium {
            debezium.check(cx);
            self.check_address(cx);
        }
        if let Err(error) = config_from_json(&self.config) {
            cx.report("/config", Problem::new("bad-value", error.to_string()));
        }
    }

    fn describe(&self) -> String {
        match &self.debezium {
            Some(debezium) => format!("run connector {}: Debezium on {}", self.name, debezium.tables.join(", ")),
            None => match &self.sink {
                Some(sink) => format!("run connector {}: {}", self.name, sink.describe()),
                None => format!("run connector {}", self.name),
            },
        }
    }

    async fn run(&self, cx: &mut StepContext) -> Result<StepOutcome, StepError> {
        let config = self.config(cx)?;
        let redactor = ConfigRedactor::of(&config);
        let connect = cx.run.connect()?;
        let claims = self.own(&connect, &config, cx).await?;
        if let (Some(debezium), Some(prefix)) = (&self.debezium, config.get("topic.prefix"))
            && let Err(error) = debezium.topics(prefix, cx).await
        {
            claims.withdraw(&cx.run.owned);
            return Err(error);
        }
        let done = cx.unless_stopped(self.deploy(&connect, &config, &cx.run.clone())).await?;
        claims.settle(done.as_ref().map(|(applied, _)| *applied), &connect, cx).await;
        let deployed = match done {
            Ok((_, details)) => details,
            Err(error) => return Err(failure(error, &redactor, cx).await),
        };
        if self.until == ConnectorUntil::Streaming {
            let slot = config.get("slot.name").ok_or_else(|| {
                StepError::broken("no-slot", "the configuration names no `slot.name` to wait for").at("/until")
            })?;
            let streaming = async {
                let session = cx.run.database()?.connect_within(PATIENCE).await.map_err(not_streaming)?;
                session.wait_slot_active(slot, PATIENCE).await.map_err(not_streaming)?;
                session.wal_position().await.map_err(not_streaming)
            };
            cx.run.changes.streams_from(&self.name, streaming.await?);
            claims.look(cx).await;
        }
        let captures = cx.run.changes.captures().contains_key(&self.name).then(|| self.name.clone());
        Ok(StepOutcome { captures, ..StepOutcome::default().details(deployed) })
    }
}

fn not_streaming(error: crate::database::DatabaseError) -> StepError {
    StepError::check("not-streaming", error.to_string()).because(error).at("/until")
}

impl Connector {
    /// The whole configuration.
    fn config(&self, cx: &StepContext) -> Result<ConnectorConfig, StepError> {
        let bad = |pointer: &'static str| move |error: String| StepError::broken("connector-config", error).at(pointer);
        let user = config_from_json(&self.config).map_err(|error| bad("/config")(error.to_string()))?;
        if let Some(debezium) = &self.debezium {
            return debezium.config(&self.name, &user, cx);
        }
        if let Some(sink) = &self.sink {
            return sink.config(&user, cx);
        }
        let mut config = match &self.file {
            None => ConnectorConfig::new(),
            Some(file) => {
                let text = cx.origin.read_text(file, CONFIGURATION).map_err(bad("/file"))?;
                let map: Map<String, Value> = serde_json::from_str(&text)
                    .map_err(|error| bad("/file")(format!("`{}` is not a JSON object: {error}", file.display())))?;
                config_from_json(&map).map_err(|error| bad("/file")(error.to_string()))?
            }
        };
        config.extend(user);
        config.insert("name".to_owned(), self.name.clone());
        Ok(config)
    }

    /// The short form fills in the environment's user and password: they are not sent to another server.
    fn check_address(&self, cx: &mut CheckContext<'_>) {
        const ADDRESS: [&str; 4] = ["connection.url", "database.hostname", "database.port", "database.sslmode"];
        // As Connect gets it: what stands in a map of its own, as Connect prints it, is the configuration.
        let Ok(config) = config_from_json(&self.config) else { return };
        let own = if self.sink.is_some() { ["connection.username", "connection.password"] } else { CREDENTIALS };
        if config.contains_key(own[1]) {
            return;
        }
        let inner = if self.config.get("config").is_some_and(|inner| inner.is_object()) { "config/" } else { "" };
        // What begins so goes to the JDBC driver, or to what the sink uses it by, which have names of their own for where they connect.
        let decides = |name: &&String| {
            ADDRESS.contains(&name.as_str()) || name.starts_with("driver.") || name.starts_with("hibernate.")
        };
        for name in config.keys().filter(decides) {
            let message =
                format!("`{name}` replaces the environment's address, and its credentials are sent nowhere else");
            let help = format!("give `{}` and `{}` as well, or leave it out", own[0], own[1]);
            cx.report(&format!("/config/{inner}{name}"), Problem::new("environment-property", message).help(help));
        }
    }

    async fn deploy(
        &self,
        connect: &ConnectClient,
        config: &ConnectorConfig,
        run: &crate::verb::SharedRun,
    ) -> ConnectResult<(Applied, Value)> {
        let started = Instant::now();
        if self.until == ConnectorUntil::Accepted {
            let applied = connect.apply(&self.name, config).await?;
            return Ok((applied, json!({ "applied": applied })));
        }
        let probe = probe(connect, &self.name, run).await;
        let probe = probe.as_ref().map(|probe| probe as &dyn EffectProbe);
        let deployment = connect.deploy(&self.name, config, probe, PATIENCE).await?;
        let details = json!({
            "applied": deployment.applied,
            "status": deployment.status.to_string(),
            "restarted": deployment.restarted,
            "running_after": started.elapsed().as_secs_f64(),
            "config": ConfigRedactor::config(config),
        });
        Ok((deployment.applied, details))
    }
}
