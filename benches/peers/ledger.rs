//! Memory of the ledger for a hundred million messages.

use crate::Outcome;
use kscen::testing::accounting::{Class, Identity, Ledger, ReaderAccount, RunIdentity, SenderAccount, Sighting};
use nix::sys::resource::{UsageWho, getrusage};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

const MESSAGES: u64 = 100_000_000;

/// What one shape of traffic took.
#[derive(Debug, Serialize, Deserialize)]
pub struct Account {
    /// The shape.
    pub name: String,
    /// Peak of the sender's and the reader's accounts, in MiB.
    pub mib: f64,
    /// CPU time to enter a message as sent, acknowledged and read, in ns.
    pub ns: f64,
    /// Messages found lost.
    pub lost: u64,
    /// Messages that were lost.
    pub made_lost: u64,
}

/// Sends, acknowledges and reads in memory only.
pub fn measure() -> Outcome<Vec<Account>> {
    let shapes = [
        ("in order, 1 producer, 1 partition", 1, 1, 0.0),
        ("1 % lost at random", 1, 1, 0.01),
        ("8 producers, 12 partitions, interleaved", 8, 12, 0.0),
    ];
    shapes.into_iter().map(|(name, producers, partitions, lost)| account(name, producers, partitions, lost)).collect()
}

fn account(name: &str, producers: u64, partitions: u64, lost: f64) -> Outcome<Account> {
    let mut rng = SmallRng::seed_from_u64(1);
    let run = RunIdentity::new(1);
    let tickets: Vec<_> = (0..producers).filter_map(|_| run.register("t")).collect();
    let mut senders: Vec<_> = tickets.iter().map(|ticket| SenderAccount::new(ticket.producer, "topic")).collect();
    let mut reader = ReaderAccount::new(run, "topic", None, false);
    let (mut ends, mut peak, mut made_lost) = (vec![0i64; partitions as usize], 0, 0);
    let before = cpu_ns()?;
    for number in 0..MESSAGES {
        let (producer, sequence) = ((number % producers) as usize, number / producers);
        let partition = rng.random_range(0..partitions) as usize;
        let offset = ends[partition];
        tickets[producer].raise(sequence + 1);
        let sender = &mut senders[producer];
        sender.sent = sequence + 1;
        sender.acked.insert(sequence);
        sender.offsets.push(partition as i32, sequence, offset);
        if lost > 0.0 && rng.random_bool(lost) {
            made_lost += 1;
        } else {
            let producer = producer as u16;
            let identity = Identity { nonce: 1, producer, sequence, due_us: 0, body_crc: 0, around: 0, warmup: false };
            let identity = Ok((identity, true));
            reader.record(&Sighting {
                partition: partition as i32,
                offset,
                at_us: 0,
                life: 0,
                identity,
                altered: false,
            });
        }
        ends[partition] += 1;
        if number % 1_000_000 == 0 {
            let senders = senders.iter().map(SenderAccount::heap_bytes).sum::<usize>();
            peak = peak.max(reader.heap_bytes() + senders);
        }
    }
    let ns = (cpu_ns()? - before) / MESSAGES as f64;
    let ends = ends.iter().enumerate().map(|(partition, end)| (partition as i32, *end)).collect();
    reader.drain_to(&ends);
    ends.iter().for_each(|(partition, end)| reader.advanced(0, *partition, *end));
    let found = Ledger::new(&senders, [&reader]).settle(None).count(Class::Lost);
    let account = Account { name: name.to_owned(), mib: peak as f64 / f64::from(1 << 20), ns, lost: found, made_lost };
    eprintln!("  {account:?}");
    Ok(account)
}

/// CPU time of this process so far.
fn cpu_ns() -> Outcome<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let ns = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 * 1e9 + time.tv_usec() as f64 * 1e3;
    Ok(ns(usage.user_time()) + ns(usage.system_time()))
}
