//! Kafka in the pods of a real cluster: faults proved, undone after a death, and what is wrong said where it is wrong.
//!
//! `scripts/kubernetes` starts such a cluster on this machine, runs these and writes down how long they took; CI has no time for it.

use crate::program::{Project, skipped};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::fs;
use std::process::Command;

/// The kubeconfig of the cluster.
const CLUSTER: &str = "KSCEN_CLUSTER";
const BROKERS: &str = "10.99.0.11:9092,10.99.0.12:9092,10.99.0.13:9092";
/// Each fault, one after the other, under a load that has to survive them all.
const FAULTS: &str = r#"
name: Faults on brokers in pods
guarantee: at-least-once
needs: { brokers: 3 }
vars: { topic: "orders-${run.id}" }
setup:
  - topic: { name: "${topic}", partitions: 3, replication: 3, config: { min.insync.replicas: "2" } }
steps:
  - id: reader
    background: true
    consume: { topic: "${topic}", from: start }
  - id: load
    background: true
    produce: { topic: "${topic}", rate: 100/s, for: 70s, acks: all }
  - wait: { step: load, count: 200 }
  - id: freeze
    pause: { service: kafka-2, for: 3s }
  - id: crash
    kill: { service: { leader_of: "${topic}/0" }, for: 5s }
  - id: again
    restart: { service: kafka-3 }
  - id: away
    stop: { service: kafka-1, for: 3s }
  - join: load
  - expect:
      delivery: { from: load, to: reader, lost: 0, corrupted: 0, phantom: 0, skipped: 0 }
      step: [{ id: load, failed: 0, unknown: 0 }]
      cluster: { brokers: 3, offline_partitions: 0, under_replicated: 0 }
      within: 60s
"#;
const FREEZE: &str = r#"
name: Freeze
steps:
  - id: freeze
    pause: { service: kafka-2, for: 10m }
"#;
const AWAY: &str = r#"
name: Away
steps:
  - id: crash
    kill: { service: kafka-3, for: 10m }
"#;
const STOPPED: &str = r#"
name: Stopped
steps:
  - id: away
    stop: { service: kafka-3, for: 10s }
"#;
/// Long enough for a pod to be deleted meanwhile by somebody else.
const QUIET: &str = r#"
name: Nothing is done to a broker
vars: { topic: "orders-${run.id}" }
setup:
  - topic: { name: "${topic}", partitions: 3, replication: 3 }
steps:
  - id: load
    produce: { topic: "${topic}", rate: 50/s, for: 25s, acks: all }
"#;

/// For workers: a load and a reader that are dealt out, and a fault beside them.
const LOAD: &str = r#"
name: Sent and read in pods
guarantee: at-least-once
vars: { topic: "orders-${run.id}" }
setup:
  - topic: { name: "${topic}", partitions: 4, replication: 3 }
steps:
  - id: reader
    background: true
    consume: { topic: "${topic}", from: start, group: "group-${run.id}", members: 2 }
  - id: load
    background: true
    produce: { topic: "${topic}", rate: 50/s, count: 1500, producers: 2, acks: all, idempotent: true }
  - wait: { step: load, count: 500 }
  - id: freeze
    pause: { service: kafka-2, for: 2s }
  - join: load
  - expect:
      delivery: { from: load, to: reader, lost: 0, corrupted: 0, phantom: 0, skipped: 0, duplicated: 0 }
      step: [{ id: load, failed: 0, unknown: 0 }]
      within: 30s
"#;
const ENDLESS: &str = r#"
name: Until somebody dies
guarantee: at-least-once
vars: { topic: "orders-${run.id}" }
setup:
  - topic: { name: "${topic}", partitions: 4, replication: 3 }
steps:
  - id: reader
    background: true
    consume: { topic: "${topic}", from: start, group: "group-${run.id}", members: 2 }
  - id: load
    background: true
    produce: { topic: "${topic}", rate: 50/s, for: 10m, producers: 2 }
  - wait: { step: load, count: 200 }
  - id: some
    wait: { step: load, count: 400 }
  - join: load
"#;

/// A project whose environment is the cluster; `None` where there is none, said aloud.
fn project(test: &str, more: &str) -> Option<Project> {
    if skipped(test) {
        return None;
    }
    let Ok(cluster) = std::env::var(CLUSTER) else {
        eprintln!("\nSKIPPED {test}: {CLUSTER} names no kubeconfig; scripts/kubernetes starts a cluster\n");
        return None;
    };
    let project = Project::new();
    project.write("kscen.yaml", &environment(&cluster, more));
    Some(project)
}

fn environment(cluster: &str, more: &str) -> String {
    let allow = "allow: [produce, topics, groups, faults]";
    format!(
        "default: shop\nenvironments:\n  shop:\n    kubernetes: {{ kubeconfig: \"{cluster}\", services: {{ kafka: app=kafka }}{more} }}\n    \
         kafka: {{ bootstrap: \"{BROKERS}\" }}\n    {allow}\n"
    )
}

/// What `kubectl` says.
fn kubectl(arguments: &[&str]) -> String {
    let cluster = std::env::var(CLUSTER).expect("a cluster");
    let output = Command::new("kubectl").args(["--kubeconfig", &cluster]).args(arguments).output().expect("kubectl");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The state of Java in a broker's pod, by somebody else than kscen.
fn java(pod: &str) -> char {
    let look =
        "for d in /proc/[0-9]*; do read -r l <$d/stat; case $l in *'(java)'*) l=${l##*) }; echo ${l%% *};; esac; done";
    kubectl(&["exec", pod, "--", "sh", "-c", look]).trim().chars().next().expect("a state")
}

/// All pods run, and nothing of kscen is left in their set.
fn is_untouched() {
    kubectl(&["rollout", "status", "statefulset/kafka", "--timeout=120s"]);
    let set: Value = serde_json::from_str(&kubectl(&["get", "statefulset", "kafka", "-o", "json"])).expect("JSON");
    assert_eq!(set["spec"]["updateStrategy"]["type"], "RollingUpdate");
    assert!(set["spec"]["template"]["spec"]["schedulingGates"].is_null());
    assert!(!set["metadata"]["annotations"].to_string().contains("kscen.dev"), "{}", set["metadata"]["annotations"]);
    assert_eq!(set["status"]["readyReplicas"], 3);
    assert_eq!(set["status"]["currentRevision"], set["status"]["updateRevision"]);
}

fn faults(record: &Value) -> Vec<(String, String, String)> {
    let text = |fault: &Value, key: &str| fault[key].as_str().unwrap_or_default().to_owned();
    let faults = record["faults"].as_array().expect("faults");
    faults.iter().map(|fault| (text(fault, "step"), text(fault, "target"), text(fault, "proof"))).collect()
}

#[test]
#[ignore = "scripts/kubernetes runs it on a cluster that it starts"]
fn faults_on_pods_are_proved_and_nothing_is_lost() {
    let Some(project) = project("faults_on_pods_are_proved_and_nothing_is_lost", "") else { return };
    project.write("faults.yaml", FAULTS);
    project.run(&["plan", "faults.yaml"]).exits(0).says("resources: [pods/exec], verbs: [create, get]");
    project.run(&["run", "faults.yaml"]).exits(0);
    let record = project.record();
    let proofs = faults(&record);
    let of = |step: &str| proofs.iter().find(|(own, ..)| own == step).unwrap_or_else(|| panic!("{step}: {proofs:?}"));
    assert!(of("freeze").2.contains("(java) in pod kafka-1 in state T"), "{proofs:?}");
    let (_, killed, proof) = of("crash");
    assert!(proof.contains("exit code 137") && proof.contains("held back"), "{proofs:?}");
    assert!(of("again").2.contains("the one before ended with exit code 143"), "{proofs:?}");
    assert!(of("away").2.contains("exit code 143") && of("away").2.contains("held back"), "{proofs:?}");
    is_untouched();
    // What Kafka itself says: an end without order for the one that was killed, and for nobody else.
    let number: usize = killed.trim_start_matches("kafka-").parse().expect("a broker");
    if number == 2 {
        let log = kubectl(&["logs", "kafka-1", "--tail=-1"]);
        assert!(log.contains("no clean shutdown file was found"), "{log}");
    }
    let log = kubectl(&["logs", "kafka-2", "--tail=-1"]);
    assert!(log.contains("since clean shutdown file was found"), "{log}");
}

#[test]
#[ignore = "scripts/kubernetes runs it on a cluster that it starts"]
fn shipped_scenarios_pass_on_brokers_in_pods() {
    let Some(project) = project("shipped_scenarios_pass_on_brokers_in_pods", "") else { return };
    for name in ["leader-loss", "consumer-groups"] {
        let file = crate::goldens::root().join(format!("scenarios/{name}.yaml"));
        project.run(&["run", file.to_str().expect("text")]).exits(0);
    }
    is_untouched();
}

#[test]
#[ignore = "scripts/kubernetes runs it on a cluster that it starts"]
fn what_a_killed_run_left_in_pods_is_undone() {
    let Some(project) = project("what_a_killed_run_left_in_pods_is_undone", "") else { return };
    project.write("freeze.yaml", FREEZE);
    project.write("away.yaml", AWAY);
    let mut run = project.on_terminal(&["run", "freeze.yaml"]);
    run.until("freeze: pause").await_event(&project, "in state T");
    run.signal(Signal::SIGKILL);
    drop(run.end());
    assert_eq!(java("kafka-1"), 'T');
    project.run(&["undo"]).exits(0).says("pause of kafka-2 of an earlier run: resumed pod kafka-1");
    assert_ne!(java("kafka-1"), 'T');
    project.run(&["undo"]).exits(0).says("nothing to undo");

    let mut run = project.on_terminal(&["run", "away.yaml"]);
    run.until("crash: kill").await_event(&project, "exit code 137");
    run.signal(Signal::SIGKILL);
    drop(run.end());
    assert!(kubectl(&["get", "pod", "kafka-2", "-o", "jsonpath={.spec.schedulingGates}"]).contains("kscen.dev/held"));
    project.run(&["undo"]).exits(0).says("kill of kafka-3 of an earlier run: started pod kafka-2");
    is_untouched();
    project.run(&["undo"]).exits(0).says("nothing to undo");
}

#[test]
#[ignore = "scripts/kubernetes runs it on a cluster that it starts"]
fn a_pod_that_somebody_else_deletes_is_a_reason() {
    let Some(project) = project("a_pod_that_somebody_else_deletes_is_a_reason", "") else { return };
    project.write("quiet.yaml", QUIET);
    let mut run = project.on_terminal(&["run", "quiet.yaml"]);
    run.until("load: ").await_event(&project, "\"event\":\"step-started\",\"id\":\"load\"");
    kubectl(&["delete", "pod", "kafka-1", "--wait=false"]);
    let (_, shown) = run.end();
    assert!(shown.contains("pod kafka-1 was deleted") || shown.contains("kafka-2"), "{shown}");
    let incidents = project.record()["incidents"].to_string();
    assert!(incidents.contains("kafka-2"), "{incidents}\n{shown}");
    is_untouched();
}

#[test]
#[ignore = "scripts/kubernetes runs it on a cluster that it starts"]
fn a_pod_that_somebody_replaces_during_a_stop_is_not_left_held_back() {
    let test = "a_pod_that_somebody_replaces_during_a_stop_is_not_left_held_back";
    let Some(project) = project(test, "") else { return };
    project.write("stopped.yaml", STOPPED);
    let mut run = project.on_terminal(&["run", "stopped.yaml"]);
    run.until("away: stop");
    kubectl(&["delete", "pod", "kafka-0", "--wait=false"]);
    drop(run.end());
    is_untouched();
    project.run(&["undo"]).exits(0).says("nothing to undo");
}

#[test]
#[ignore = "scripts/kubernetes runs it on a cluster that it starts"]
fn what_is_wrong_with_a_cluster_is_said() {
    let Some(project) = project("what_is_wrong_with_a_cluster_is_said", ", context: y") else { return };
    project.write("freeze.yaml", FREEZE);
    project.run(&["run", "freeze.yaml"]).exits(3).says("there is no context `y`").says("there are x");
    let cluster = std::env::var(CLUSTER).expect("a cluster");
    let with = |more: &str| project.write("kscen.yaml", &environment(&cluster, more));
    with(", namespace: nowhere");
    project.run(&["run", "freeze.yaml"]).exits(3).says("no pod in the namespace `nowhere`").says("app=kafka");

    // An account that may look at pods, and nothing else.
    kubectl(&["delete", "role,rolebinding,serviceaccount", "looker", "--ignore-not-found"]);
    kubectl(&["create", "serviceaccount", "looker"]);
    kubectl(&["create", "role", "looker", "--verb=get,list,watch", "--resource=pods"]);
    kubectl(&["create", "rolebinding", "looker", "--role=looker", "--serviceaccount=default:looker"]);
    let token = kubectl(&["create", "token", "looker"]);
    let mut config: Value =
        serde_json::from_str(&kubectl(&["config", "view", "--raw", "--flatten", "-o", "json"])).expect("JSON");
    config["users"][0]["user"] = serde_json::json!({ "token": token.trim() });
    fs::write(project.path("looker.conf"), config.to_string()).expect("writes");
    project.write("kscen.yaml", &environment("looker.conf", ""));
    let lacks = "`create` on `pods/exec`";
    project.run(&["run", "freeze.yaml"]).exits(3).says("lacks rights").says(lacks).says("kscen plan");
    kubectl(&["delete", "role,rolebinding,serviceaccount", "looker"]);

    // A pod that finds no node.
    kubectl(&["delete", "deployment", "lost", "--ignore-not-found"]);
    kubectl(&["create", "deployment", "lost", "--image=kscen.test/box:1"]);
    let nowhere = r#"{"spec":{"template":{"spec":{"nodeSelector":{"disk":"golden"}}}}}"#;
    kubectl(&["patch", "deployment", "lost", "-p", nowhere]);
    kubectl(&["scale", "deployment", "lost", "--replicas=0"]);
    kubectl(&["wait", "--for=delete", "pod", "-l", "app=lost", "--timeout=60s"]);
    kubectl(&["scale", "deployment", "lost", "--replicas=1"]);
    project.write("kscen.yaml", &environment(&cluster, "").replace("app=kafka", "app=lost"));
    project.run(&["run", "freeze.yaml"]).exits(3).says("not all of its pods run").says("node affinity/selector");
    // Two pods that are to be one service.
    kubectl(&["scale", "deployment", "lost", "--replicas=2"]);
    kubectl(&["wait", "deployment/lost", "--for=jsonpath={.status.replicas}=2", "--timeout=60s"]);
    project.write("kscen.yaml", &environment(&cluster, "").replace("app=kafka", "app=kafka, connect: app=lost"));
    project.run(&["run", "freeze.yaml"]).exits(3).says("connect is 2 pods").says("replicas: 1");
    kubectl(&["delete", "deployment", "lost"]);
}

/// The phases of the pods of workers that there are.
fn phases() -> Vec<String> {
    let selector = "app.kubernetes.io/component=worker";
    let found =
        kubectl(&["get", "pods", "-l", selector, "-o", "jsonpath={range .items[*]}{.status.phase}{\"\\n\"}{end}"]);
    found.lines().map(str::to_owned).collect()
}

fn with_workers(project: &Project, count: u32, image: &str) {
    let cluster = std::env::var(CLUSTER).expect("a cluster");
    let job = format!("count: {count}, image: \"{image}\", cpu: \"1\", memory: 512Mi, kubeconfig: \"{cluster}\"");
    project.write("kscen.yaml", &format!("{}workers: {{ kubernetes: {{ {job} }} }}\n", environment(&cluster, "")));
}

#[test]
#[ignore = "scripts/kubernetes runs it on a cluster that it starts"]
fn workers_run_in_pods_and_nothing_of_them_is_left() {
    let Some(project) = project("workers_run_in_pods_and_nothing_of_them_is_left", "") else { return };
    project.write("load.yaml", LOAD);
    project.write("endless.yaml", ENDLESS);
    with_workers(&project, 2, "kscen.test/nothing:1");
    project.run(&["run", "load.yaml"]).exits(3).says("do not start").says("kscen.test/nothing:1");
    assert_eq!(kubectl(&["get", "jobs", "-o", "name"]), "");
    project.run(&["undo"]).exits(0).says("nothing to undo");
    // A context that is not there makes nothing, and is nothing that later runs have to undo.
    with_workers(&project, 2, "kscen.test/kscen:1\", context: \"y");
    project.run(&["run", "load.yaml"]).exits(3).says("there is no context `y`");
    project.run(&["undo"]).exits(0).says("nothing to undo");

    with_workers(&project, 2, "kscen.test/kscen:1");
    project.run(&["run", "load.yaml"]).exits(0);
    let record = project.records().pop().expect("a record");
    let workers = record["workers"].as_array().expect("workers");
    assert_eq!(workers.len(), 2, "{workers:?}");
    for worker in workers {
        assert!(worker["place"].as_str().is_some_and(|place| place.starts_with("pod kscen-")), "{worker}");
        assert!(!worker["units"].as_array().expect("units").is_empty(), "{worker}");
        eprintln!(
            "{}: clock within {} us, round trip {} us",
            worker["place"], worker["clock_bound_us"], worker["round_trip_us"]
        );
    }
    assert_eq!(kubectl(&["get", "jobs", "-o", "name"]), "", "the Job is removed");

    // A worker dies: nobody knows what it did, and the verdict says so.
    let mut run = project.on_terminal(&["run", "endless.yaml"]);
    run.until("some: ");
    let name = kubectl(&["get", "pods", "-l", "app.kubernetes.io/component=worker", "-o", "name"]);
    let name = name.lines().next().expect("a worker").to_owned();
    kubectl(&["delete", &name, "--grace-period=0", "--force"]);
    let (status, shown) = run.end();
    assert_eq!(status.code(), Some(1), "{shown}");
    assert!(shown.contains("unknown") && shown.contains(name.trim_start_matches("pod/")), "{shown}");
    assert_eq!(kubectl(&["get", "jobs", "-o", "name"]), "");

    // The coordinator dies: its workers end with their streams, and undo removes the Job.
    let mut run = project.on_terminal(&["run", "endless.yaml"]);
    run.until("some: ").signal(Signal::SIGKILL);
    drop(run.end());
    let began = std::time::Instant::now();
    while phases().iter().any(|phase| phase == "Running") {
        assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", phases());
    }
    eprintln!("no worker {:.1} s after the coordinator's death", began.elapsed().as_secs_f64());
    project.run(&["undo"]).exits(0).says("workers' Job kscen-").says("removed");
    kubectl(&["wait", "--for=delete", "jobs", "-l", "app.kubernetes.io/component=worker", "--timeout=60s"]);
    project.run(&["undo"]).exits(0).says("nothing to undo");
}
