//! Debezium on a local stack, while its services are disturbed.

use crate::local::{LONG, fast, start};
use crate::program::skipped;
use kscen::testing::environment::local::{LocalConfig, LocalStack};
use kscen::testing::environment::{Action, Environment, EnvironmentError, LogQuery, Needs, ServiceId};
use std::time::Duration;

/// Connects to the stack's database; the connection is driven in the background.
async fn database(stack: &LocalStack) -> tokio_postgres::Client {
    let url = stack.endpoints().postgres.expect("a database");
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.expect("connected");
    tokio::spawn(connection);
    client
}

/// Whether Debezium reads the database now.
async fn is_replicating(stack: &LocalStack) -> bool {
    let query = "select count(*) from pg_replication_slots where active";
    let row = database(stack).await.query_one(query, &[]).await.expect("a count");
    row.get::<_, i64>(0) == 1
}

async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = std::time::Instant::now() + LONG;
    while !condition().await {
        assert!(std::time::Instant::now() < deadline, "never became true: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn capture_changes(config: LocalConfig) {
    let dir = tempfile::tempdir().expect("a folder");
    let needs = Needs::kafka().service(ServiceId::Connect).service(ServiceId::Postgres);
    let stack = start(&config, &needs, &dir.path().join("run")).await;
    let url = stack.endpoints().connect.expect("a worker");
    let url_of_database: tokio_postgres::Config =
        stack.endpoints().postgres.expect("a database").parse().expect("an address");
    let port = url_of_database.get_ports().first().expect("a port").to_string();
    let password = String::from_utf8_lossy(url_of_database.get_password().unwrap_or_default()).into_owned();
    let plan = "create table t (id int primary key); insert into t select generate_series(1, 10)";
    database(&stack).await.batch_execute(plan).await.expect("a table");
    let connector = serde_json::json!({ "name": "pg", "config": {
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector", "plugin.name": "pgoutput",
        "database.hostname": "127.0.0.1", "database.port": port, "database.user": "postgres",
        "database.password": password, "database.dbname": "postgres", "topic.prefix": "cdc",
        "retriable.restart.connector.wait.ms": "500" } });
    let client = reqwest::Client::new();
    let answer = client.post(format!("{url}/connectors")).json(&connector).send().await.expect("an answer");
    let anybody = format!("host=127.0.0.1 port={port} user=postgres dbname=postgres");
    assert!(tokio_postgres::connect(&anybody, tokio_postgres::NoTls).await.is_err(), "the superuser has a password");
    assert_eq!(answer.status(), 201, "{:?}", answer.text().await);
    eventually("Debezium streams", async || is_replicating(&stack).await).await;

    // The worker: killed and started, it goes on by itself.
    stack.act("connect", Action::Kill).await.expect("killed");
    eventually("the slot is free", async || !is_replicating(&stack).await).await;
    assert!(matches!(stack.act("connect", Action::Wipe).await, Err(EnvironmentError::Unsupported { .. })));
    stack.act("connect", Action::Start).await.expect("started");
    stack.wait_ready("connect", LONG).await.expect("ready");
    eventually("Debezium streams again", async || is_replicating(&stack).await).await;

    // The database: paused with all of its processes, then ended and started.
    let effect = stack.act("postgres", Action::Pause).await.expect("paused");
    assert!(effect.proof.contains("children"), "{}", effect.proof);
    assert!(stack.wait_ready("postgres", Duration::from_millis(300)).await.is_err());
    stack.act("postgres", Action::Resume).await.expect("resumed");
    stack.wait_ready("postgres", LONG).await.expect("ready after resume");
    for action in [Action::Restart, Action::Kill] {
        stack.act("postgres", action).await.expect("ended");
        if action == Action::Kill {
            stack.act("postgres", Action::Start).await.expect("started");
        }
        stack.wait_ready("postgres", LONG).await.expect("ready again");
        let rows = database(&stack).await.query("select * from t", &[]).await.expect("rows");
        assert_eq!(rows.len(), 10, "committed rows survive {action}");
    }
    stack.act("postgres", Action::Wipe).await.expect("wiped");
    stack.wait_ready("postgres", LONG).await.expect("ready after wipe");
    assert!(database(&stack).await.query("select * from t", &[]).await.is_err(), "the table is gone");
    let usage = stack.usage("postgres").await.expect("usage").expect("known");
    assert!(usage.cpu_seconds > 0.0 && usage.memory > 0 && usage.disk.is_some_and(|disk| disk > 10 << 20));
    let log = stack.logs("postgres", LogQuery::default()).await.expect("a log");
    assert!(log.iter().any(|line| line.text.contains("ready to accept connections") && line.at_ms.is_some()));
    stack.shutdown().await.expect("shut down");
}

#[tokio::test(flavor = "multi_thread")]
async fn debezium_captures_changes_through_faults_on_kafka_3() {
    if !skipped("debezium_captures_changes_through_faults_on_kafka_3") {
        capture_changes(fast()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn debezium_captures_changes_through_faults_on_kafka_4() {
    if !skipped("debezium_captures_changes_through_faults_on_kafka_4") {
        capture_changes(LocalConfig { kafka: "4.3.1".to_owned(), ..fast() }).await;
    }
}
