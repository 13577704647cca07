//! Connectors of a scripted environment: a worker tells their states and configurations, and changes them when it is asked.

use super::stack::FakeStack;
use super::world::FakeConnector;
use crate::connect::State;
use crate::connect::memory::WorkerScript;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

impl WorkerScript for FakeStack {
    fn answer<'a>(&'a self, method: &'a str, path: &'a str, body: Option<&'a Value>) -> BoxFuture<'a, (u16, String)> {
        Box::pin(async move {
            let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
            match (method, &parts[..]) {
                ("GET", []) => {
                    (200, json!({ "version": "4.0.0", "commit": "0", "kafka_cluster_id": "fake" }).to_string())
                }
                ("GET", ["connectors"]) => {
                    let names: Vec<String> = self.world().connectors.keys().cloned().collect();
                    (200, json!(names).to_string())
                }
                ("GET", ["connectors", name, "status"]) => match self.world().connectors.get(*name) {
                    Some(connector) => (200, status(name, connector.state)),
                    None => missing(name),
                },
                ("GET", ["connectors", name, "config"]) => match self.world().connectors.get(*name) {
                    Some(connector) => (200, json!(connector.config).to_string()),
                    None => missing(name),
                },
                ("PUT", ["connector-plugins", class, "config", "validate"]) => {
                    (200, json!({ "name": class, "error_count": 0, "groups": [], "configs": [] }).to_string())
                }
                ("PUT", ["connectors", name, "config"]) => self.configure(name, body).await,
                ("PUT", ["connectors", name, verb]) => self.change(name, verb).await,
                ("DELETE", ["connectors", name]) => self.delete(name).await,
                _ => (405, json!({ "message": format!("{method} {path} is not scripted") }).to_string()),
            }
        })
    }
}

impl FakeStack {
    async fn change(&self, name: &str, verb: &str) -> (u16, String) {
        let wanted = match verb {
            "pause" => State::Paused,
            "stop" => State::Stopped,
            _ => State::Running,
        };
        let done = self.effect(format!("{verb} {name}"), name, |world| {
            if let Some(connector) = world.connectors.get_mut(name) {
                connector.state = wanted;
            }
            Ok(format!("{name} is {wanted}"))
        });
        match done.await {
            Ok(_) => (202, String::new()),
            Err(error) => (500, json!({ "message": error.to_string() }).to_string()),
        }
    }

    async fn configure(&self, name: &str, body: Option<&Value>) -> (u16, String) {
        let config = body.cloned().and_then(|body| serde_json::from_value(body).ok()).unwrap_or_default();
        let done = self.effect(format!("configure {name}"), name, |world| {
            world.connectors.entry(name.to_owned()).or_insert_with(FakeConnector::new).config = config;
            Ok(format!("{name} has another configuration"))
        });
        match done.await {
            Ok(_) => (200, json!({ "name": name, "config": {}, "tasks": [] }).to_string()),
            Err(error) => (500, json!({ "message": error.to_string() }).to_string()),
        }
    }

    async fn delete(&self, name: &str) -> (u16, String) {
        let there = self.world().connectors.contains_key(name);
        if !there {
            return missing(name);
        }
        let done = self.effect(format!("delete {name}"), name, |world| {
            world.connectors.remove(name);
            Ok(format!("{name} is gone"))
        });
        match done.await {
            Ok(_) => (204, String::new()),
            Err(error) => (500, json!({ "message": error.to_string() }).to_string()),
        }
    }
}

fn status(name: &str, state: State) -> String {
    let task = json!({ "id": 0, "state": state, "worker_id": "fake" });
    let tasks = if state == State::Stopped { vec![] } else { vec![task] };
    json!({ "name": name, "connector": { "state": state, "worker_id": "fake" }, "tasks": tasks }).to_string()
}

fn missing(name: &str) -> (u16, String) {
    (404, json!({ "message": format!("Connector {name} not found") }).to_string())
}
