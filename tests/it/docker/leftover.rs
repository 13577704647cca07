//! What a killed run made in PostgreSQL and Connect, and `kscen undo`: a slot that is left behind pins the database's log.

use crate::program::Project;
use kscen::testing::connect::{ConnectClient, State};
use kscen::testing::database::Database;
use kscen::testing::environment::Environment;
use kscen::testing::environment::docker::DockerStack;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const KEPT: &str = r#"
name: A connector that stays
checks: none
setup:
  - sql: CREATE TABLE kept (id integer PRIMARY KEY)
  - connector: { name: kept, debezium: { tables: [kept] }, until: streaming }
steps:
  - wait: 10ms
"#;
const FREEZE: &str = r#"
name: A connector that is paused
steps:
  - pause: { connector: kept, for: 10m }
"#;
const CAPTURE: &str = r#"
name: A connector of the run's own, and the database's account
setup:
  - sql: CREATE TABLE captured (id integer PRIMARY KEY)
  - connector: { name: captured, debezium: { tables: [captured] }, until: streaming }
steps:
  - id: reader
    background: true
    consume: { topic: captured.public.captured, decode: debezium }
  - sql: INSERT INTO captured VALUES (1)
  - pause: { service: postgres, for: 10m }
"#;

/// Slots and publications of the database.
async fn made(database: &Database) -> (Vec<String>, Vec<String>) {
    let session = database.connect().await.expect("a session");
    let slots = session.slots().await.expect("slots").into_iter().map(|slot| slot.name).collect();
    (slots, session.publications().await.expect("publications"))
}

pub(super) async fn what_pins_the_log_is_dropped(project: &Project, stack: &DockerStack) {
    let endpoints = stack.endpoints();
    let database = Database::from_url(endpoints.postgres.as_deref().expect("PostgreSQL")).expect("an address");
    let connect = ConnectClient::new(endpoints.connect.as_deref().expect("Connect")).expect("an address");
    for (name, text) in [("kept.yaml", KEPT), ("freeze.yaml", FREEZE), ("capture.yaml", CAPTURE)] {
        project.write(name, text);
    }

    project.run(&["run", "--env", "docker", "--keep", "kept.yaml"]).exits(0);
    let kept = made(&database).await;
    assert_eq!((kept.0.len(), kept.1.len()), (1, 1), "{kept:?}");
    project.run(&["undo", "--env", "docker"]).exits(0).says("nothing to undo");

    let mut victim = start(project, "freeze.yaml");
    let deadline = Instant::now() + crate::program::LONG;
    while connect.status("kept").await.expect("a status").connector.state != State::Paused {
        assert!(Instant::now() < deadline && victim.try_wait().expect("a child").is_none(), "it was never paused");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    end(victim);
    project.run(&["undo", "--env", "docker"]).exits(0).says("pause of kept of an earlier run: resumed");
    assert_eq!(connect.status("kept").await.expect("a status").connector.state, State::Running);
    project.run(&["undo", "--env", "docker"]).exits(0).says("nothing to undo");

    let mut victim = start(project, "capture.yaml");
    while stack.state("postgres").await.expect("a state").lifecycle != kscen::testing::environment::Lifecycle::Paused {
        assert!(victim.try_wait().expect("a child").is_none(), "it ended before the last step");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    end(victim);
    let undo = project.run(&["undo", "--env", "docker"]).exits(0).says("pause of postgres of an earlier run: resumed");
    let undo = undo.says("connector captured of an earlier run: deleted");
    assert_eq!(undo.err.matches("replication slot ").count(), 2, "the connector's and the account's: {}", undo.err);
    assert_eq!(undo.err.matches("publication ").count(), 3, "the connector's and the account's two: {}", undo.err);
    assert_eq!(made(&database).await, kept, "{}", undo.err);
    assert_eq!(connect.list().await.expect("a list"), ["kept"]);
    project.run(&["undo", "--env", "docker"]).exits(0).says("nothing to undo");
}

fn start(project: &Project, file: &str) -> Child {
    let mut command = project.command(&["run", "--env", "docker", file]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("kscen starts")
}

fn end(mut victim: Child) {
    victim.kill().expect("SIGKILL");
    victim.wait().expect("a child");
}
