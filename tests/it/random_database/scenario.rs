//! A run of kscen over several histories with one connector.

use super::history::History;
use super::kinds::{TYPES, quoted};
use super::settings::{Disturbance, Form, Route, Settings};
use super::tables::{Identity, Table};
use crate::program::Project;
use rand::prelude::*;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// When steps end everything was judged: nobody waits for what was tampered with.
const DRAIN: &str = "1s";

/// One run: a connector, and the histories that it captures.
#[derive(Debug)]
pub struct Round {
    pub name: String,
    pub seed: u64,
    pub settings: Settings,
    pub histories: Vec<History>,
    /// Topics with the readers' numbers.
    pub topics: BTreeMap<String, usize>,
    config: Value,
}

impl Round {
    pub fn random(seed: u64, count: usize) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let name = format!("rd{seed}");
        let schema =
            format!("{} {seed}", ["shop", "Shop", "select"].choose(&mut rng).expect("a word")).replace(' ', "_");
        let settings = Settings::random(&mut rng);
        let histories: Vec<History> =
            (0..count).map(|number| History::random(&mut rng, &schema, number, settings.via_root)).collect();
        let mut topics = BTreeMap::new();
        for table in histories.iter().flat_map(|history| &history.tables) {
            let number = topics.len();
            topics.entry(settings.topic(&name, table)).or_insert(number);
        }
        let config = Value::Object(settings.configuration(&mut rng, &name));
        Self { name, seed, settings, histories, topics, config }
    }

    pub fn tables(&self) -> Vec<&Table> {
        self.histories.iter().flat_map(|history| &history.tables).collect()
    }

    fn schema(&self) -> &str {
        &self.histories[0].tables[0].schema
    }

    /// Records can be tampered with so that what is wrong has a name.
    pub fn tampers(&self) -> bool {
        self.settings.form != Form::Bare && !self.settings.own_keys
    }

    /// Writes scenario and scripts into the project.
    pub fn write(&self, project: &Project, tool: &str) {
        let file = |name: &str, text: &str| project.write(&format!("{}-{name}", self.name), text);
        let mut before = format!("{TYPES}\nCREATE SCHEMA {};\n", quoted(self.schema()));
        before.extend(self.histories.iter().map(|history| history.before.as_str()));
        if self.settings.via_root {
            before += &self.settings.publication(&self.name, &self.tables());
        }
        file("before.sql", &before);
        for (number, history) in self.histories.iter().enumerate() {
            for (half, text) in history.halves.iter().enumerate() {
                file(&format!("h{number}-{half}.sql"), text);
            }
        }
        file("plan.json", &self.plan().to_string());
        file("scenario.yaml", &serde_json::to_string_pretty(&self.scenario(project, tool)).expect("JSON"));
    }

    /// What the tampering needs to know of the tables.
    fn plan(&self) -> Value {
        let tables: Vec<Value> = self
            .histories
            .iter()
            .enumerate()
            .flat_map(|(number, history)| history.tables.iter().map(move |table| (number, table)))
            .map(|(number, table)| {
                let keys: Vec<&str> = table.columns[..table.keys].iter().map(|column| &*column.name).collect();
                json!({
                    "history": number, "schema": table.schema, "table": table.name, "parts": table.parts, "keys": keys, "note": table.note,
                    "topic": self.settings.topic(&self.name, table), "names": self.settings.names(table),
                    "by_index": table.identity == Identity::Index,
                })
            })
            .collect();
        json!({ "seed": self.seed, "flat": self.settings.form == Form::Flat, "tables": tables })
    }

    fn scenario(&self, project: &Project, tool: &str) -> Value {
        let sql = |name: String| json!({ "sql": { "file": format!("{}-{name}.sql", self.name) } });
        let mut setup = vec![sql("before".to_owned())];
        if self.settings.route != Route::None {
            let topics = self.topics.keys();
            let partitions = self.settings.partitions;
            setup.extend(topics.map(|topic| json!({ "topic": { "name": topic, "partitions": partitions } })));
        }
        let transactions = self.settings.transactions(&self.name);
        setup.extend(transactions.iter().map(|topic| json!({ "topic": { "name": topic } })));
        let mut tables: Vec<String> = Vec::new();
        for table in self.tables() {
            tables.push(format!("{}.{}", table.schema, table.name));
        }
        setup.push(json!({ "connector": {
            "name": self.name, "debezium": { "tables": tables, "partitions": self.settings.partitions },
            "config": self.config, "until": "streaming",
        }}));
        let mut steps = Vec::new();
        self.read('r', &mut steps);
        steps.extend(transactions.map(|topic| {
            let consume = json!({ "topic": topic, "from": "start", "decode": "debezium", "drain": DRAIN });
            json!({ "id": "r-ends", "background": true, "consume": consume })
        }));
        self.half(0, &mut steps);
        match self.settings.disturbance {
            Disturbance::None => self.half(1, &mut steps),
            Disturbance::Kill => {
                steps.push(json!({ "kill": { "service": "connect" } }));
                self.half(1, &mut steps);
                steps.push(json!({ "start": { "service": "connect" } }));
            }
            Disturbance::Restart => {
                steps.push(json!({ "restart": { "connector": self.name } }));
                self.half(1, &mut steps);
            }
        }
        let deliveries: Vec<Value> = (0..self.histories.len()).map(|number| self.delivery(&[number], 'r')).collect();
        steps.push(json!({ "expect": { "delivery": deliveries, "within": "60s" }, "on_failure": "continue" }));
        if self.tampers() {
            let path = |name: &str| project.path(&format!("{}-{name}", self.name)).to_string_lossy().into_owned();
            steps.push(json!({ "run": {
                "command": [tool, "--exact", "random_database::tamper::helper_that_tampers", "--ignored"],
                "env": { "PLAN": path("plan.json"), "INJECTED": path("injected.json") },
            }}));
            self.read('q', &mut steps);
            let all: Vec<usize> = (0..self.histories.len()).collect();
            let delivery = self.delivery(&all, 'q');
            steps.push(json!({ "expect": { "delivery": delivery, "within": "20s" }, "on_failure": "continue" }));
        }
        let drop = format!("DROP SCHEMA {} CASCADE", quoted(self.schema()));
        let drop = if self.settings.via_root {
            format!("{drop}; DROP PUBLICATION IF EXISTS {}", quoted(&self.name))
        } else {
            drop
        };
        // The readers go on while their topics are tampered with: what they read then is not judged.
        json!({
            "name": self.name, "noise": "ignore",
            "setup": setup, "steps": steps, "finally": [{ "sql": drop }],
        })
    }

    fn read(&self, letter: char, steps: &mut Vec<Value>) {
        for (topic, number) in &self.topics {
            steps.push(json!({
                "id": format!("{letter}{number}"), "background": true,
                "consume": { "topic": topic, "from": "start", "decode": "debezium", "drain": DRAIN },
            }));
        }
    }

    fn half(&self, half: usize, steps: &mut Vec<Value>) {
        for number in 0..self.histories.len() {
            steps.push(json!({
                "id": format!("h{number}-{half}"),
                "sql": { "file": format!("{}-h{number}-{half}.sql", self.name) },
            }));
        }
    }

    fn delivery(&self, histories: &[usize], letter: char) -> Value {
        let from: Vec<String> =
            histories.iter().flat_map(|number| [format!("h{number}-0"), format!("h{number}-1")]).collect();
        let mut to: Vec<String> = histories
            .iter()
            .flat_map(|number| &self.histories[*number].tables)
            .map(|table| format!("{letter}{}", self.topics[&self.settings.topic(&self.name, table)]))
            .collect();
        to.sort();
        to.dedup();
        if letter == 'r' && self.settings.transactions(&self.name).is_some() {
            to.push("r-ends".to_owned());
        }
        json!({ "from": from, "to": to, "guarantee": "at-least-once" })
    }
}
