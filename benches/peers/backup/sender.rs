//! librdkafka: reading a topic and throwing it away, and sending the same records, each in a process of its own.

use crate::Outcome;
use crate::backup::{BackupFigures, BackupSample, RECORDS, content, timed};
use crate::broker::Broker;
use crate::peers::Peers;
use crate::process::run;
use crate::scenario;
use nix::sys::resource::{UsageWho, getrusage};
use std::process::Command;
use std::time::Instant;

/// The word that makes this program a sender: `--send-records BOOTSTRAP TOPIC`.
const SEND: &str = "--send-records";

/// What this program does where the benchmark has started it as a child. `None` where it is the benchmark itself.
pub fn child() -> Option<Outcome<()>> {
    let words: Vec<String> = std::env::args().collect();
    let [_, word, bootstrap, topic] = words.as_slice() else { return None };
    (word == SEND).then(|| send(bootstrap, topic))
}

/// Sends what the topics of the benchmark hold, in zstd. Making the records is not counted.
fn send(bootstrap: &str, topic: &str) -> Outcome<()> {
    let records: Vec<_> = (0..RECORDS).map(content::record).collect();
    let (begun, before) = (Instant::now(), cpu_s()?);
    content::send(&content::producer(bootstrap, "zstd")?, topic, &records, 0)?;
    println!("sent wall {} cpu {}", begun.elapsed().as_secs_f64(), cpu_s()? - before);
    Ok(())
}

fn cpu_s() -> Outcome<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let s = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok(s(usage.user_time()) + s(usage.system_time()))
}

/// Reads the topic; sends the same records into another one.
pub fn round(broker: &Broker, peers: &Peers, figures: &mut BackupFigures, topic: &str) -> Outcome<()> {
    let (sample, _) = timed(broker, || {
        let mut command = Command::new(&peers.rdkafka_performance);
        command.args(["-G", &scenario::topic("reader"), "-t", topic, "-b", &broker.bootstrap(), "-B", "1000", "-q"]);
        command.args(["-c", &RECORDS.to_string(), "-X", "fetch.queue.backoff.ms=5"]);
        run(command, |_| false)
    })?;
    figures.enter(&format!("backup {topic}"), "librdkafka, reading only", sample);
    if topic == "zstd" {
        return Ok(());
    }
    let copy = scenario::topic("sent");
    broker.create(&copy)?;
    let (sample, taken) = timed(broker, || {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([SEND, &broker.bootstrap(), &copy]);
        run(command, |_| false)
    })?;
    let word = |name: &str| -> Option<f64> {
        let words: Vec<&str> = taken.text.split_whitespace().collect();
        words.iter().position(|word| *word == name).and_then(|at| words.get(at + 1)?.parse().ok())
    };
    let (wall_s, cpu_s) = word("wall").zip(word("cpu")).ok_or("the sender says nothing")?;
    figures.enter("restore plain", "librdkafka, sending in zstd", BackupSample { wall_s, cpu_s, ..sample });
    broker.delete(&copy)
}
