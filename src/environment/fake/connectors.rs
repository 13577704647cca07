//! Connectors of a scripted environment: a worker tells their states, and changes them when it is asked.

use super::stack::FakeStack;
use crate::connect::State;
use crate::connect::memory::WorkerScript;
use futures_util::future::BoxFuture;
use serde_json::json;

impl WorkerScript for FakeStack {
    fn answer<'a>(&'a self, method: &'a str, path: &'a str) -> BoxFuture<'a, (u16, String)> {
        Box::pin(async move {
            let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
            match (method, &parts[..]) {
                ("GET", []) => {
                    (200, json!({ "version": "4.0.0", "commit": "0", "kafka_cluster_id": "fake" }).to_string())
                }
                ("GET", ["connectors", name, "status"]) => match self.world().connectors.get(*name) {
                    Some(state) => (200, status(name, *state)),
                    None => missing(name),
                },
                ("GET", ["connectors", name, "config"]) => (200, json!({ "name": name }).to_string()),
                ("PUT", ["connectors", name, verb]) => self.change(name, verb).await,
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
            world.connectors.insert(name.to_owned(), wanted);
            Ok(format!("{name} is {wanted}"))
        });
        match done.await {
            Ok(_) => (202, String::new()),
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
