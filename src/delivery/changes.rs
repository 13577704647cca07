//! Deliveries from `sql` steps: every row's change against the events that the readers saw.

use super::Settled;
use super::connectors::KnownConnector;
use super::judged::SettledFrom;
use crate::accounting::Claims;
use crate::accounting::changes::{
    ChangeBasis, ChangeSettlement, Expectation, NotStored, PackedRows, Reconciliation, ScopedConnector, reconcile,
    written,
};
use crate::connect::ConfigRedactor;
use crate::database::Lsn;
use crate::debezium::{CaptureRules, Form, ReadEvent, ReadKind};
use crate::judge::terms;
use crate::load::consume::ReaderCapture;
use crate::moment;
use crate::record::{TargetKind, without_secrets};
use crate::verb::{Live, LiveReader, SharedRun, StepError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Pause between two looks at readers and connectors.
const GLANCE: Duration = Duration::from_millis(150);
/// Pause before those are asked again how connectors are configured who have not answered.
const AGAIN: Duration = Duration::from_secs(1);
/// Offenders kept of each class.
const SAMPLES: usize = 50;
/// After this time nothing is left of a disturbance that keeps what was sent from coming.
const SETTLED: Duration = Duration::from_secs(45);
/// Time for changes on their way once a later one has arrived.
const GRACE: Duration = Duration::from_secs(2);

/// What is held against the account.
pub(super) struct ChangeEvidence<'a> {
    pub(super) claims: &'a Claims,
    pub(super) captures: &'a [Arc<ReaderCapture>],
    pub(super) known: &'a [KnownConnector],
    pub(super) drained: bool,
    pub(super) database: Option<String>,
    pub(super) seen: SeenByReaders,
}

/// Waits for the senders, then until every change has arrived, and settles what became of each.
pub(crate) async fn settle(
    run: &Arc<SharedRun>,
    from: Vec<String>,
    to: Vec<String>,
    deadline: Instant,
) -> Result<Settled, StepError> {
    for id in &from {
        run.live.ended(id).await;
    }
    let claims = claims(run, &from);
    let readers: Vec<Arc<dyn LiveReader>> = to.iter().filter_map(|id| run.live.reader(id)).collect();
    let captures: Vec<Arc<ReaderCapture>> = readers.iter().filter_map(|reader| reader.capture()).collect();
    let mut missing = (captures.len() < to.len()).then(|| "not every reader started".to_owned());
    if let Some(id) = from.iter().find(|id| run.live.attempts(id).is_empty()) {
        missing.get_or_insert_with(|| format!("`{id}` did not start"));
    }
    let Reconciled { changes, rows } = wait(run, &claims, &readers, &captures, deadline).await?;
    if let Some(imbalance) = changes.sheet.imbalance() {
        let message = format!("the sheet of this delivery does not balance: {imbalance}");
        return Err(StepError::broken("sheet", message)
            .help("this is a defect of kscen; please send the run's folder to its maintainers"));
    }
    let connectors = tell(run, &changes).await;
    let (basis, changes) = basis(run, rows, changes, ChangeBasis::Rows).await?;
    let redactor = run.recorder.redactor();
    let shown = |words: Option<String>| words.map(|words| redactor.text(&words).into_owned());
    let (missing, connectors) = (shown(missing), shown(connectors));
    let settlement = ChangeSettlement { step: String::new(), from, to, missing, connectors, basis, checks: Vec::new() };
    let record = terms::delivery(&settlement, changes);
    Ok(Settled { record, basis: SettledFrom::Changes(settlement) })
}

/// What is stored of a delivery, and its account. Where secrets had to be taken out of the account there is one in the rows.
pub(super) async fn basis(
    run: &SharedRun,
    rows: Result<Vec<u8>, NotStored>,
    changes: Reconciliation,
    of_rows: fn(PackedRows) -> ChangeBasis,
) -> Result<(ChangeBasis, Reconciliation), StepError> {
    let redactor = run.recorder.redactor();
    let shown = without_secrets(&changes, &redactor).unwrap_or_default();
    let packed = match rows {
        _ if shown != changes => Err(NotStored::Secret),
        // Other steps go on while hundreds of thousands of rows are packed.
        Ok(rows) => tokio::task::spawn_blocking(move || PackedRows::of(&rows, &redactor)).await.map_err(|error| {
            StepError::broken("account", format!("its rows cannot be packed: {error}")).because(error)
        })?,
        Err(why) => Err(why),
    };
    let basis = match packed {
        Ok(rows) => of_rows(rows),
        Err(because) => ChangeBasis::Sums { because, sums: Box::new(shown.clone()) },
    };
    Ok((basis, shown))
}

/// What a look at the rows gave.
pub(super) struct Reconciled {
    pub(super) changes: Reconciliation,
    /// What it followed from, where the look was the last.
    pub(super) rows: Result<Vec<u8>, NotStored>,
}

/// Looks again and again until every change has its place, or time is up.
async fn wait(
    run: &Arc<SharedRun>,
    claims: &Claims,
    readers: &[Arc<dyn LiveReader>],
    captures: &[Arc<ReaderCapture>],
    deadline: Instant,
) -> Result<Reconciled, StepError> {
    let mut passed_since: Option<Instant> = None;
    let (mut known, mut is_sure) = KnownConnector::answered(run).await;
    let mut asked = moment::now();
    loop {
        // Whoever was disturbed when the check began knows more now than it is guessed without them.
        if !is_sure && moment::since(asked) >= AGAIN {
            (known, is_sure) = KnownConnector::answered(run).await;
            asked = moment::now();
        }
        // Asked before the readers are drained: what the connector has confirmed is in the log by then.
        // Of a reader that has ended it says nothing.
        let running = readers.iter().all(|reader| reader.is_running());
        KnownConnector::ask(&mut known, run, running).await;
        let patience = deadline.saturating_duration_since(moment::now());
        let mut drained = true;
        for reader in readers {
            drained &= reader.drain(patience).await?;
        }
        let database = run.database().ok().map(|database| database.name().to_owned());
        let mut evidence =
            ChangeEvidence { claims, captures, known: &known, drained, database, seen: SeenByReaders::of(readers) };
        let late = KnownConnector::are_unreadable(&known, captures) || moment::now() >= deadline;
        let flat = known.iter().any(|known| *known.rules.form() != Form::Envelope);
        let passed = drained && evidence.passed(run).await?;
        if !late && !passed && !flat {
            tokio::time::sleep(GLANCE).await;
            continue;
        }
        if passed {
            passed_since.get_or_insert_with(moment::now);
        }
        evidence.seen.calm = is_calm(run);
        // Partitions are written side by side: a later change may be in the log a moment before an earlier one, and where one broker
        // does not take it, longer than that.
        let enough = is_sure && passed_since.is_some_and(|since| moment::since(since) >= GRACE);
        if let Some(last) = evidence.last(run, (late, is_sure), enough).await? {
            return Ok(last);
        }
        tokio::time::sleep(GLANCE).await;
    }
}

/// Says what deserves to be said of a delivery beside its figures. What the connectors say of themselves, where changes have not
/// arrived.
async fn tell(run: &SharedRun, changes: &Reconciliation) -> Option<String> {
    for replay in &changes.replays {
        run.recorder.note(format!(
            "{} changes came a second time, from {}-{}@{}: the connector went back to {} and repeated up to {}",
            replay.events, replay.topic, replay.partition, replay.first_offset, replay.from, replay.to
        ));
    }
    let states = if changes.unread > 0 { Some(states(run).await) } else { None };
    if let Some(states) = &states {
        run.recorder.warn(format!("{} changes have not arrived: {states}", changes.unread));
    }
    if changes.missing_tombstones > 0 {
        run.recorder.warn(format!("{} deletes were not followed by a tombstone", changes.missing_tombstones));
    }
    for gap in &changes.unjudged {
        run.recorder.warn(format!("not judged: {}", terms::gap(gap)));
    }
    states
}

/// Lets a reader wait for what the connector still has to send of the changes committed so far, at most until `deadline`: the end of
/// the log says nothing about those.
///
/// # Errors
/// Where the program has a defect, or the account cannot be read.
pub async fn arrive(
    run: &SharedRun,
    capture: &Arc<ReaderCapture>,
    reader: &dyn LiveReader,
    deadline: Instant,
) -> Result<(), StepError> {
    let everything = Claims { unattributed: true, ..Claims::default() };
    let captures = [Arc::clone(capture)];
    if !run.changes.is_open().await {
        return Ok(());
    }
    let mut known = KnownConnector::of(run).await;
    while run.changes.is_open().await && moment::now() < deadline {
        KnownConnector::ask(&mut known, run, true).await;
        let drained = reader.drain(deadline.saturating_duration_since(moment::now())).await?;
        let evidence = ChangeEvidence {
            claims: &everything,
            captures: &captures,
            known: &known,
            drained,
            database: None,
            seen: SeenByReaders::default(),
        };
        // Records without position say only by their number whether all have come.
        let flat = known.iter().any(|known| *known.rules.form() != Form::Envelope);
        if evidence.passed(run).await? || (flat && evidence.reconcile(run).await?.is_complete()) {
            return Ok(());
        }
        tokio::time::sleep(GLANCE).await;
    }
    Ok(())
}

pub(super) fn claims(run: &SharedRun, from: &[String]) -> Claims {
    let mut all = Claims::default();
    for live in from.iter().flat_map(|id| run.live.attempts(id)) {
        if let Live::Writer(writer) = live {
            let claims = writer.claims();
            all.transactions.extend(claims.transactions);
            all.unattributed |= claims.unattributed;
        }
    }
    all
}

/// What the connectors of the run say about themselves.
async fn states(run: &SharedRun) -> String {
    let mut words = Vec::new();
    for name in run.changes.captures().keys() {
        let Ok(connect) = run.connect() else { continue };
        words.push(match connect.status(name).await {
            Ok(status) => match status.failure() {
                Some(failure) => {
                    // Where the configuration cannot be read there is nothing to recognise secrets by.
                    let config = connect.config(name).await;
                    config.map(|config| ConfigRedactor::of(&config)).unwrap_or_default().text(&failure.to_string())
                }
                None => status.to_string(),
            },
            Err(error) => error.to_string(),
        });
    }
    if words.is_empty() { "no connector of this run captures the tables".to_owned() } else { words.join("; ") }
}

impl ChangeEvidence<'_> {
    /// Whether the readers have seen the last change or a later one, or the connector has passed it.
    async fn passed(&self, run: &SharedRun) -> Result<bool, StepError> {
        self.with(run, |expectation, events| {
            let last = expectation.last_changes(events);
            expectation.connectors.iter().zip(last).all(|(connector, last)| {
                last.is_none()
                    || furthest(connector.rules, events) >= last
                    || connector.confirmed.max(connector.stored) >= last
            })
        })
        .await
    }

    /// What became of every change, with what that follows from, where it is too `late` for another look, where nothing is missing, or
    /// where `enough` time went by and nothing is still on its way. `is_sure`: all that is known of connectors was asked.
    async fn last(
        &self,
        run: &SharedRun,
        (late, is_sure): (bool, bool),
        enough: bool,
    ) -> Result<Option<Reconciled>, StepError> {
        // Both in one look: the reader reads on.
        self.with(run, |expectation, events| {
            let changes = reconcile(expectation, events);
            let is_right = is_sure || (changes.wrong_content == 0 && changes.phantom == 0);
            let whole = changes.is_complete() && self.drained && is_right;
            let last = late || (enough && changes.unread == 0) || whole;
            last.then(|| Reconciled { changes, rows: written(expectation, events) })
        })
        .await
    }

    /// What became of every change.
    async fn reconcile(&self, run: &SharedRun) -> Result<Reconciliation, StepError> {
        self.with(run, reconcile).await
    }

    /// Looks at what was committed and what was read, both as they are now.
    pub(super) async fn with<R>(
        &self,
        run: &SharedRun,
        look: impl Fn(&Expectation<'_>, &[ReadEvent]) -> R,
    ) -> Result<R, StepError> {
        let topics: BTreeSet<String> = self.captures.iter().map(|capture| capture.topic().to_owned()).collect();
        let assumed = CaptureRules::assumed();
        let read = run.changes.read(|seen| {
            all_events(self.captures, Vec::new(), &mut |events| {
                let known: Vec<ScopedConnector<'_>> = self.known.iter().map(KnownConnector::connector).collect();
                let base = Expectation {
                    transactions: seen.transactions,
                    settled: Some(seen.settled),
                    window: seen.window,
                    blind: seen.blind,
                    claimed: (!self.claims.unattributed).then_some(&self.claims.transactions),
                    database: self.database.as_deref(),
                    connectors: &[],
                    topics: Some(&topics),
                    drained: self.drained,
                    calm: self.seen.calm,
                    partitions: self.seen.partitions.as_ref(),
                    late_us: self.seen.late_us,
                    samples: SAMPLES,
                };
                let connectors = base.concerned(known, &assumed, events);
                look(&Expectation { connectors: &connectors, ..base }, events)
            })
        });
        read.await
            .map_err(|error| {
                StepError::broken("account", format!("what the database committed cannot be read: {error}"))
                    .because(error)
            })?
            .ok_or_else(|| {
                StepError::broken(
                    "account",
                    "no step has changed rows of the database, so nothing is known of what was committed",
                )
            })
    }
}

/// What readers tell of their reading.
#[derive(Default)]
pub(super) struct SeenByReaders {
    /// See [`Expectation::calm`].
    calm: bool,
    /// See [`Expectation::partitions`].
    partitions: Option<BTreeMap<String, BTreeSet<i32>>>,
    /// See [`Expectation::late_us`].
    late_us: Option<i64>,
}

/// Whether no service and no connector was disturbed lately. A producer waits half a minute for the answer of a broker that stands still
/// before it asks another one, and a connector that was killed sends again.
pub(super) fn is_calm(run: &SharedRun) -> bool {
    let Some(record) = run.snapshot() else { return false };
    let since = run.clock.now() - SETTLED.as_secs_f64();
    record.faults.iter().all(|fault| {
        let beside = matches!(fault.kind, Some(TargetKind::Program | TargetKind::Reader));
        let over = fault.undone.map(|undone| fault.ready.map_or(undone, |ready| ready.max(undone)));
        beside || over.is_some_and(|over| over < since)
    })
}

impl SeenByReaders {
    fn of(readers: &[Arc<dyn LiveReader>]) -> Self {
        let mut seen = Self::default();
        for account in readers.iter().filter_map(|reader| reader.account()) {
            let partitions = seen.partitions.get_or_insert_default().entry(account.topic.clone()).or_default();
            partitions.extend(account.positions().into_keys());
            seen.late_us = seen.late_us.max(account.elsewhere.then_some(account.began_us));
        }
        seen
    }
}

/// The events of all readers, one reader after the other; rows of one table are never spread over readers of different topics.
fn all_events<R>(
    captures: &[Arc<ReaderCapture>],
    events: Vec<ReadEvent>,
    look: &mut dyn FnMut(&[ReadEvent]) -> R,
) -> R {
    match captures {
        [] => look(&events),
        // One reader is the usual case and needs no copy.
        [only] if events.is_empty() => only.events(|read| look(read)),
        [first, rest @ ..] => {
            let mut events = events;
            first.events(|read| events.extend_from_slice(read));
            all_events(rest, events, look)
        }
    }
}

/// The furthest position that a connector has sent.
fn furthest(rules: &CaptureRules, events: &[ReadEvent]) -> Option<Lsn> {
    let of_it = |name: &String| rules.prefix.as_ref().is_none_or(|prefix| prefix == name);
    let positions = events.iter().filter_map(|event| match &event.kind {
        ReadKind::Change(change) if of_it(&change.source.origin.name) => change.source.lsn,
        _ => None,
    });
    positions.max()
}
