//! Known anomalies written into a real log, to prove that the ledger finds exactly these.

use crate::accounting::{Class, IDENTITY_BYTES, Identity, LedgerReport, RunIdentity, SenderAccount, around};
use crate::kafka::{
    BatchProducer, ClientRole, ClientSettings, ClientState, KafkaFailure, LogSink, SendOutcome, Submission,
};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Length of an injected payload.
const SIZE: usize = 200;
/// How long the cluster may take to acknowledge everything.
const LIMIT: Duration = Duration::from_secs(60);

/// What to inject.
#[derive(Debug, Clone)]
pub struct InjectionPlan {
    /// Messages of the clean stream that the anomalies are put into.
    pub messages: u64,
    /// Anomalies of each class. Possible are lost, skipped, duplicated, redelivered, reordered,
    /// corrupted, phantom and foreign; all of them together must fit into half of the messages.
    pub anomalies: BTreeMap<Class, u64>,
    /// Partitions of the topic.
    pub partitions: i32,
    /// Decides where the anomalies go.
    pub seed: u64,
}

/// What was injected.
pub struct Injected {
    /// The account of a sender that knows nothing of the anomalies.
    pub sender: SenderAccount,
    /// What a reader has to do wrong: how often it takes each message in, by partition and offset.
    /// Messages that are absent are taken in once.
    pub deliveries: HashMap<(i32, i64), u8>,
    /// The identities (producer, sequence) of each class; foreign ones count only.
    pub truth: BTreeMap<Class, BTreeSet<(u16, u64)>>,
}

/// A class that the ledger did not report as it was injected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The class.
    pub class: Class,
    /// How many were injected.
    pub injected: u64,
    /// How many were reported.
    pub reported: u64,
    /// Injected and not among the reported samples.
    pub overlooked: Vec<(u16, u64)>,
    /// Reported and not injected.
    pub invented: Vec<(u16, u64)>,
}

/// The identities of each class.
type Truth = BTreeMap<Class, BTreeSet<(u16, u64)>>;

struct Write {
    partition: i32,
    key: Option<&'static [u8]>,
    payload: Vec<u8>,
    /// The sequence whose acknowledgement this is.
    sequence: Option<u64>,
    deliveries: u8,
}

impl Write {
    fn new(partition: i32, payload: Vec<u8>, sequence: Option<u64>) -> Self {
        Self { partition, key: None, payload, sequence, deliveries: 1 }
    }
}

fn refused(detail: &str) -> KafkaFailure {
    KafkaFailure::Request { action: "inject anomalies".into(), code: "_INVALID_ARG".into(), detail: detail.into() }
}

/// Writes the plan's messages to an empty `topic` and waits for every acknowledgement. Blocks.
pub fn inject(
    connection: &BTreeMap<String, String>,
    topic: &str,
    run: &Arc<RunIdentity>,
    plan: &InjectionPlan,
) -> Result<Injected, KafkaFailure> {
    if plan.anomalies.values().sum::<u64>() > plan.messages / 2 || plan.partitions < 1 {
        return Err(refused("there are more anomalies than half of the messages"));
    }
    let ticket = run.register(topic).ok_or_else(|| refused("the run has no room for another producer"))?;
    ticket.raise(plan.messages);
    let (writes, truth) = script(plan, run.nonce(), ticket.producer);
    let mut sender = SenderAccount::new(ticket.producer, topic);
    sender.sent = plan.messages;
    sender.complete = true;
    sender.acked = (0..plan.messages).collect();

    let mut settings = ClientSettings::new(ClientRole::Producer)?;
    settings.set_all(connection)?;
    let client = settings
        .build()?
        .0
        .create_with_context(ClientState::new("injection", LogSink::default()))
        .map_err(|error| KafkaFailure::request("create the producer", &error))?;
    // Slot numbers are indexes into the script, so none of them has a buffer.
    let mut producer = BatchProducer::new(client, topic, 0)?;
    let mut deliveries = HashMap::new();
    let (mut next, mut done, deadline) = (0, 0, Instant::now() + LIMIT);
    while done < writes.len() {
        if Instant::now() > deadline {
            return Err(refused("the cluster did not acknowledge everything in time"));
        }
        while next < writes.len() && next - done < 1000 {
            let write = &writes[next];
            let (slot, body) = (next as u32, Some(write.payload.as_slice()));
            let mut code = None;
            let message = Submission { slot, partition: write.partition, key: write.key, body };
            producer.submit([message], |_, refused| code = Some(refused));
            if code.is_some() {
                break;
            }
            next += 1;
        }
        producer.wait(Duration::from_millis(20));
        let mut failure = None;
        producer.reports(|reports| {
            for report in reports {
                let write = &writes[report.slot as usize];
                if let SendOutcome::Failed(code) | SendOutcome::Unknown(code) = report.outcome {
                    failure = Some(crate::kafka::error_name(code));
                }
                if let Some(sequence) = write.sequence {
                    sender.offsets.push(report.partition, sequence, report.offset);
                }
                if write.deliveries != 1 {
                    deliveries.insert((report.partition, report.offset), write.deliveries);
                }
            }
            done += reports.len();
        });
        if let Some(code) = failure {
            let detail = "a message was not acknowledged".into();
            return Err(KafkaFailure::Request { action: "inject anomalies".into(), code, detail });
        }
    }
    Ok(Injected { sender, deliveries, truth })
}

/// The messages to write, in order, and what is wrong with them.
fn script(plan: &InjectionPlan, nonce: u64, producer: u16) -> (Vec<Write>, Truth) {
    let mut rng = StdRng::seed_from_u64(plan.seed);
    let count = |class| plan.anomalies.get(&class).copied().unwrap_or(0);
    // A late message needs a later one in its partition: anomalies stay out of the last quarter.
    let mut pool: Vec<u64> = (0..plan.messages * 3 / 4).collect();
    pool.shuffle(&mut rng);
    let mut class_of: HashMap<u64, Class> = HashMap::new();
    let mut truth: BTreeMap<Class, BTreeSet<(u16, u64)>> = BTreeMap::new();
    let inside =
        [Class::Lost, Class::Skipped, Class::Duplicated, Class::Redelivered, Class::Reordered, Class::Corrupted];
    for class in inside {
        for sequence in pool.split_off(pool.len() - count(class) as usize) {
            class_of.insert(sequence, class);
            truth.entry(class).or_default().insert((producer, sequence));
            if class == Class::Skipped {
                truth.entry(Class::Lost).or_default().insert((producer, sequence));
            }
        }
    }
    let mut payload = |nonce: u64, sequence: u64| {
        let mut bytes = vec![0; SIZE];
        rng.fill(&mut bytes[IDENTITY_BYTES..]);
        let body_crc = crc32fast::hash(&bytes[IDENTITY_BYTES..]);
        let identity =
            Identity { nonce, producer, sequence, due_us: 0, body_crc, around: around(None, []), warmup: true };
        bytes[..IDENTITY_BYTES].copy_from_slice(&identity.encode());
        bytes
    };
    let mut writes: Vec<Write> = Vec::new();
    let mut late: HashMap<i32, Vec<Write>> = HashMap::new();
    for sequence in 0..plan.messages {
        let partition = (sequence % plan.partitions as u64) as i32;
        let mut write = Write::new(partition, payload(nonce, sequence), Some(sequence));
        match class_of.get(&sequence) {
            Some(Class::Lost) => continue,
            Some(Class::Reordered) => {
                late.entry(partition).or_default().push(write);
                continue;
            }
            Some(Class::Skipped) => write.deliveries = 0,
            Some(Class::Redelivered) => write.deliveries = 2,
            Some(Class::Corrupted) if sequence % 2 == 0 => write.payload[SIZE - 1] ^= 1,
            Some(Class::Corrupted) => write.key = Some(b"not sent"),
            _ => {}
        }
        let (copy, was_read) = (write.payload.clone(), write.deliveries > 0);
        writes.push(write);
        if class_of.get(&sequence) == Some(&Class::Duplicated) {
            writes.push(Write::new(partition, copy, None));
        }
        // A message that nobody reads puts no other out of order.
        if was_read {
            writes.extend(late.remove(&partition).unwrap_or_default());
        }
    }
    for n in 0..count(Class::Phantom) {
        let sequence = plan.messages + n * 1_000_003;
        truth.entry(Class::Phantom).or_default().insert((producer, sequence));
        let partition = (n % plan.partitions as u64) as i32;
        writes.push(Write::new(partition, payload(nonce, sequence), None));
    }
    for n in 0..count(Class::Foreign) {
        truth.entry(Class::Foreign).or_default().insert((producer, n));
        let partition = (n % plan.partitions as u64) as i32;
        writes.push(Write::new(partition, payload(!nonce, n), None));
    }
    (writes, truth)
}

impl Injected {
    /// Every class in which the report differs from the truth. Needs a ledger that keeps as many
    /// samples as were injected.
    pub fn mismatches(&self, report: &LedgerReport) -> Vec<Mismatch> {
        let none = BTreeSet::new();
        let mut mismatches = Vec::new();
        for class in Class::ALL {
            let truth = self.truth.get(&class).unwrap_or(&none);
            let samples = report.samples(class).iter();
            let reported: BTreeSet<_> = samples.filter_map(|s| Some((s.producer?, s.sequence?))).collect();
            let by_name = class != Class::Foreign;
            let mismatch = Mismatch {
                class,
                injected: truth.len() as u64,
                reported: report.count(class),
                overlooked: truth.difference(&reported).copied().filter(|_| by_name).collect(),
                invented: reported.difference(truth).copied().filter(|_| by_name).collect(),
            };
            let equal = mismatch.injected == mismatch.reported;
            if !(equal && mismatch.overlooked.is_empty() && mismatch.invented.is_empty()) {
                mismatches.push(mismatch);
            }
        }
        mismatches
    }
}
