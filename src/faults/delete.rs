//! Deletes what is not Kafka's (connectors, replication slots, publications), and gives connectors back as they were.

use super::{FaultError, Resource};
use crate::connect::{ConnectClient, ConnectorConfig};
use crate::database::Database;
use crate::environment::{Endpoints, EnvironmentError};
use std::time::Duration;

/// How long deleting one thing may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Deletes what is not Kafka's. False where it did not exist any more.
///
/// # Errors
/// An address that the environment does not name, or what the service says.
pub async fn delete_external(resource: &Resource, endpoints: &Endpoints) -> Result<bool, FaultError> {
    match resource {
        Resource::Topic(_) | Resource::Group(_) => {
            let message = format!("{resource}: only the run that created it deletes it");
            Err(EnvironmentError::Unsupported { message }.into())
        }
        Resource::Connector(name) => Ok(worker(endpoints)?.delete(name, PATIENCE).await?),
        Resource::Slot(name) => {
            let session = database(endpoints)?.connect_within(PATIENCE / 2).await?;
            if let Ok(dropped) = session.drop_slot(name, PATIENCE / 4).await {
                return Ok(dropped);
            }
            // A connector that could not be deleted, or hangs, keeps its slot: the log must not be pinned for that.
            session.disconnect_slot(name).await?;
            Ok(session.drop_slot(name, PATIENCE / 4).await?)
        }
        Resource::Publication(name) => {
            Ok(database(endpoints)?.connect_within(PATIENCE / 2).await?.drop_publication(name).await?)
        }
    }
}

/// Gives a connector its former configuration back. False where there is none any more.
///
/// # Errors
/// See [`delete_external`].
pub async fn restore_connector(
    name: &str,
    config: &ConnectorConfig,
    endpoints: &Endpoints,
) -> Result<bool, FaultError> {
    Ok(worker(endpoints)?.restore(name, config, PATIENCE).await?)
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
    use crate::faults::undo::{Journalled, Undo};
    use crate::faults::undo_journalled;
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;
    use std::sync::mpsc::{Receiver, channel};

    /// Kafka Connect as far as one connector's configuration goes: what it is asked to put, and its address.
    fn connect(present: Option<&'static str>) -> (Receiver<String>, Endpoints) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let (sender, put) = channel();
        std::thread::spawn(move || {
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
                if head.starts_with("PUT /connectors/theirs/config ") {
                    sender.send(String::from_utf8(body).expect("a text")).expect("somebody listens");
                }
                let (status, body) = match present {
                    Some(config) => ("200 OK", config),
                    None => ("404 Not Found", "{\"error_code\": 404, \"message\": \"Connector theirs not found\"}"),
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

    fn former() -> Journalled {
        let config =
            ConnectorConfig::from([("name".to_owned(), "theirs".to_owned()), ("a".to_owned(), "old".to_owned())]);
        let undo = Undo::Restore { connector: "theirs".to_owned(), config };
        Journalled { fault: "change of connector theirs".to_owned(), undo, recipe: None }
    }

    #[tokio::test]
    async fn a_connector_that_was_there_gets_its_former_configuration_back() {
        let (put, endpoints) = connect(Some("{\"name\": \"theirs\", \"a\": \"new\"}"));
        let entries = [former()];
        let results = undo_journalled(&entries, None, &endpoints).await;
        assert!(matches!(&results[0].1, Ok(done) if done.contains("former configuration")), "{:?}", results[0].1);
        assert_eq!(put.try_recv().as_deref(), Ok("{\"a\":\"old\",\"name\":\"theirs\"}"));
    }

    #[tokio::test]
    async fn a_connector_that_is_as_it_was_or_gone_is_left_alone() {
        for present in [Some("{\"name\": \"theirs\", \"a\": \"old\"}"), None] {
            let (put, endpoints) = connect(present);
            let entries = [former()];
            let results = undo_journalled(&entries, None, &endpoints).await;
            assert!(results[0].1.is_ok() && put.try_recv().is_err(), "{:?}", results[0].1);
        }
    }

    /// Nothing says where the worker is: that does not change by waiting.
    #[tokio::test(start_paused = true)]
    async fn a_missing_address_is_told_at_once_and_with_its_remedy() {
        let began = tokio::time::Instant::now();
        let resource = |resource: Resource| Undo::Delete { resource };
        let undos = [
            Undo::Resume { connector: "orders".to_owned() },
            former().undo,
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
            undo: Undo::Delete { resource: Resource::Slot("s".to_owned()) },
            recipe: None,
        }];
        let results = undo_journalled(&entries, None, &endpoints).await;
        let error = results[0].1.as_ref().expect_err("the address is wrong");
        assert!(crate::ground::cause::<crate::database::DatabaseError>(error).is_some(), "{error:?}");
    }
}
