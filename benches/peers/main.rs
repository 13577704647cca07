//! Side by side with Kafka's own tools and with librdkafka's: `make bench`.
//!
//! One local broker; the programs take turns on it, in pairs, each as a process of its own. What is asked for is named by
//! words on the command line (`produce consume verified pace backup ledger changes`, all by default). Figures are kept in
//! `bench.json` of cargo's output folder, and `docs/benchmarks.md` is written anew from all that are there; a section of it whose
//! figures are not there stays as it is.

mod backup;
mod broker;
mod changes;
mod consume;
mod figures;
mod ledger;
mod pace;
mod peers;
mod process;
mod produce;
mod report;
mod scenario;
mod verified;

use broker::Broker;
use figures::Figures;
use peers::Peers;
use std::error::Error;
use std::path::Path;

/// Whatever stops a benchmark: there is nobody to hand it to but the person at the terminal.
type Outcome<T> = Result<T, Box<dyn Error>>;

/// The parts, in the order in which they run.
const PARTS: [&str; 7] = ["produce", "consume", "verified", "pace", "backup", "ledger", "changes"];
/// Those that the programs take turns at, on one broker.
const PEERS: [&str; 5] = ["produce", "consume", "verified", "pace", "backup"];

fn main() -> Outcome<()> {
    if let Some(done) = backup::child() {
        return done;
    }
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    if let Some(unknown) = words.iter().find(|word| !PARTS.contains(&word.as_str())) {
        return Err(format!("there is no part `{unknown}`; the parts are {}", PARTS.join(", ")).into());
    }
    let parts: Vec<&str> =
        PARTS.into_iter().filter(|part| words.is_empty() || words.iter().any(|word| word == part)).collect();
    let pairs = number("PAIRS", 9)?;
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut figures = Figures::load(&peers::output()?.join("bench.json"))?;
    if parts.contains(&"ledger") {
        figures.set("ledger", ledger::measure()?)?;
    }
    if parts.contains(&"changes") {
        figures.set("changes", changes::measure()?)?;
    }
    if parts.iter().any(|part| PEERS.contains(part)) {
        let peers = Peers::build()?;
        let broker = Broker::start()?;
        figures.describe(&broker, &peers)?;
        for part in parts {
            eprintln!("{part}: {pairs} rounds");
            match part {
                "produce" => figures.set(part, produce::measure(&broker, &peers, pairs)?)?,
                "consume" => figures.set(part, consume::measure(&broker, &peers, pairs)?)?,
                "verified" => figures.set(part, verified::measure(&broker, pairs)?)?,
                "pace" => figures.set(part, pace::measure(&broker, pairs)?)?,
                "backup" => backup::measure(&broker, &peers, pairs, &mut figures)?,
                _ => {}
            }
        }
        broker.stop()?;
    }
    let document = project.join("docs/benchmarks.md");
    let before = std::fs::read_to_string(&document).unwrap_or_default();
    std::fs::write(&document, report::render(&figures, &before))?;
    eprintln!("wrote {}", document.display());
    Ok(())
}

/// A number from the environment.
fn number(name: &str, default: u64) -> Outcome<u64> {
    match std::env::var(name) {
        Ok(text) => text.parse().map_err(|_| format!("{name}={text} is not a number").into()),
        Err(_) => Ok(default),
    }
}
