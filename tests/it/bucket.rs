//! Archives in a bucket of a server that speaks S3, encrypted and not; backups that are killed, and two at a time.

use crate::program::{LONG, Project, skipped};
use age::secrecy::ExposeSecret;
use kscen::testing::kafka::{Admin, LogSink};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PARTITIONS: i32 = 2;
const RECORDS: i64 = 4000;

/// moto's server: as much of S3 as archives use, conditions included.
struct Moto {
    child: Child,
    endpoint: String,
    port: u16,
}

impl Moto {
    /// Starts one, with a bucket. Nothing where the program is not there; in CI it has to be.
    fn start(test: &str) -> Option<Self> {
        let program = std::env::var("KSCEN_MOTO_SERVER").unwrap_or_else(|_| "moto_server".to_owned());
        let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
        let started = Command::new(&program)
            .args(["--host", "127.0.0.1", "--port", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = match started {
            Ok(child) => child,
            Err(error) => {
                assert!(std::env::var_os("CI").is_none(), "{program}: {error}: pip install 'moto[s3,server]'");
                let words = format!("SKIPPED {test}: {program}: {error}; pip install 'moto[s3,server]'");
                let _ = writeln!(std::io::stderr(), "{words}");
                return None;
            }
        };
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains("Running on")), "it is ready");
        std::thread::spawn(move || lines.for_each(drop));
        let moto = Self { child, endpoint: format!("http://127.0.0.1:{port}"), port };
        assert!(moto.ask("PUT", "/archives", "").contains(" 200 "), "a bucket");
        Some(moto)
    }

    /// The answer to a request.
    fn ask(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .expect("asked");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("answered");
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// kscen with this endpoint in its environment.
    fn kscen(&self, project: &Project, args: &[&str]) -> Command {
        let mut command = project.command(args);
        command
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .env("AWS_ACCESS_KEY_ID", "someone")
            .env("AWS_SECRET_ACCESS_KEY", "s3cr3t-of-the-bucket")
            .env("AWS_REGION", "us-east-1");
        command
    }

    fn run(&self, project: &Project, args: &[&str]) -> crate::program::Finished {
        crate::program::Finished::new(&self.kscen(project, args).output().expect("kscen starts"))
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::main]
async fn create(bootstrap: &str) {
    let properties = BTreeMap::from([("bootstrap.servers".to_owned(), bootstrap.to_owned())]);
    let admin = Admin::new(&properties, LONG, LogSink::bounded(10).0).expect("a client");
    admin.create_topic("big", PARTITIONS, 1, &BTreeMap::new()).await.expect("created");
    admin.await_leaders("big", LONG).await.expect("leaders");
}

/// Enough in each partition for an upload in parts.
fn fill(bootstrap: &str) {
    let mut config = ClientConfig::new();
    let producer: BaseProducer =
        config.set("bootstrap.servers", bootstrap).set("linger.ms", "20").create().expect("one");
    for index in 0..RECORDS {
        for partition in 0..PARTITIONS {
            let text = format!("account {partition} {index} ").repeat(120);
            while producer.send(BaseRecord::<(), str>::to("big").partition(partition).payload(&text)).is_err() {
                producer.poll(Duration::from_millis(20));
            }
        }
    }
    producer.flush(LONG).expect("sent");
}

#[test]
fn a_bucket_holds_an_archive_as_a_folder_does() {
    let test = "a_bucket_holds_an_archive_as_a_folder_does";
    if skipped(test) {
        return;
    }
    let Some(moto) = Moto::start(test) else { return };
    let project = Project::fast();
    let up = project.run(&["up"]).exits(0);
    create(up.out.trim());
    fill(up.out.trim());
    let place = "s3://archives/prod/a";
    moto.run(&project, &["backup", "big", "--to", place, "--compression", "none"])
        .exits(0)
        .says("complete: 8000 records");
    moto.run(&project, &["verify", place, "--level", "deep"]).exits(0).says("sound").says("8000 records");
    moto.run(&project, &["archive", "list", place]).exits(0).says("big (id").says("8000 records");
    moto.run(&project, &["restore", place, "big=again", "--verify"]).exits(0);
    moto.run(&project, &["backup", "big", "--to", place]).exits(0).says("generation 2");
    moto.run(&project, &["archive", "prune", place, "--keep", "1"]).exits(0).says("removed: 1 generation;");
    moto.run(&project, &["verify", place, "--level", "deep"]).exits(0).says("sound");
    let absent = moto.run(&project, &["backup", "big", "--to", "s3://nobody/a"]).exits(3);
    let absent = absent.says("s3://nobody/a").says("bucket does not exist");
    assert!(!absent.err.contains("s3cr3t"), "{}", absent.err);
    hold_damage(&moto, &project, place);
    hold_kill(&moto, &project);
    hold_slowness(&moto, &project);
    hold_encryption(&moto, &project);
    hold_scenario(&moto, &project);
    project.run(&["down"]).exits(0);
}

/// What somebody changes in the bucket is found, and a restore of it is refused.
fn hold_damage(moto: &Moto, project: &Project, place: &str) {
    let shown = moto.run(project, &["archive", "show", place]).exits(0);
    let manifest: serde_json::Value = serde_json::from_str(&shown.out).expect("JSON");
    let file = manifest["topics"][0]["partitions"][1]["segments"][0]["file"].as_str().expect("a name");
    assert!(moto.ask("PUT", &format!("/archives/prod/a/{file}"), "short").contains(" 200 "));
    moto.run(project, &["verify", place, "--level", "quick"]).exits(1).says(file).says("it has 5 bytes");
    moto.run(project, &["restore", place, "big=damaged"]).exits(3).says(file);
}

/// A killed backup keeps others out until its lease has run out, and is continued then.
fn hold_kill(moto: &Moto, project: &Project) {
    let place = "s3://archives/killed";
    let slow = ["backup", "big", "--to", place, "--rate", "500kB/s", "--compression", "none", "--format", "json"];
    let mut first = moto.kscen(project, &slow).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts");
    let lines = BufReader::new(first.stdout.take().expect("piped")).lines().map_while(Result::ok);
    assert!(lines.take_while(|line| !line.contains("\"manifest\"")).count() > 0, "it is at work");
    let again = || moto.run(project, &["backup", "big", "--to", place]);
    again().exits(3).says(&format!("another writer has {place}"));
    first.kill().expect("it runs");
    first.wait().expect("it ended");
    again().exits(3).says("another writer has");
    let deadline = Instant::now() + LONG;
    // The lease runs out; nobody tells.
    let done = loop {
        let tried = again();
        if tried.code != 3 || Instant::now() > deadline {
            break tried;
        }
        std::thread::sleep(Duration::from_secs(1));
    };
    done.exits(0).says("complete: 8000 records");
    moto.run(project, &["verify", place, "--level", "deep"]).exits(0).says("sound");
}

/// A port behind which the same server is, and each connection takes so many bytes a second.
fn slow_line(moto: u16, rate: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(("127.0.0.1", moto)) else { break };
            let (mut asking, mut asked) =
                (client.try_clone().expect("a socket"), server.try_clone().expect("a socket"));
            std::thread::spawn(move || {
                let mut bytes = vec![0; rate / 50];
                while let Ok(read @ 1..) = asking.read(&mut bytes) {
                    std::thread::sleep(Duration::from_millis(20)); // that is what is slow
                    if asked.write_all(&bytes[..read]).is_err() {
                        break;
                    }
                }
                let _ = asked.shutdown(Shutdown::Write);
            });
            let (mut answering, mut answered) = (server, client);
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut answering, &mut answered);
                let _ = answered.shutdown(Shutdown::Write);
            });
        }
    });
    port
}

/// A bucket that takes less than the broker gives: the backup waits for it, and is whole.
fn hold_slowness(moto: &Moto, project: &Project) {
    let (place, begun) = ("s3://archives/slow", Instant::now());
    let mut command = moto.kscen(project, &["backup", "big", "--to", place, "--compression", "none"]);
    command.env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", slow_line(moto.port, 2 << 20)));
    let ended = crate::program::Finished::new(&command.output().expect("kscen starts"));
    ended.exits(0).says("complete: 8000 records");
    // More than 6 MB of each partition went over one connection.
    assert!(begun.elapsed() > Duration::from_secs(2), "the line was not slow: {:?}", begun.elapsed());
    moto.run(project, &["verify", place, "--level", "deep"]).exits(0).says("sound").says("8000 records");
}

const SCENARIO: &str = r#"
name: An archive in a bucket
vars: { topic: "orders-${run.id}", place: "s3://archives/of-a-run" }
setup:
  - topic: { name: "${topic}", partitions: 2 }
steps:
  - produce: { topic: "${topic}", count: 500 }
  - backup: { topics: ["${topic}"], to: "${place}", groups: none }
  - expect: { archive: { name: "${place}", records: 500, gaps: 0, state: complete, sound: true, level: deep } }
  - restore: { from: "${place}", topic: "${topic}", as: "${topic}-back", offsets: exact }
  - verify: { archive: "${place}", level: target, topic: "${topic}-back" }
"#;

/// A scenario names a bucket where it names an archive, and the archive stays when the run is over.
fn hold_scenario(moto: &Moto, project: &Project) {
    project.write("bucket.yaml", SCENARIO);
    moto.run(project, &["run", "bucket.yaml"]).exits(0);
    moto.run(project, &["verify", "s3://archives/of-a-run", "--level", "deep"]).exits(0).says("500 records");
    let check = |from: &str, to: &str| {
        project.write("wrong.yaml", &SCENARIO.replace(from, to));
        project.run(&["check", "wrong.yaml"])
    };
    check("s3://archives/of-a-run", "ftp://archives/x").exits(2).says("there is no store for `ftp://`");
    check("s3://archives/of-a-run", "s3://someone:pass@archives/x").exits(2).says("no user and no password");
    let corrupt = "  - corrupt: { archive: \"${place}\", file: segment, how: flip }\n  - verify:";
    check("  - verify:", corrupt).exits(2).says("cannot be the name of an archive");
}

/// Only who has an identity reads records; everybody sees whether the files are whole.
fn hold_encryption(moto: &Moto, project: &Project) {
    let secret = age::x25519::Identity::generate();
    let (recipient, text) = (secret.to_public().to_string(), secret.to_string());
    project.write("key.txt", text.expose_secret());
    project.write("other.txt", age::x25519::Identity::generate().to_string().expose_secret());
    for place in ["s3://archives/sealed", "sealed"] {
        let run = |args: &[&str]| moto.run(project, args);
        run(&["backup", "big", "--to", place, "--encrypt-to", &recipient]).exits(0).says("complete: 8000 records");
        run(&["backup", "big", "--to", place]).exits(3).says(&format!("is encrypted to {recipient}"));
        run(&["verify", place]).exits(0).says("sound: 2 files, 0 batches").says("2 files not opened");
        run(&["verify", place, "--level", "deep"]).exits(3).says("no identity was given");
        run(&["verify", place, "--level", "deep", "--identity", "key.txt"]).exits(0).says("8000 records");
        run(&["archive", "cat", place]).exits(3).says(".log.age is encrypted");
        run(&["archive", "cat", place, "--identity", "other.txt"]).exits(3).says("to others than the identities");
        let cat = run(&["archive", "cat", place, "--identity", "key.txt", "--max-messages", "1"]).exits(0);
        cat.says("account 0 0 account 0 0");
        run(&["restore", place, "big=locked"]).exits(3).says(".log.age is encrypted");
        let name = format!("big=open-{}", place.len());
        run(&["restore", place, &name, "--identity", "key.txt", "--verify"]).exits(0);
    }
    run_sums(project);
    let run = |args: &[&str]| project.run(args);
    run(&["backup", "big", "--to", "x", "--encrypt-to", "age1nobody"]).exits(2).says("is not an age recipient");
    run(&["verify", "sealed", "--identity", "nowhere.txt"]).exits(2).says("--identity nowhere.txt");
    project.write("none.txt", "# a comment\nnothing\n");
    run(&["verify", "sealed", "--identity", "none.txt"]).exits(2).says("line 2 is not an age identity");
}

/// Encrypted files are checked without kscen and without a key.
fn run_sums(project: &Project) {
    let mut sums = Command::new("sha256sum");
    sums.args(["--check", "--strict", "--quiet", "SHA256SUMS"]).current_dir(project.path("sealed"));
    assert!(sums.status().expect("sha256sum starts").success());
}
