//! How a load comes to its end.

use super::UNRESOLVED;
use crate::load::ProduceJob;
use crate::record::EventKind;
use crate::verb::{StepContext, Stop};
use std::future::pending;

/// How a load came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoadEnd {
    /// Its schedule was over, or it could not go on.
    Itself,
    /// Somebody asked it to, who may: its schedule lasted until then, and everything that it sent has its outcome.
    Asked,
    /// It was told to before it was over.
    Stopped,
}

impl LoadEnd {
    /// Waits for it, and gives the load back. `may_be_asked`: whether somebody may ask it to end.
    pub(super) async fn of(job: ProduceJob, may_be_asked: bool, cx: &mut StepContext) -> (Self, ProduceJob) {
        let (live, clock) = (job.live(), cx.run.clock);
        let mut soak = may_be_asked.then(|| cx.run.live.soak());
        let asked = async {
            match &mut soak {
                Some(soak) => soak.asked().await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = live.finished() => return (Self::Itself, job),
            () = asked => {}
            _ = cx.stop.at_least(Stop::Timeout) => {
                job.stop_within(clock, UNRESOLVED);
                return (Self::Stopped, job);
            }
        }
        job.end_schedule(clock);
        cx.run.recorder.emit(EventKind::Mark { kind: "soak".to_owned(), text: format!("{} was asked to end", cx.id) });
        let end = tokio::select! {
            () = live.finished() => Self::Asked,
            _ = cx.stop.at_least(Stop::Timeout) => {
                job.stop_within(clock, UNRESOLVED);
                Self::Stopped
            }
        };
        (end, job)
    }
}
