//! Migrations between two clusters and drains as jobs, over kills.

use super::served::Served;
use super::{PARTITIONS, RECORDS, fill, job_file, state};
use crate::migrating::{commit, content};
use crate::program::{Project, skipped};
use nix::sys::signal::Signal;
use rdkafka::topic_partition_list::Offset;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const ALL: i64 = PARTITIONS as i64 * RECORDS;
/// What the group of the tests has read of the first partition.
const READ: i64 = 100;

type Properties = BTreeMap<String, String>;

/// Two clusters of one project.
struct Clusters {
    project: Project,
    /// The name of the second one.
    new: String,
    source: Properties,
    target: Properties,
}

impl Clusters {
    async fn up() -> Self {
        let project = Project::fast();
        let (old, new) = (project.name.clone(), format!("{}-new", project.name));
        let local = |name: &str, more: &str| format!("  {name}:\n    local: {{ timeouts: fast{more} }}\n");
        let environments = [local(&old, ""), local(&new, ", kafka: 4.3.1")].concat();
        project.write("kscen.yaml", &format!("default: {old}\nenvironments:\n{environments}"));
        let properties = |name: &str| {
            let up = project.run(&["up", "--env", name]).exits(0);
            Properties::from([("bootstrap.servers".to_owned(), up.out.trim().to_owned())])
        };
        let (source, target) = (properties(&old), properties(&new));
        fill(&source["bootstrap.servers"]).await;
        Self { project, new, source, target }
    }

    fn down(self) {
        for name in [&self.project.name, &self.new] {
            self.project.run(&["down", "--env", name]).exits(0);
        }
        self.project.await_no_processes();
    }

    /// As if the service had died between the end of a job and saying so.
    fn forget_end(&self, job: &Value) {
        let path = job_file(&self.project, job);
        let text = std::fs::read_to_string(&path).expect("kept");
        let running = text.replace("\"state\": \"succeeded\"", "\"state\": \"running\"");
        assert_ne!(running, text);
        std::fs::write(path, running).expect("written");
    }
}

/// What `partition` of a topic has, without offsets.
fn records(properties: &Properties, topic: &str, partition: i32, from: Offset) -> Vec<impl PartialEq + use<>> {
    content(properties, topic, partition, from).into_iter().map(|(_, record)| record).collect()
}

/// Everything of the source is in the topic of the target, once.
fn assert_same(clusters: &Clusters, topic: &str) {
    for partition in 0..PARTITIONS {
        let one = records(&clusters.source, "orders", partition, Offset::Beginning);
        let two = records(&clusters.target, topic, partition, Offset::Beginning);
        assert!(one == two, "{topic}/{partition}: {} and {} records", one.len(), two.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_migrated_and_queues_drained_over_http_and_over_kills() {
    if skipped("topics_are_migrated_and_queues_drained_over_http_and_over_kills") {
        return;
    }
    let clusters = Clusters::up().await;
    commit(&clusters.source, "billing", "orders", READ);
    hold_migration(&clusters).await;
    hold_following(&clusters).await;
    hold_wait(&clusters).await;
    hold_move(&clusters).await;
    clusters.down();
}

/// Killed twice on the way, a migration ends with everything once.
async fn hold_migration(clusters: &Clusters) {
    let served = Served::start(&clusters.project);
    let body = json!({
        "from": served.cluster, "to": clusters.new, "topic": "orders", "settle": "1s", "interval": "1s", "rate": "150kB/s",
    });
    let job = served.ask("migrate", &body).await;
    assert_eq!((&job["kind"], &job["cluster"]), (&json!("migrate"), &json!(clusters.new)), "{job}");
    let refused = served.send(Method::POST, "/api/kafka/migrate", &[], Some(&body)).await;
    assert_eq!(refused.status(), 409, "another one writes the same topic");
    served.follow(&job, Some("1")).await.until("created").await;
    assert_eq!(served.end(Signal::SIGKILL), None);
    let served = Served::start(&clusters.project);
    let begun = served.follow(&job, Some("1")).await.until("begun").await.data;
    assert_eq!((&begun["continued"], &begun["staging"]), (&json!(true), &Value::Null), "{begun}");
    assert_eq!(served.end(Signal::SIGKILL), None);
    let served = Served::start(&clusters.project);
    let ended = served.ended(&job).await;
    let (result, topic) = (&ended["result"], &ended["result"]["verified"]["topics"][0]);
    assert_eq!(
        (state(&ended), &ended["attempts"], &result["outcome"]),
        ("succeeded", &json!(3), &json!("complete")),
        "{ended}"
    );
    assert_eq!((&result["records"], &result["groups"]), (&json!(ALL), &json!(["billing"])), "{ended}");
    assert_eq!((&topic["equal"], &topic["records"]), (&json!(true), &json!(ALL)), "{ended}");
    assert_same(clusters, "orders");

    assert_eq!(served.end(Signal::SIGKILL), None);
    clusters.forget_end(&job);
    let served = Served::start(&clusters.project);
    let again = served.ended(&job).await;
    assert_eq!((state(&again), &again["result"]["records"]), ("succeeded", &json!(ALL)), "{again}");
    assert_eq!(again["result"]["outcome"], "already", "{again}");
    assert_same(clusters, "orders");
    let exists =
        json!({ "from": served.cluster, "to": clusters.new, "topic": "orders", "as": "orders-2", "groups": "none" });
    let other = served.done("migrate", &json!({ "from": clusters.new, "to": served.cluster, "topic": "orders" })).await;
    assert_eq!(state(&other), "failed");
    assert!(other["problem"]["reason"].as_str().expect("words").contains("exists in the target"), "{other}");
    assert_eq!(state(&served.done("migrate", &exists).await), "succeeded");
    assert_eq!(served.end(Signal::SIGTERM), Some(0));
}

/// One that follows its source ends when it is cancelled, and another one goes on with it and ends it.
async fn hold_following(clusters: &Clusters) {
    let served = Served::start(&clusters.project);
    let body = |until: &str| {
        json!({
            "from": served.cluster, "to": clusters.new, "topic": "orders", "as": "followed", "until": until, "interval": "1s",
        })
    };
    let job = served.ask("migrate", &body("cancelled")).await;
    served.follow(&job, Some("1")).await.until("round").await;
    let place = format!("/api/jobs/{}", job["id"].as_str().expect("an id"));
    assert_eq!(served.send(Method::DELETE, &place, &[], None).await.status(), 202);
    let ended = served.ended(&job).await;
    assert_eq!((state(&ended), ended["attempts"].as_u64()), ("cancelled", Some(1)), "{ended}");
    let last = served.done("migrate", &body("end")).await;
    assert_eq!((state(&last), &last["result"]["records"]), ("succeeded", &json!(ALL)), "{last}");
    assert_same(clusters, "followed");
    assert_eq!(served.end(Signal::SIGTERM), Some(0));
}

/// A queue that does not become shorter is a failure that says why; one that is short enough is none.
async fn hold_wait(clusters: &Clusters) {
    let served = Served::start(&clusters.project);
    let idle = served.done("drain", &json!({ "group": "billing", "within": "2s" })).await;
    let reason = idle["problem"]["reason"].as_str().expect("words");
    assert_eq!(state(&idle), "failed", "{idle}");
    assert!(reason.contains("no progress") && reason.contains("no member has it"), "{reason}");
    assert_eq!(idle["result"]["not_drained"]["lag"], json!(ALL - READ), "{idle}");
    let short = served.done("drain", &json!({ "group": "billing", "lag": ALL })).await;
    assert_eq!((state(&short), &short["result"]["after"]), ("succeeded", &json!(ALL - READ)), "{short}");
    let nobody = served.done("drain", &json!({ "group": "nobody" })).await;
    assert!(nobody["problem"]["reason"].as_str().expect("words").contains("there is no group `nobody`"), "{nobody}");
    // One that is waited for is cancelled.
    let job = served.ask("drain", &json!({ "group": "billing", "within": "10m" })).await;
    let lag = served.follow(&job, Some("1")).await.until("lag").await.data;
    assert_eq!(lag["lag"], json!(ALL - READ), "{lag}");
    let place = format!("/api/jobs/{}", job["id"].as_str().expect("an id"));
    assert_eq!(served.send(Method::DELETE, &place, &[], None).await.status(), 202);
    assert_eq!(state(&served.ended(&job).await), "cancelled");
    assert_eq!(served.end(Signal::SIGTERM), Some(0));
}

/// What a group has not read is moved once, also where the service is killed, and what comes later stays where it is.
async fn hold_move(clusters: &Clusters) {
    let served = Served::start(&clusters.project);
    let body = json!({ "group": "billing", "topic": "orders", "into": "parked", "rate": "150kB/s", "parallel": 1 });
    let job = served.ask("drain", &body).await;
    let elsewhere = json!({ "group": "billing", "topic": "orders", "into": "elsewhere" });
    let refused = served.send(Method::POST, &served.place("drain"), &[], Some(&elsewhere)).await;
    assert_eq!(refused.status(), 409, "another one moves what this group has not read");
    served.follow(&job, Some("1")).await.until("created").await;
    assert_eq!(served.end(Signal::SIGKILL), None);
    let served = Served::start(&clusters.project);
    let ended = served.ended(&job).await;
    assert_eq!((state(&ended), &ended["result"]["records"]), ("succeeded", &json!(ALL - READ)), "{ended}");
    assert_eq!(served.end(Signal::SIGKILL), None);
    clusters.forget_end(&job);
    super::write(&clusters.source["bootstrap.servers"], 10);
    let served = Served::start(&clusters.project);
    let again = served.ended(&job).await;
    assert_eq!((state(&again), &again["result"]), ("succeeded", &ended["result"]), "{again}");
    for partition in 0..PARTITIONS {
        let from = if partition == 0 { Offset::Offset(READ) } else { Offset::Beginning };
        let mut rest = records(&clusters.source, "orders", partition, from);
        rest.truncate(rest.len() - 10);
        let parked = records(&clusters.source, "parked", partition, Offset::Beginning);
        assert!(rest == parked, "{partition}: {} and {} records", rest.len(), parked.len());
    }
    let late = served.done("drain", &body).await;
    assert_eq!((state(&late), &late["result"]["records"]), ("succeeded", &json!(10 * PARTITIONS)), "{late}");
    assert_eq!(served.end(Signal::SIGTERM), Some(0));
}
