//! Deletes what is not Kafka's (connectors, replication slots, publications), and gives connectors back as they were.

use super::{DeletionRight, FaultError, Mended, Resource};
use crate::connect::{ConnectClient, ConnectError, ConnectorConfig, Restored, fingerprint};
use crate::database::Database;
use crate::environment::{Endpoints, EnvironmentError};
use std::time::Duration;

/// How long deleting one thing may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What becomes of a connector of the run's name.
const NOT_ITS_CONFIG: &str = "it is left as it is: its configuration is none that the run gave it";
/// What becomes of somebody's connector.
const CHANGED_SINCE: &str = "it is left as it is: somebody else has changed it since";

/// Deletes what is not Kafka's, as far as that may go.
///
/// # Errors
/// An address that the environment does not name, or what the service says; a slot that somebody reads who may not be disconnected.
pub async fn delete_external(
    resource: &Resource,
    right: &DeletionRight,
    endpoints: &Endpoints,
) -> Result<Mended, FaultError> {
    let deleted = |done| if done { Mended::Done } else { Mended::Gone };
    if let DeletionRight::None(why) = right {
        return Ok(if is_absent(resource, endpoints).await { Mended::Gone } else { Mended::Left(why) });
    }
    match resource {
        Resource::Topic(_) | Resource::Group(_) => {
            let message = format!("{resource}: only the run that created it deletes it");
            Err(EnvironmentError::Unsupported { message }.into())
        }
        Resource::Connector(name) => {
            let worker = worker(endpoints)?;
            if let DeletionRight::WhileConfigured(configs) = right {
                match worker.config(name).await {
                    Ok(present) if !configs.contains(&fingerprint(&present)) => {
                        return Ok(Mended::Left(NOT_ITS_CONFIG));
                    }
                    Ok(_) => {}
                    Err(ConnectError::NotFound { .. }) => return Ok(Mended::Gone),
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(deleted(worker.delete(name, PATIENCE).await?))
        }
        Resource::Slot(name) => {
            let session = database(endpoints)?.connect_within(PATIENCE / 2).await?;
            match session.drop_slot(name, PATIENCE / 4).await {
                Ok(dropped) => return Ok(deleted(dropped)),
                Err(error) if *right != DeletionRight::Sure => return Err(error.into()),
                Err(_) => {}
            }
            // A connector that could not be deleted, or hangs, keeps its slot: the log must not be pinned for that.
            session.disconnect_slot(name).await?;
            Ok(deleted(session.drop_slot(name, PATIENCE / 4).await?))
        }
        Resource::Publication(name) => {
            let session = database(endpoints)?.connect_within(PATIENCE / 2).await?;
            Ok(deleted(session.drop_publication(name).await?))
        }
    }
}

/// Whether the database says that there is no such slot or publication.
async fn is_absent(resource: &Resource, endpoints: &Endpoints) -> bool {
    let Ok(database) = database(endpoints) else { return false };
    let Ok(session) = database.connect_within(PATIENCE / 4).await else { return false };
    match resource {
        Resource::Slot(name) => matches!(session.slot(name).await, Ok(None)),
        Resource::Publication(name) => session.publications().await.is_ok_and(|all| !all.contains(name)),
        Resource::Topic(_) | Resource::Group(_) | Resource::Connector(_) => false,
    }
}

/// Gives a connector its former configuration back, where it has one of those that the run gave it.
///
/// # Errors
/// See [`delete_external`].
pub async fn restore_connector(
    name: &str,
    config: &ConnectorConfig,
    put: &[String],
    endpoints: &Endpoints,
) -> Result<Mended, FaultError> {
    Ok(match worker(endpoints)?.restore(name, config, put, PATIENCE).await? {
        Restored::Done => Mended::Done,
        Restored::Gone => Mended::Gone,
        Restored::Changed => Mended::Left(CHANGED_SINCE),
    })
}

/// The Connect worker of an environment.
pub(super) fn worker(endpoints: &Endpoints) -> Result<ConnectClient, FaultError> {
    let url = endpoints.connect.as_deref().ok_or_else(|| nowhere("Kafka Connect", "connect"))?;
    Ok(ConnectClient::new(url)?)
}

fn database(endpoints: &Endpoints) -> Result<Database, FaultError> {
    let url = endpoints.postgres.as_deref().ok_or_else(|| nowhere("PostgreSQL", "postgres"))?;
    Ok(Database::from_url(url)?)
}

/// The error for a service that cannot be asked, because nothing says where it is.
fn nowhere(service: &str, key: &str) -> EnvironmentError {
    EnvironmentError::Prerequisite {
        message: format!("the environment has no address of {service}"),
        remedy: format!("add `{key}: {{ url: … }}` to the environment in kscen.yaml"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Action;
    use crate::faults::undo::{Journalled, Undo};
    use crate::faults::{Provenance, undo_journalled};
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;
    use std::sync::mpsc::{Receiver, channel};

    /// Kafka Connect as far as one connector goes: the requests that change something, with what they put, and its address.
    fn connect(present: Option<&'static str>, state: &'static str) -> (Receiver<String>, Endpoints) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let (sender, put) = channel();
        std::thread::spawn(move || {
            let mut deleted = false;
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.expect("a connection"));
                let (mut head, mut length) = (String::new(), 0);
                while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).is_ok_and(|read| read > 0) {}
                for line in head.lines() {
                    if let Some(("content-length", value)) = line.to_lowercase().split_once(": ") {
                        length = value.parse().expect("a length");
                    }
                }
                let mut body = vec![0; length];
                stream.read_exact(&mut body).expect("a body");
                let request = head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1");
                if !request.starts_with("GET ") {
                    deleted |= request.starts_with("DELETE ");
                    let body = String::from_utf8(body).expect("a text");
                    sender.send(format!("{request} {body}").trim_end().to_owned()).expect("somebody listens");
                }
                let status = format!(
                    "{{\"name\": \"theirs\", \"connector\": {{\"state\": \"{state}\", \"worker_id\": \"w\"}}, \"tasks\": []}}"
                );
                let (status, body) = match present {
                    _ if request.ends_with("/connectors") && deleted => ("200 OK", "[]".to_owned()),
                    Some(_) if request.ends_with("/status") => ("200 OK", status),
                    Some(config) => ("200 OK", config.to_owned()),
                    None => {
                        let missing = "{\"error_code\": 404, \"message\": \"Connector theirs not found\"}";
                        ("404 Not Found", missing.to_owned())
                    }
                };
                let answer = format!(
                    "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                stream.get_mut().write_all(answer.as_bytes()).expect("an answer");
            }
        });
        (put, Endpoints { connect: Some(url), ..Endpoints::default() })
    }

    fn config(value: &str) -> ConnectorConfig {
        ConnectorConfig::from([("name".to_owned(), "theirs".to_owned()), ("a".to_owned(), value.to_owned())])
    }

    fn former(put: &[&str]) -> Journalled {
        let put = put.iter().map(|value| fingerprint(&config(value))).collect();
        let undo = Undo::Restore { connector: "theirs".to_owned(), config: config("old"), put };
        Journalled { fault: "change of connector theirs".to_owned(), undo, recipe: None }
    }

    async fn undone(undo: Undo, endpoints: &Endpoints) -> String {
        let entries = [Journalled { fault: "f".to_owned(), undo, recipe: None }];
        let mut results = undo_journalled(&entries, None, endpoints).await;
        results.remove(0).1.expect("it was asked")
    }

    #[tokio::test]
    async fn a_connector_that_was_there_gets_its_former_configuration_back() {
        // Versions before did not say what they had put.
        for put in [&["other", "new"][..], &[]] {
            let (asked, endpoints) = connect(Some("{\"name\": \"theirs\", \"a\": \"new\"}"), "RUNNING");
            let entries = [former(put)];
            let results = undo_journalled(&entries, None, &endpoints).await;
            assert!(matches!(&results[0].1, Ok(done) if done.contains("former configuration")), "{:?}", results[0].1);
            let expected = "PUT /connectors/theirs/config {\"a\":\"old\",\"name\":\"theirs\"}";
            assert_eq!(asked.try_recv().as_deref(), Ok(expected));
        }
    }

    #[tokio::test]
    async fn a_connector_that_is_as_it_was_or_gone_is_left_alone() {
        for present in [Some("{\"name\": \"theirs\", \"a\": \"old\"}"), None] {
            let (asked, endpoints) = connect(present, "RUNNING");
            let entries = [former(&["new"])];
            let results = undo_journalled(&entries, None, &endpoints).await;
            assert!(results[0].1.is_ok() && asked.try_recv().is_err(), "{:?}", results[0].1);
        }
    }

    /// A week later its owner has repaired it.
    #[tokio::test]
    async fn what_somebody_else_has_changed_since_is_neither_restored_nor_deleted() {
        let (asked, endpoints) = connect(Some("{\"name\": \"theirs\", \"a\": \"repaired\"}"), "RUNNING");
        let said = undone(former(&["new"]).undo, &endpoints).await;
        assert_eq!(said, "it is left as it is: somebody else has changed it since");
        let provenance = Provenance { seen: true, ..Provenance::configured(fingerprint(&config("new"))) };
        let delete = |resource: Resource, provenance: &Provenance| Undo::Delete {
            resource,
            provenance: Some(provenance.clone()),
        };
        let connector = Resource::Connector("theirs".to_owned());
        let said = undone(delete(connector.clone(), &provenance), &endpoints).await;
        assert!(said.contains("none that the run gave it"), "{said}");
        // What the connector was about to make is not looked for: there is no address of a database.
        let made = Provenance::made_by("theirs");
        let entries = [
            delete(Resource::Slot("debezium".to_owned()), &made),
            delete(Resource::Publication("dbz_publication".to_owned()), &made),
            delete(connector.clone(), &provenance),
        ]
        .map(|undo| Journalled { fault: "f".to_owned(), undo, recipe: None });
        for (entry, result) in undo_journalled(&entries, None, &endpoints).await {
            assert!(matches!(&result, Ok(left) if left.contains("left as it is")), "{entry:?}: {result:?}");
        }
        assert!(asked.try_recv().is_err(), "nothing was asked to change");

        let own = Provenance::configured(fingerprint(&config("repaired")));
        assert_eq!(undone(delete(connector, &own), &endpoints).await, "deleted");
        assert_eq!(asked.try_recv().as_deref(), Ok("DELETE /connectors/theirs"));
    }

    #[tokio::test]
    async fn a_connector_that_its_owner_has_stopped_is_not_started_by_undoing_a_pause() {
        let resume = |from| Undo::Resume { connector: "theirs".to_owned(), from };
        let config = Some("{\"name\": \"theirs\"}");
        for (from, state) in [(Action::Pause, "STOPPED"), (Action::Stop, "PAUSED")] {
            let (asked, endpoints) = connect(config, state);
            assert_eq!(undone(resume(Some(from)), &endpoints).await, "it was no longer in force");
            assert!(asked.try_recv().is_err(), "{state}");
        }
    }

    /// Nothing says where the worker is: that does not change by waiting.
    #[tokio::test(start_paused = true)]
    async fn a_missing_address_is_told_at_once_and_with_its_remedy() {
        let began = tokio::time::Instant::now();
        let resource = |resource: Resource| Undo::Delete { resource, provenance: None };
        let undos = [
            Undo::Resume { connector: "orders".to_owned(), from: None },
            former(&[]).undo,
            resource(Resource::Connector("orders".to_owned())),
            resource(Resource::Slot("s".to_owned())),
            resource(Resource::Publication("p".to_owned())),
        ];
        for undo in undos {
            let entries = [Journalled { fault: "f".to_owned(), undo, recipe: None }];
            let results = undo_journalled(&entries, None, &Endpoints::default()).await;
            let error = results[0].1.as_ref().expect_err("nobody can be asked");
            assert!(error.to_string().contains("no address of"), "{error}");
            assert!(error.remedy().is_some_and(|remedy| remedy.contains("url")), "{error}");
        }
        assert!(began.elapsed().is_zero(), "{:?}", began.elapsed());
    }

    /// Connect is there and says no: what it said can be matched on.
    #[tokio::test]
    async fn what_a_service_answers_stays_the_cause() {
        let endpoints =
            Endpoints { postgres: Some("postgres://nobody/x?sslmode=perhaps".to_owned()), ..Endpoints::default() };
        let entries = [Journalled {
            fault: "slot".to_owned(),
            undo: Undo::Delete { resource: Resource::Slot("s".to_owned()), provenance: None },
            recipe: None,
        }];
        let results = undo_journalled(&entries, None, &endpoints).await;
        let error = results[0].1.as_ref().expect_err("the address is wrong");
        assert!(crate::ground::cause::<crate::database::DatabaseError>(error).is_some(), "{error:?}");
    }
}
