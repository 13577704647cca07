//! MirrorMaker 2, from Kafka's own jars: topics of the broker, copied into others of the same broker.

use crate::Outcome;
use crate::backup::{BackupFigures, RECORDS, folder, timed};
use crate::broker::Broker;
use crate::process::Taken;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a copy may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Its jars.
pub struct Mirror {
    jars: PathBuf,
}

impl Mirror {
    /// Fetches them with Maven, unless they are there.
    pub fn fetch() -> Outcome<Self> {
        let version = kscen::testing::environment::local::LocalConfig::default().kafka;
        let jars = crate::peers::output()?.join(format!("mirror-{version}"));
        if !jars.join("complete").is_file() {
            std::fs::create_dir_all(&jars)?;
            let pom = format!(
                "<project><modelVersion>4.0.0</modelVersion><groupId>kscen.bench</groupId><artifactId>mirror</artifactId>\
                 <version>1</version><dependencies><dependency><groupId>org.apache.kafka</groupId><artifactId>connect-mirror\
                 </artifactId><version>{version}</version></dependency><dependency><groupId>org.slf4j</groupId><artifactId>\
                 slf4j-nop</artifactId><version>1.7.36</version></dependency></dependencies></project>"
            );
            std::fs::write(jars.join("pom.xml"), pom)?;
            let mut maven = Command::new("mvn");
            maven.args(["-B", "-q", "-C", "dependency:copy-dependencies", "-f"]).arg(jars.join("pom.xml"));
            maven.arg(format!("-DoutputDirectory={}", jars.display()));
            if !maven.status()?.success() {
                return Err("Maven did not bring connect-mirror".into());
            }
            std::fs::write(jars.join("complete"), "")?;
        }
        Ok(Self { jars })
    }

    /// Copies a topic, and stops when the copy has so many offsets in all partitions together, and `also` holds.
    pub fn copy(
        &self,
        broker: &Broker,
        topic: &str,
        offsets: i64,
        also: impl Fn(&str) -> Outcome<bool>,
    ) -> Outcome<(String, Taken)> {
        let root = folder(broker)?;
        let (alias, bootstrap) = (format!("m{:08x}", rand::random::<u32>()), broker.bootstrap());
        let copy = format!("{alias}.{topic}");
        let flow = format!("{alias}->here");
        std::fs::write(
            root.join("mirror.properties"),
            format!(
                "clusters = {alias}, here\n{alias}.bootstrap.servers = {bootstrap}\nhere.bootstrap.servers = {bootstrap}\n\
                 {flow}.enabled = true\n{flow}.topics = {topic}\nhere->{alias}.enabled = false\ntasks.max = 4\n\
                 replication.factor = 1\noffset-syncs.topic.replication.factor = 1\ncheckpoints.topic.replication.factor = 1\n\
                 heartbeats.topic.replication.factor = 1\noffset.storage.replication.factor = 1\n\
                 status.storage.replication.factor = 1\nconfig.storage.replication.factor = 1\nemit.heartbeats.enabled = false\n\
                 {flow}.sync.group.offsets.enabled = true\n{flow}.emit.checkpoints.interval.seconds = 2\n\
                 {flow}.sync.group.offsets.interval.seconds = 2\nsync.topic.acls.enabled = false\n\
                 here.producer.compression.type = zstd\nhere.producer.batch.size = 1000000\nhere.producer.linger.ms = 20\n"
            ),
        )?;
        let mut command = Command::new("java");
        command.args(["-Xmx1G", "-server", "-XX:+UseG1GC", "-cp"]).arg(format!("{}/*", self.jars.display()));
        command.args(["org.apache.kafka.connect.mirror.MirrorMaker", "mirror.properties"]).current_dir(&root);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let before = crate::process::children_cpu_us()?;
        let mut child = command.spawn()?;
        let (deadline, mut peak_mib): (_, f64) = (Instant::now() + LIMIT, 0.0);
        let done = loop {
            if let Some(ended) = child.try_wait()? {
                break Err(format!("MirrorMaker 2 ended with {ended}").into());
            }
            peak_mib = peak_mib.max(crate::process::peak_mib(child.id()));
            if broker.ends(&copy).is_ok_and(|ends| ends.iter().sum::<i64>() >= offsets) && also(&copy)? {
                break Ok(());
            }
            if Instant::now() > deadline {
                break Err(format!("MirrorMaker 2 did not copy {topic} in {LIMIT:?}").into());
            }
            std::thread::sleep(Duration::from_millis(200));
        };
        let _ = kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGKILL);
        child.wait()?;
        std::fs::remove_dir_all(root)?;
        let taken = Taken { cpu_us: crate::process::children_cpu_us()? - before, peak_mib, text: String::new() };
        done.map(|()| (copy, taken))
    }

    /// Copies the uncompressed topic.
    pub fn round(&self, broker: &Broker, figures: &mut BackupFigures) -> Outcome<()> {
        let mut made = String::new();
        let (sample, _) = timed(broker, || {
            let (copy, taken) = self.copy(broker, "plain", i64::try_from(RECORDS)?, |_| Ok(true))?;
            made = copy;
            Ok(taken)
        })?;
        figures.enter("copy plain", "MirrorMaker 2", sample);
        broker.delete(&made)
    }
}
