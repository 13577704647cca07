//! Waits for senders, drains readers, and settles the account between them.

use super::judged::SettledFrom;
use super::scan::scan;
use super::{PATIENCE, Settled, matched, partners};
use crate::accounting::matching::Matching;
use crate::accounting::{
    Allowed, LedgerReport, LogEvidence, PagedBitmap, Policy, ReaderAccount, SenderAccount, Settlement, Terms, Why,
    standing_policies,
};
use crate::moment;
use crate::record::{DeliveryRecord, StepStatus};
use crate::verb::{Live, SharedRun, StepError};
use crate::wire::configs;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Pause before the log is looked at again while messages may still be on their way into it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Between whom an account is wanted, and what may happen to messages on the way.
#[derive(Clone, Debug, Default)]
pub struct WantedDelivery {
    /// Ids of the sending steps.
    pub from: Vec<String>,
    /// Ids of the reading steps; others that read as the same group are added.
    pub to: Vec<String>,
    /// How messages are recognised behind a pipeline that rewrites them.
    pub matching: Option<Matching>,
    /// Ways for messages to go that are no loss.
    pub allow: BTreeSet<Allowed>,
}

/// Waits for the senders, drains the readers, and settles the account between them.
///
/// # Errors
/// Where the program has a defect (an account that does not add up is one), or a pipeline's logs cannot be read.
pub async fn settle(run: &Arc<SharedRun>, wanted: WantedDelivery, deadline: Instant) -> Result<Settled, StepError> {
    for id in &wanted.from {
        // The senders end by themselves, bounded by their own delivery timeout.
        run.live.ended(id).await;
    }
    let mut before = None;
    let looked = loop {
        let looked = look(run, &wanted, deadline).await?;
        let open = looked.open();
        if open == (0, 0) || before == Some(open) || moment::now() >= deadline {
            break looked;
        }
        before = Some(open);
        tokio::time::sleep(LOOK_AGAIN.min(deadline.saturating_duration_since(moment::now()))).await;
    };
    let Looked { mut settlement, ledger, incomplete } = looked;
    note_restarts(run, &settlement, &ledger);
    let record = DeliveryRecord {
        from: settlement.from.clone(),
        to: settlement.to.clone(),
        drained: ledger.drained,
        missing_evidence: settlement.missing_evidence(),
        incomplete: incomplete.clone(),
        stored: true,
        ledger,
        ..DeliveryRecord::default()
    };
    settlement.incomplete = incomplete;
    balanced(run, Settled { record, basis: SettledFrom::Messages(settlement) })
}

/// What one look at the accounts and the log has shown.
struct Looked {
    settlement: Settlement,
    ledger: LedgerReport,
    /// What is not known of senders and readers.
    incomplete: Vec<String>,
}

impl Looked {
    /// Messages that another look may see otherwise: those behind the ends that were taken, and those of which no broker has
    /// said that they are written (`acks=0`), since they may still be on their way into the log.
    fn open(&self) -> (u64, u64) {
        let behind = self.ledger.unread_because.get(&Why::NotReached).copied().unwrap_or(0);
        (behind, self.ledger.lost_unplaced)
    }
}

/// Drains the readers, and looks through the log for what they have not read.
async fn look(run: &Arc<SharedRun>, wanted: &WantedDelivery, deadline: Instant) -> Result<Looked, StepError> {
    let to = partners::of_group(run, &wanted.to);
    let (readers, missing) = read(run, &to, deadline).await?;
    let (senders, mut incomplete) = sent(run, &wanted.from);
    incomplete.extend(absent(run, &to).map(|why| format!("{why}, so nothing is known of what it would have read")));
    let terms = Terms {
        allow: wanted.allow.clone(),
        policies: policies(run, &senders).await,
        now_us: run.clock.to_epoch_us(run.clock.now_us()),
        ..Terms::default()
    };
    let (from, beside) = (wanted.from.clone(), beside(run, &senders));
    let mut settlement = Settlement { from, to, senders, beside, readers, terms, ..Settlement::default() };
    settlement.missing = Some(missing);
    settlement.given = settlement.readers.iter().map(|reader| reader.read).sum();
    settlement.matching.clone_from(&wanted.matching);
    if let Some(matching) = &wanted.matching {
        let matched = matched::accounts(run, &mut settlement, matching).await?;
        settlement.readers = matched.readers;
        incomplete.extend(matched.uncertain);
    } else {
        let lost = settlement.ledger().missing();
        if !lost.is_empty() {
            settlement.terms.compacts = compacted(run, &settlement).await;
            search(run, &mut settlement, &lost).await;
        }
    }
    let ledger = settlement.report();
    Ok(Looked { settlement, ledger, incomplete })
}

/// An account that does not add up is told, and is no account.
fn balanced(run: &SharedRun, settled: Settled) -> Result<Settled, StepError> {
    let Some(imbalance) = settled.record.ledger.sheet.imbalance() else { return Ok(settled) };
    settled.report(run);
    Err(StepError::broken("unbalanced-account", format!("the account of this delivery does not add up: {imbalance}"))
        .help("this is a defect of kscen: please send result.json and accounts.bin of this run to its maintainers"))
}

/// The accounts of the readers, once they have come to the end of the log or the time is up, and which of them did not come to it, and why.
async fn read(
    run: &SharedRun,
    to: &[String],
    deadline: Instant,
) -> Result<(Vec<ReaderAccount>, Vec<String>), StepError> {
    let (mut accounts, mut missing) = (Vec::new(), Vec::new());
    for id in to {
        let Some(reader) = run.live.reader(id) else {
            missing.push(format!("`{id}` did not start"));
            continue;
        };
        let patience = deadline.saturating_duration_since(moment::now());
        if !reader.drain(patience).await? {
            missing.push(match reader.is_running() {
                true => format!("`{id}` did not reach the end of the log in time"),
                false => format!("`{id}` had ended before it reached the end of the log"),
            });
        }
        match reader.account() {
            Some(account) => {
                missing.extend(left_behind(id, &account));
                accounts.push(account);
            }
            None => {
                missing.push(format!("what `{id}` had read is not known: it ended by a defect, or does not answer"))
            }
        }
    }
    Ok((accounts, missing))
}

/// Why nothing is known of the end of a log that was replaced or cut off under a reader.
fn left_behind(id: &str, account: &ReaderAccount) -> Option<String> {
    let left = account.left_behind();
    let list = left.iter().map(i32::to_string).collect::<Vec<_>>().join(", ");
    (!left.is_empty())
        .then(|| format!("the log of partition {list} was replaced or truncated, and `{id}` has not read the new one"))
}

/// What the senders sent, in all of their attempts, and what is not known about it.
fn sent(run: &SharedRun, from: &[String]) -> (Vec<SenderAccount>, Vec<String>) {
    let (mut accounts, mut incomplete) = (Vec::new(), Vec::new());
    incomplete.extend(absent(run, from).map(|why| format!("{why}, so nothing is known about its messages")));
    for id in from {
        for live in run.live.attempts(id) {
            let Live::Sender(sender) = live else { continue };
            let sent = sender.accounts();
            if sent.iter().any(|account| !account.complete) {
                incomplete.push(format!(
                    "what became of all messages of `{id}` is not known: it was given up before its end"
                ));
            }
            accounts.extend(sent);
        }
    }
    (accounts, incomplete)
}

/// Those of the steps that did not run, and why.
fn absent<'a>(run: &'a SharedRun, ids: &'a [String]) -> impl Iterator<Item = String> + 'a {
    ids.iter().filter(|id| run.live.get(id).is_none()).map(|id| {
        let skipped = run.live.record(id).is_some_and(|record| record.status == StepStatus::Skipped);
        format!("`{id}` {}", if skipped { "was skipped" } else { "did not run" })
    })
}

/// The accounts of other senders to the same topics.
fn beside(run: &SharedRun, senders: &[SenderAccount]) -> Vec<SenderAccount> {
    let topics: BTreeSet<&str> = senders.iter().map(|sender| sender.topic.as_str()).collect();
    let all = run.live.senders();
    let others = all.into_iter().flat_map(|sender| sender.accounts());
    others
        .filter(|other| topics.contains(other.topic.as_str()))
        .filter(|other| senders.iter().all(|sender| sender.producer != other.producer))
        .collect()
}

/// What `topic` steps that have run say about how long messages stay in the topics that there are now.
async fn policies(run: &SharedRun, senders: &[SenderAccount]) -> BTreeMap<String, Policy> {
    let mut policies = standing_policies(run.scenario.scope.steps().filter_map(|(id, step)| {
        let facts = step.facts.as_ref()?;
        let record = run.live.record(id).filter(|record| record.status == StepStatus::Done)?;
        Some((record.ended, facts.topic.clone()?, Policy::of(facts.topic_config.as_ref()?)))
    }));
    let topics: BTreeSet<&str> = senders.iter().map(|sender| sender.topic.as_str()).collect();
    for topic in topics {
        let says_something = policies.get(topic).is_some_and(|policy| *policy != Policy::default());
        if says_something
            && let Some(made) = run.owned.last_made(topic)
            && run.topic_id(topic).await.is_some_and(|now| now != made)
        {
            // Somebody else has made another one of that name, of which the scenario says nothing.
            policies.remove(topic);
        }
    }
    policies
}

/// Which of the senders' topics the cluster says are compacted; asked only where a check allows messages to go by that.
async fn compacted(run: &SharedRun, settlement: &Settlement) -> BTreeMap<String, bool> {
    let mut told = BTreeMap::new();
    if !settlement.terms.allow.contains(&Allowed::Superseded) {
        return told;
    }
    let topics: BTreeSet<&str> = settlement.senders.iter().map(|sender| sender.topic.as_str()).collect();
    for topic in topics {
        let Ok(cluster) = run.wire() else { return told };
        match configs::of_topic(&cluster, topic).await {
            Ok(config) => {
                if let Some(policy) = config.get("cleanup.policy").and_then(|config| config.value.as_deref()) {
                    told.insert(topic.to_owned(), Policy::is_compacting(policy));
                }
            }
            Err(error) => {
                run.recorder.warn(format!("whether `{topic}` is compacted is not known: {}", error.in_full()))
            }
        }
    }
    told
}

/// A fresh read of each of the senders' topics for the messages that nobody read, which takes [`PATIENCE`] for all of them together.
async fn search(run: &Arc<SharedRun>, settlement: &mut Settlement, lost: &HashMap<u16, PagedBitmap>) {
    let deadline = moment::now() + PATIENCE;
    let topics: BTreeSet<String> = settlement.senders.iter().map(|account| account.topic.clone()).collect();
    let is_only = topics.len() == 1;
    for topic in topics {
        let writers = settlement.senders.iter().filter(|account| account.topic == topic);
        let lost = writers.filter_map(|account| Some((account.producer, lost.get(&account.producer)?.clone())));
        let lost: HashMap<u16, PagedBitmap> = lost.collect();
        if lost.is_empty() {
            continue;
        }
        match search_topic(run, &topic, lost, deadline).await {
            Ok(evidence) if is_only => settlement.evidence = Some(evidence),
            Ok(evidence) => _ = settlement.evidence_by_topic.insert(topic, evidence),
            Err(error) => {
                run.recorder.warn(format!("where the missing messages are is not known: {error}"));
                settlement.terms.unsearched.insert(topic);
            }
        }
    }
}

async fn search_topic(
    run: &Arc<SharedRun>,
    topic: &str,
    lost: HashMap<u16, PagedBitmap>,
    deadline: Instant,
) -> Result<LogEvidence, String> {
    let (connection, nonce, name) = (run.connection(), run.identity.nonce(), topic.to_owned());
    let id = run.topic_id(topic).await;
    let limit = deadline.saturating_duration_since(moment::now());
    let scanned = tokio::task::spawn_blocking(move || scan(&connection, &name, nonce, &lost, false, limit)).await;
    let evidence = scanned.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    Ok(LogEvidence { topic: id, ..evidence })
}

fn note_restarts(run: &SharedRun, settlement: &Settlement, ledger: &LedgerReport) {
    for reader in settlement.readers.iter().filter(|reader| reader.topics() > 1) {
        run.recorder.note(format!(
            "`{}` was replaced under `{}`: {} topics had this name one after the other, by their ids",
            reader.topic,
            reader.step,
            reader.topics()
        ));
    }
    for restart in &ledger.restarts {
        run.recorder.note(format!(
            "the log of partition {} started over under {}, noticed at offset {}: what was read before counts as read",
            restart.partition,
            settlement.to.join(", "),
            restart.offset
        ));
    }
}
