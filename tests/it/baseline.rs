//! A scenario that holds itself against a stored baseline, and Kafka UI's figures against the broker's.

use crate::program::{Project, skipped};
use crate::turns;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

const GATED: &str = r#"
name: As fast as it was
vars: { topic: "t-${run.id}", rate: 400/s }
compare:
  baseline: baselines
  metrics: { load.ack_rate: 15%, load.acked: 15% }
setup:
  - topic: { name: "${topic}" }
steps:
  - id: load
    produce: { topic: "${topic}", rate: "${rate}", for: 2s, size: 100B }
"#;

#[test]
fn what_is_worse_than_its_baseline_fails_and_what_cannot_be_told_is_unknown() {
    if skipped("what_is_worse_than_its_baseline_fails_and_what_cannot_be_told_is_unknown") {
        return;
    }
    turns::alone();
    let project = Project::fast();
    project.write("gated.yaml", GATED);
    project.run(&["up"]).exits(0);
    project.run(&["run", "gated.yaml"]).exits(2).says("--no-compare");
    project.run(&["run", "gated.yaml", "--no-compare"]).exits(0);
    std::fs::create_dir(project.path("baselines")).expect("a folder");
    project.write("baselines/1.json", &project.record().to_string());

    project.run(&["run", "gated.yaml"]).exits(0);
    // 30 % less is between one and three margins, 75 % less is beyond.
    project.run(&["run", "gated.yaml", "--var", "rate=280/s"]).exits(1).says("undecided");
    project.run(&["run", "gated.yaml", "--var", "rate=100/s"]).exits(1).says("worse, -75");
    let outcomes: Vec<String> = project
        .records()
        .iter()
        .map(|record| record["verdict"]["outcome"].as_str().expect("a verdict").to_owned())
        .collect();
    assert_eq!(outcomes, ["pass", "pass", "unknown", "fail"]);
    project.run(&["down"]).exits(0);
}

/// Answers every request as Kafka UI answers for a group with that lag; returns its port.
fn kafka_ui(lag: u64) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let request = lines.next().unwrap_or_default();
            // The request ends with an empty line.
            lines.find(String::is_empty);
            let group = request.split(['/', ' ']).nth(6).unwrap_or_default().to_owned();
            let body =
                format!("{{\"groupId\":\"{group}\",\"state\":\"EMPTY\",\"consumerLag\":{lag},\"partitions\":[]}}");
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
            let _ = write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        }
    });
    port
}

#[test]
fn kafka_uis_lag_has_to_be_the_brokers() {
    if skipped("kafka_uis_lag_has_to_be_the_brokers") {
        return;
    }
    turns::alone();
    let project = Project::fast();
    project.run(&["up"]).exits(0);
    let scenario = include_str!("../../scenarios/kafka-ui-lag.yaml").replace("times: 10", "times: 1");
    project.write("lag.yaml", &scenario);
    let status = project.run(&["status"]);
    let bootstrap = status
        .out
        .lines()
        .find_map(|line| line.strip_prefix("kafka "))
        .unwrap_or_else(|| panic!("no address in {}", status.out))
        .to_owned();
    for (lag, code) in [(5000, 0), (4999, 1)] {
        let local = std::fs::read_to_string(project.path("kscen.yaml")).expect("the project");
        let local = local.split("  seen:").next().unwrap_or_default();
        project.write(
            "kscen.yaml",
            &format!(
                "{local}  seen:\n    remote: {{}}\n    allow: [produce, topics, groups, delete]\n    kafka: {{ bootstrap: \"{bootstrap}\" }}\n    \
                 kafka_ui: {{ url: \"http://127.0.0.1:{}\" }}\n",
                kafka_ui(lag)
            ),
        );
        let finished = project.run(&["run", "--env", "seen", "lag.yaml"]).exits(code);
        if code == 1 {
            finished.says("expected 5000 at `/consumerLag`, found 4999");
        }
    }
    project.run(&["down"]).exits(0);
}
