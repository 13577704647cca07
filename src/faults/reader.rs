//! Faults on members of a reader.

use super::fault_error::FaultError;
use super::target::{Answer, Condition, Nature, Target, Undone};
use crate::environment::{Action, Effect, Grip};
use crate::ground::{lock, plural};
use crate::moment;
use crate::record::TargetKind;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Between two looks at the members.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A group hands out the partitions of a member that was killed only after its session timeout, 45 s by default.
const PATIENCE: Duration = Duration::from_secs(120);

/// The members of a reader, as faults see them.
pub trait Members: Send + Sync {
    /// How many it has.
    fn count(&self) -> usize;

    /// Those that run.
    fn running(&self) -> BTreeSet<usize>;

    /// Those that run and do not poll, with how many messages each was handed before.
    fn halted(&self) -> BTreeMap<usize, u64>;

    /// Makes running members hang, so that they poll no more and go on to send heartbeats, or lets them go on.
    fn halt<'a>(&'a self, members: &'a BTreeSet<usize>, halt: bool) -> Answer<'a, ()>;

    /// Ends members: in order, so that they commit and leave their group, or as a crash would.
    fn end<'a>(&'a self, members: &'a BTreeSet<usize>, crash: bool) -> Answer<'a, ()>;

    /// Starts members that do not run.
    fn start<'a>(&'a self, members: &'a BTreeSet<usize>) -> Answer<'a, ()>;

    /// Waits until members are assigned their partitions and read, or have nothing left to read; returns when that was.
    fn reading<'a>(&'a self, members: &'a BTreeSet<usize>, patience: Duration) -> Answer<'a, Instant>;
}

/// An action on one member of a reader, or on all.
pub(crate) struct ReaderFault {
    reader: Arc<dyn Members>,
    step: String,
    member: Option<usize>,
    action: Action,
    /// Those that it ended, started, paused or resumed; with how many messages each had been handed, where it was paused.
    concerned: Mutex<BTreeMap<usize, u64>>,
}

impl ReaderFault {
    /// An action on the reader of that step.
    pub(crate) fn new(reader: Arc<dyn Members>, step: String, member: Option<usize>, action: Action) -> Self {
        Self { reader, step, member, action, concerned: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, u64>> {
        lock(&self.concerned)
    }

    fn concerned(&self) -> BTreeSet<usize> {
        self.lock().keys().copied().collect()
    }

    fn chosen(&self) -> BTreeSet<usize> {
        self.member.map_or_else(|| (0..self.reader.count()).collect(), |member| BTreeSet::from([member]))
    }

    /// The members that it can change: to be ended they have to run, to be started they must not, to be paused they have to
    /// poll, to be resumed they must not.
    fn fit(&self) -> Result<BTreeSet<usize>, FaultError> {
        let count = self.reader.count();
        if let Some(member) = self.member
            && member >= count
        {
            let known = if count == 1 { "only member 0".to_owned() } else { format!("members 0 to {}", count - 1) };
            return Err(FaultError::no_effect(&self.step, format!("it has {known}, no member {member}")));
        }
        let (running, halted) = (self.reader.running(), self.reader.halted());
        let fits = |member: &usize| match self.action {
            Action::Start => !running.contains(member),
            Action::Pause => running.contains(member) && !halted.contains_key(member),
            Action::Resume => halted.contains_key(member),
            Action::Stop | Action::Kill | Action::Restart | Action::Wipe => running.contains(member),
        };
        let fit: BTreeSet<usize> = self.chosen().into_iter().filter(fits).collect();
        if !fit.is_empty() {
            return Ok(fit);
        }
        let who = self.member.map_or_else(|| "every member".to_owned(), |member| format!("member {member}"));
        let runs = self.chosen().iter().any(|member| running.contains(member));
        let observed = match (self.action, self.member) {
            (Action::Start, _) => format!("{who} runs already"),
            (Action::Pause, _) if runs => format!("{who} is paused already"),
            (Action::Resume, Some(_)) => format!("{who} is not paused"),
            (Action::Resume, None) => "no member is paused".to_owned(),
            (_, Some(_)) => format!("{who} does not run"),
            (_, None) => "no member runs".to_owned(),
        };
        Err(FaultError::no_effect(&self.step, observed))
    }

    /// What is known of the members that it paused.
    fn standing(&self) -> String {
        let concerned = self.lock();
        let words = concerned.iter().map(|(member, handed)| {
            format!("member {member} runs and does not poll, after {}", plural(*handed, "message"))
        });
        words.collect::<Vec<_>>().join("; ")
    }

    async fn carry_out(&self) -> Result<Effect, FaultError> {
        let members = self.fit()?;
        *self.lock() = members.iter().map(|member| (*member, 0)).collect();
        let requested = moment::now();
        let mut down = None;
        match self.action {
            Action::Stop | Action::Kill => self.reader.end(&members, self.action == Action::Kill).await?,
            Action::Start => self.reader.start(&members).await?,
            Action::Restart => {
                self.reader.end(&members, false).await?;
                down = Some(moment::now());
                self.reader.start(&members).await?;
            }
            Action::Pause => {
                self.reader.halt(&members, true).await?;
                let halted = self.reader.halted();
                *self.lock() = halted.into_iter().filter(|(member, _)| members.contains(member)).collect();
                let proof = self.standing();
                return Ok(Effect { requested, effective: moment::now(), down: None, proof, forced: false });
            }
            Action::Resume => self.reader.halt(&members, false).await?,
            Action::Wipe => {
                let message = format!("`{}` does not apply to a reader, which has no data", self.action);
                return Err(FaultError::Reader { code: "not-for-readers", message, cause: None });
            }
        }
        let proof = format!("{} of {} members run", self.reader.running().len(), self.reader.count());
        Ok(Effect { requested, effective: moment::now(), down, proof, forced: false })
    }
}

impl Target for ReaderFault {
    fn name(&self) -> String {
        self.step.clone()
    }

    fn what(&self) -> String {
        self.action.verb().to_owned()
    }

    fn nature(&self) -> Nature {
        Nature::of(self.action)
    }

    fn kind(&self) -> TargetKind {
        TargetKind::Reader
    }

    fn condition(&self) -> Option<Condition> {
        let (step, members) = (self.step.clone(), self.concerned());
        match self.action {
            Action::Stop | Action::Kill | Action::Restart => Some(Condition::Members { step, members }),
            Action::Pause => Some(Condition::Halted { step, members }),
            Action::Start | Action::Resume | Action::Wipe => None,
        }
    }

    fn lane(&self) -> String {
        format!("reader {}", self.step)
    }

    fn members(&self) -> Vec<usize> {
        self.concerned().into_iter().collect()
    }

    fn ends(&self, other: &Condition) -> bool {
        match other {
            Condition::Members { step, members } => {
                matches!(self.action, Action::Start | Action::Restart)
                    && *step == self.step
                    && members.is_subset(&self.reader.running())
            }
            // Who is resumed, or ended, is paused no longer.
            Condition::Halted { step, members } => {
                let halted = self.reader.halted();
                let acts = !matches!(self.action, Action::Pause | Action::Start);
                acts && *step == self.step && members.iter().all(|member| !halted.contains_key(member))
            }
            Condition::Outlives(_) | Condition::Program { .. } => false,
        }
    }

    fn check(&self) -> Answer<'_, ()> {
        Box::pin(async move { self.fit().map(|_| ()) })
    }

    fn apply(&self) -> Answer<'_, Effect> {
        Box::pin(self.carry_out())
    }

    fn probe(&self) -> Answer<'_, Grip> {
        Box::pin(async move {
            if self.action == Action::Pause {
                let (concerned, halted) = (self.lock().clone(), self.reader.halted());
                let stands = |member: &usize, handed: &u64| halted.get(member) == Some(handed);
                let lost = concerned.iter().find(|(member, handed)| !stands(member, handed));
                return Ok(match lost {
                    None => Grip::Holds(self.standing()),
                    Some((member, _)) if self.reader.running().contains(member) => {
                        Grip::Lost(format!("member {member} of {} polls again", self.step))
                    }
                    Some((member, _)) => Grip::Lost(format!("member {member} of {} has ended", self.step)),
                });
            }
            let running = self.reader.running();
            let awake: Vec<String> =
                self.concerned().intersection(&running).map(|member| format!("member {member}")).collect();
            Ok(if awake.is_empty() {
                Grip::Holds(format!("{} of {} members run", running.len(), self.reader.count()))
            } else {
                Grip::Lost(format!("{} of {} runs again", awake.join(", "), self.step))
            })
        })
    }

    fn pace(&self, _: Duration) -> Duration {
        LOOK_EVERY
    }

    fn undo(&self, _: Duration) -> Answer<'_, Undone> {
        Box::pin(async move {
            if self.action == Action::Pause {
                let halted = self.reader.halted();
                let still: BTreeSet<usize> =
                    self.concerned().into_iter().filter(|member| halted.contains_key(member)).collect();
                if !still.is_empty() {
                    self.reader.halt(&still, false).await?;
                }
                return Ok(Undone { effective: moment::now(), acted: !still.is_empty() });
            }
            let running = self.reader.running();
            let down: BTreeSet<usize> = self.concerned().difference(&running).copied().collect();
            if !down.is_empty() {
                self.reader.start(&down).await?;
            }
            Ok(Undone { effective: moment::now(), acted: !down.is_empty() })
        })
    }

    fn ready(&self, patience: Duration) -> Answer<'_, Option<Instant>> {
        Box::pin(async move {
            let members = self.concerned();
            self.reader.reading(&members, patience.max(PATIENCE)).await.map(Some)
        })
    }
}
