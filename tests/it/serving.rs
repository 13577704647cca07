//! The service as its clients see it: over HTTP, on a real Kafka, over kills and stops.

mod described;
mod moves;
mod served;

use crate::program::{LONG, Project, skipped};
use kscen::testing::kafka::{Admin, LogSink};
use nix::sys::signal::Signal;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use reqwest::Method;
use serde_json::{Value, json};
use served::Served;
use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) const PARTITIONS: i32 = 3;
pub(crate) const RECORDS: i64 = 1500;

/// A topic of which every partition takes a while at the rates below.
pub(crate) async fn fill(bootstrap: &str) {
    let properties = BTreeMap::from([("bootstrap.servers".to_owned(), bootstrap.to_owned())]);
    let admin = Admin::new(&properties, LONG, LogSink::bounded(10).0).expect("a client");
    admin.create_topic("orders", PARTITIONS, 1, &BTreeMap::new()).await.expect("created");
    admin.await_leaders("orders", LONG).await.expect("leaders");
    write(bootstrap, RECORDS);
}

/// So many records into each partition.
pub(crate) fn write(bootstrap: &str, records: i64) {
    let mut config = ClientConfig::new();
    let producer: BaseProducer =
        config.set("bootstrap.servers", bootstrap).set("linger.ms", "20").create().expect("a producer");
    for index in 0..records {
        for partition in 0..PARTITIONS {
            let text = format!("{partition} {index} ").repeat(30);
            while producer.send(BaseRecord::<(), str>::to("orders").partition(partition).payload(&text)).is_err() {
                producer.poll(Duration::from_millis(20));
            }
        }
    }
    producer.flush(LONG).expect("sent");
}

pub(crate) fn state(job: &Value) -> &str {
    job["state"].as_str().expect("a state")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_backed_up_verified_and_restored_over_http() {
    if skipped("a_topic_is_backed_up_verified_and_restored_over_http") {
        return;
    }
    let project = Project::fast();
    let file = std::fs::read_to_string(project.path("kscen.yaml")).expect("the project");
    project.write("kscen.yaml", &format!("{file}serve: {{ jobs: 1, queue: 2 }}\n"));
    let up = project.run(&["up"]).exits(0);
    fill(up.out.trim()).await;
    let served = Served::start(&project);
    // Document 004's own request.
    let first = served.done("backup", &json!({ "topic": "orders", "compression": "gzip", "max_messages": 1000 })).await;
    assert_eq!((state(&first), &first["result"]["records"]), ("succeeded", &json!(1000)), "{first}");
    let kept = served.get(&format!("/api/backups/{}", first["archive"].as_str().expect("a name"))).await;
    assert_eq!((&kept["state"], &kept["records"], &kept["generations"]), (&json!("complete"), &json!(1000), &json!(1)));

    let full = served.ask("backup", &json!({ "topic": "orders", "archive": "full", "verify": "deep" })).await;
    let mut events = served.follow(&full, Some("1")).await;
    let (mut states, mut names, mut last) = (Vec::new(), Vec::new(), None);
    while let Some(told) = events.next().await {
        if told.name == "state" {
            states.push(state(&told.data).to_owned());
        }
        names.push(told.name);
        last = told.id.or(last);
    }
    assert!(states.ends_with(&["running", "verifying", "succeeded"].map(str::to_owned)), "{states:?}");
    assert!(names.iter().any(|name| name == "captured"), "{names:?}");
    // Who comes back after the last event hears nothing twice.
    assert!(served.follow(&full, last.as_deref()).await.next().await.is_none());
    assert_eq!(served.follow(&full, None).await.until("state").await.data["state"], "succeeded");

    let restored = served.done("restore", &json!({ "archive": "full", "as": "again", "verify": true })).await;
    let all = i64::from(PARTITIONS) * RECORDS;
    let topic = &restored["result"]["verified"]["topics"][0];
    assert_eq!(
        (state(&restored), &topic["equal"], &topic["records"]),
        ("succeeded", &json!(true), &json!(all)),
        "{restored}"
    );
    for body in [json!({ "archive": "full" }), json!({ "archive": "full", "level": "target", "topic": "again" })] {
        let verified = served.done("verify", &body).await;
        assert_eq!(state(&verified), "succeeded", "{verified}");
    }
    let refused = served.done("restore", &json!({ "archive": "full", "as": "again" })).await;
    assert_eq!(state(&refused), "failed");
    assert!(refused["problem"]["reason"].as_str().expect("words").contains("exists"), "{refused}");
    assert!(refused["problem"]["remedy"].is_string());
    let unknown = served.done("backup", &json!({ "topic": "none" })).await;
    assert!(unknown["problem"]["reason"].as_str().expect("words").contains("`none`"), "{unknown}");

    hold_cancelling(&served).await;
    hold_damage(&served, &project).await;
    let figures = served.text("/metrics").await;
    for line in ["kscen_jobs{kind=\"restore\",state=\"succeeded\"} 1", "kscen_archive_verified{archive=\"full\"} 0"] {
        assert!(figures.lines().any(|found| found == line), "{line}\n{figures}");
    }
    assert_eq!(served.end(Signal::SIGTERM), Some(0));
    let log = std::fs::read_to_string(audit(&project)).expect("the log");
    assert!(
        log.contains("restore ended") && log.lines().last().is_some_and(|line| line.contains("all jobs have stopped"))
    );
    project.run(&["down"]).exits(0);
    project.await_no_processes();
}

fn serve_state(project: &Project) -> std::path::PathBuf {
    let all = std::fs::read_dir(project.path("state/kscen/serve")).expect("a folder").flatten();
    all.map(|entry| entry.path()).next().expect("the project's")
}

fn audit(project: &Project) -> std::path::PathBuf {
    serve_state(project).join("audit.jsonl")
}

/// A backup at work is not disturbed by a second one, is cancelled in good order, and another goes on with its archive.
async fn hold_cancelling(served: &Served) {
    // One partition after the other: a backup that has read everything when it is asked to stop is complete.
    let slow = json!({ "topic": "orders", "archive": "slow", "rate": "100kB/s", "compression": "none", "parallel": 1 });
    let job = served.ask("backup", &slow).await;
    served.follow(&job, Some("1")).await.until("manifest").await;
    let path = format!("/api/kafka/clusters/{}/backup", served.cluster);
    let refused = async |method: Method, path: &str, headers: &[(&str, &str)], body: Option<&Value>| {
        let answer = served.send(method, path, headers, body).await;
        assert_eq!(answer.headers()["content-type"], "application/problem+json", "{path}");
        answer.status().as_u16()
    };
    assert_eq!(refused(Method::POST, &path, &[], Some(&slow)).await, 409);
    let waiting = |archive: &str| json!({ "topic": "orders", "archive": archive });
    let key = [("idempotency-key", "once")];
    let mut queued = Vec::new();
    for name in ["next", "next", "later"] {
        let headers = if name == "next" { &key[..] } else { &[] };
        let answer = served.send(Method::POST, &path, headers, Some(&waiting(name))).await;
        assert_eq!(answer.status(), 202, "{name}");
        queued.push(answer.json::<Value>().await.expect("JSON"));
    }
    assert_eq!(queued[0]["id"], queued[1]["id"], "the same request is the same job");
    assert_eq!(refused(Method::POST, &path, &key, Some(&waiting("other"))).await, 422);
    assert_eq!(refused(Method::POST, &path, &[], Some(&waiting("other"))).await, 429);
    for (body, status) in [
        (json!({ "topik": "orders" }), 400),
        (json!({ "topic": "orders", "archive": "../out" }), 400),
        (json!({ "topic": "x".repeat(70_000) }), 413),
    ] {
        assert_eq!(refused(Method::POST, &path, &[], Some(&body)).await, status);
    }
    for path in ["/api/jobs/none", "/api/backups/none", "/api/backups/..%2f..%2fetc", "/api/kafka/clusters/none/backup"]
    {
        let method = if path.ends_with("backup") { Method::POST } else { Method::GET };
        let status = refused(method, path, &[], Some(&json!({ "topic": "orders" }))).await;
        assert!(matches!(status, 400 | 404), "{path}: {status}");
    }
    for job in [&queued[0], &queued[2]] {
        let place = format!("/api/jobs/{}", job["id"].as_str().expect("an id"));
        assert_eq!(served.send(Method::DELETE, &place, &[], None).await.status(), 200);
    }
    let removed = served.send(Method::DELETE, "/api/backups/slow", &[], None).await;
    assert_eq!(removed.status(), 409);
    let place = format!("/api/jobs/{}", job["id"].as_str().expect("an id"));
    let asked = served.send(Method::DELETE, &place, &[], None).await;
    assert!(matches!(asked.status().as_u16(), 200 | 202));
    let ended = served.ended(&job).await;
    assert_eq!((state(&ended), ended["attempts"].as_u64()), ("cancelled", Some(1)), "{ended}");
    let whole = served.done("backup", &json!({ "topic": "orders", "archive": "slow", "verify": "full" })).await;
    assert_eq!((state(&whole), &whole["result"]["generation"]), ("succeeded", &json!(1)), "{whole}");
    assert_eq!(served.send(Method::DELETE, "/api/backups/slow", &[], None).await.status(), 204);
    assert_eq!(served.send(Method::GET, "/api/backups/slow", &[], None).await.status(), 404);
}

/// A byte that is flipped is named by its file, in the job and in the list of archives.
async fn hold_damage(served: &Served, project: &Project) {
    let topics = project.path("archives/full/topics");
    let folder = std::fs::read_dir(topics).expect("topics").flatten().next().expect("one").path().join("0");
    let file = std::fs::read_dir(folder).expect("files").flatten().next().expect("one").path();
    let mut bytes = std::fs::read(&file).expect("there");
    bytes[100] ^= 1;
    std::fs::write(&file, bytes).expect("written");
    let verified = served.done("verify", &json!({ "archive": "full" })).await;
    let reason = verified["problem"]["reason"].as_str().expect("words");
    assert_eq!(state(&verified), "failed");
    assert!(reason.contains(file.file_name().and_then(|name| name.to_str()).expect("text")), "{reason}");
    assert_eq!(served.get("/api/backups/full").await["verified"]["sound"], false);
    // Names and lengths are as they were: that says nothing of the byte.
    let quick = served.done("verify", &json!({ "archive": "full", "level": "quick" })).await;
    let told = quick["messages"].to_string();
    assert!(state(&quick) == "succeeded" && told.contains("stays one that is not sound"), "{quick}");
    let kept = served.get("/api/backups/full").await;
    let verified = &kept["verified"];
    assert_eq!((&verified["sound"], &verified["level"]), (&json!(false), &json!("full")), "{kept}");
    assert_eq!(verified["later"]["level"], "quick", "{kept}");
}

/// Killed at every stage, each job ends once: one generation, every record once.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_killed_goes_on_with_every_job_and_does_none_twice() {
    if skipped("a_service_that_is_killed_goes_on_with_every_job_and_does_none_twice") {
        return;
    }
    let project = Project::fast();
    let up = project.run(&["up"]).exits(0);
    fill(up.out.trim()).await;
    let served = Served::start(&project);
    let body = json!({ "topic": "orders", "archive": "kept", "rate": "150kB/s", "parallel": 1, "verify": "full" });
    let backup = served.ask("backup", &body).await;
    served.follow(&backup, Some("1")).await.until("manifest").await;
    assert_eq!(served.end(Signal::SIGKILL), None);
    let served = Served::start(&project);
    served.follow(&backup, Some("1")).await.until("resumed").await;
    assert_eq!(served.end(Signal::SIGKILL), None);
    let served = Served::start(&project);
    served.follow(&backup, Some("1")).await.until("resumed").await;
    // In good order: it says what it is now, and goes on all the same.
    assert_eq!(served.end(Signal::SIGTERM), Some(0));
    let stored = std::fs::read_to_string(job_file(&project, &backup)).expect("kept");
    assert!(stored.contains("\"interrupted\""), "{stored}");

    // A file that is damaged meanwhile is named and set aside.
    let strange = serve_state(&project).join("jobs/0000000000000000dead.json");
    std::fs::write(&strange, "{\"version\":1,\"job\":{").expect("written");
    let served = Served::start(&project);
    assert!(!strange.exists() && serve_state(&project).join("damaged/jobs-0000000000000000dead.json.0").exists());
    let ended = served.ended(&backup).await;
    assert_eq!((state(&ended), &ended["attempts"]), ("succeeded", &json!(4)), "{ended}");
    let all = i64::from(PARTITIONS) * RECORDS;
    let kept = served.get("/api/backups/kept").await;
    assert_eq!((&kept["generations"], &kept["records"]), (&json!(1), &json!(all)), "{kept}");

    let body = json!({ "archive": "kept", "as": "again", "rate": "150kB/s", "verify": true });
    let restore = served.ask("restore", &body).await;
    served.follow(&restore, Some("1")).await.until("created").await;
    assert_eq!(served.end(Signal::SIGKILL), None);
    let served = Served::start(&project);
    served.follow(&restore, Some("1")).await.until("resumed").await;
    assert_eq!(served.end(Signal::SIGKILL), None);
    let served = Served::start(&project);
    let ended = served.ended(&restore).await;
    let topic = &ended["result"]["verified"]["topics"][0];
    assert_eq!(
        (state(&ended), &topic["equal"], &topic["records"]),
        ("succeeded", &json!(true), &json!(all)),
        "{ended}"
    );

    // As if it had died between its last manifest and saying so: nothing is done again.
    let text = std::fs::read_to_string(job_file(&project, &backup)).expect("kept");
    assert_eq!(served.end(Signal::SIGKILL), None);
    let running = text.replace("\"state\": \"succeeded\"", "\"state\": \"running\"");
    assert_ne!(running, text);
    std::fs::write(job_file(&project, &backup), &running).expect("written");
    let served = Served::start(&project);
    let ended = served.ended(&backup).await;
    assert_eq!((state(&ended), &ended["result"]["generation"]), ("succeeded", &json!(1)), "{ended}");
    assert_eq!(ended["progress"]["records"], json!(all), "over all attempts: {ended}");
    assert_eq!(served.get("/api/backups/kept").await["generations"], 1);

    // The same where somebody else has written into the archive since: that is not what the job was asked for.
    assert_eq!(served.end(Signal::SIGKILL), None);
    write(up.out.trim(), 10);
    project.run(&["backup", "orders", "--to", "archives/kept", "--max-messages", "1", "--no-groups"]).exits(0);
    std::fs::write(job_file(&project, &backup), running).expect("written");
    let served = Served::start(&project);
    let ended = served.ended(&backup).await;
    assert_eq!((state(&ended), &ended["result"]["generation"]), ("succeeded", &json!(3)), "{ended}");
    assert_eq!(ended["result"]["records"], json!(all + 10 * i64::from(PARTITIONS)), "{ended}");
    assert_eq!(served.get("/api/jobs").await["jobs"].as_array().map(Vec::len), Some(2), "no job is there twice");
    assert_eq!(served.end(Signal::SIGINT), Some(0));
    project.run(&["down"]).exits(0);
    project.await_no_processes();
}

pub(crate) fn job_file(project: &Project, job: &Value) -> std::path::PathBuf {
    serve_state(project).join(format!("jobs/{}.json", job["id"].as_str().expect("an id")))
}
