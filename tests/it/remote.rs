//! Somebody else's cluster, behind SASL and TLS.

use crate::jars;
use crate::program::{Project, skipped};
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A broker that kscen knows nothing of; it ends with this value.
struct Broker {
    process: Child,
    bootstrap: String,
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn keytool(args: &[&str], folder: &Path) {
    let output = Command::new("keytool").args(args).current_dir(folder).output().expect("keytool starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// A certificate for this machine as a key store, and as PEM for those who trust it.
fn certificate(folder: &Path, name: &str) {
    let (store, pem) = (format!("{name}.p12"), format!("{name}.pem"));
    let common = ["-keystore", &store, "-storetype", "PKCS12", "-storepass", "store-secret", "-alias", "broker"];
    let extensions = ["-ext", "san=dns:localhost,ip:127.0.0.1", "-ext", "bc=ca:true"];
    let make = ["-genkeypair", "-keyalg", "RSA", "-dname", "CN=localhost", "-validity", "7"];
    keytool(&[&make[..], &extensions, &common].concat(), folder);
    keytool(&[&["-exportcert", "-rfc", "-file", &pem][..], &common].concat(), folder);
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

fn broker(folder: &Path) -> Broker {
    certificate(folder, "broker");
    certificate(folder, "other");
    let [secure, inner, controller] = [free_port(), free_port(), free_port()];
    let data = folder.join("data");
    fs::create_dir(&data).expect("a folder");
    fs::write(data.join("meta.properties"), "version=1\ncluster.id=MkU3OEVBNTcwNTJENDM2Qg\nnode.id=1\n")
        .expect("writes");
    let (data, store) = (data.display(), folder.join("broker.p12"));
    let properties = format!(
        "process.roles=broker,controller\nnode.id=1\nlog.dirs={data}\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\ncontroller.listener.names=CONTROLLER\n\
         listeners=SASL_SSL://127.0.0.1:{secure},INNER://127.0.0.1:{inner},CONTROLLER://127.0.0.1:{controller}\n\
         listener.security.protocol.map=SASL_SSL:SASL_SSL,INNER:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         inter.broker.listener.name=INNER\nsasl.enabled.mechanisms=PLAIN\n\
         ssl.keystore.location={}\nssl.keystore.password=store-secret\nssl.keystore.type=PKCS12\n\
         listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
         user_tester=\"right\";\n\
         offsets.topic.replication.factor=1\nlog.cleaner.dedupe.buffer.size=2097152\n",
        store.display()
    );
    fs::write(folder.join("server.properties"), properties).expect("writes");
    let log = fs::File::create(folder.join("broker.log")).expect("a file");
    let process = jars::java("3.6.1")
        .arg("kafka.Kafka")
        .arg(folder.join("server.properties"))
        .stdout(log.try_clone().expect("a file"))
        .stderr(log)
        .stdin(Stdio::null())
        .spawn()
        .expect("java starts");
    let broker = Broker { process, bootstrap: format!("127.0.0.1:{secure}") };
    let deadline = Instant::now() + Duration::from_secs(60);
    while std::net::TcpStream::connect(&broker.bootstrap).is_err() {
        let said = fs::read_to_string(folder.join("broker.log")).unwrap_or_default();
        assert!(Instant::now() < deadline, "{said}");
        std::thread::sleep(Duration::from_millis(50)); // nobody tells when a port is open
    }
    broker
}

const SCENARIO: &str = r#"
name: Through TLS
guarantee: at-least-once
vars: { topic: "secure-${run.id}" }
setup:
  - topic: { name: "${topic}", partitions: 2 }
steps:
  - id: reader
    background: true
    consume: { topic: "${topic}", from: start, group: "readers-${run.id}" }
  - id: load
    produce: { topic: "${topic}", rate: 200/s, count: 200 }
  - expect:
      delivery: { from: load, to: reader, lost: 0 }
      within: 30s
"#;

#[test]
fn a_cluster_behind_sasl_and_tls_is_usable_and_each_mistake_has_its_own_words() {
    if skipped("a_cluster_behind_sasl_and_tls_is_usable_and_each_mistake_has_its_own_words") {
        return;
    }
    let project = Project::new();
    // Fetches Kafka where no run has done so yet.
    project.write("first.yaml", "name: First\nchecks: none\nsteps:\n  - topic: { name: first }\n");
    project.run(&["run", "first.yaml"]).exits(0);
    let folder = project.path("broker");
    fs::create_dir(&folder).expect("a folder");
    let broker = broker(&folder);
    project.write("scenario.yaml", SCENARIO);
    let environment = |password: &str, certificate: &str, allow: &str| {
        let text = format!(
            "environments:\n  theirs:\n    remote: {{}}\n    allow: [{allow}]\n    kafka:\n      bootstrap: \"{}\"\n      config:\n        \
             security.protocol: SASL_SSL\n        sasl.mechanism: PLAIN\n        sasl.username: tester\n        \
             sasl.password: {password}\n        ssl.ca.location: {}\n",
            broker.bootstrap,
            folder.join(certificate).display()
        );
        project.write("kscen.yaml", &text);
        project.run(&["run", "scenario.yaml", "--env", "theirs"])
    };
    environment("right", "broker.pem", "produce, topics, groups").exits(0);
    project.run(&["status", "--env", "theirs"]).exits(0).says("broker 1");
    let wrong = environment("wrong", "broker.pem", "produce, topics, groups").exits(3).says("password");
    assert!(!wrong.err.contains("sasl.password: wrong"), "{}", wrong.err);
    environment("right", "other.pem", "produce, topics, groups").exits(3).says("certificate");
    environment("right", "broker.pem", "produce").exits(2).says("does not allow `topics`");
    // Needs are held against what the broker tells: here 3.6, combined.
    environment("right", "broker.pem", "produce, topics, groups").exits(0);
    let needing = |needs: &str| {
        let text = format!("name: Needs\nchecks: none\nneeds: {{ {needs} }}\nsteps:\n  - wait: 10ms\n");
        project.write("needs.yaml", &text);
        project.run(&["run", "needs.yaml", "--env", "theirs"])
    };
    let config = "broker_config: { offsets.topic.replication.factor: 1 }";
    needing(&format!("brokers: 1, kafka: \"3.6\", controllers: combined, {config}")).exits(0);
    needing("kafka: \">=9\"").exits(3).says("it needs Kafka >=9, and a broker runs 3.6");
    needing("kafka: \">=3.6.1\"").exits(3).says("not which patch release");
    needing("controllers: dedicated").exits(3).says("it needs dedicated controllers, and they are combined");
    needing("broker_config: { offsets.topic.replication.factor: 3 }").exits(3).says("broker 1 has 1");
    needing("brokers: 2").exits(3).says("it needs 2 brokers");
    project.write("fault.yaml", "name: Fault\nsteps:\n  - pause: { service: kafka, for: 1s }\n");
    project.run(&["run", "fault.yaml", "--env", "theirs"]).exits(2).says("does not control its services");
}
