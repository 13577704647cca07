//! A load without a cluster, for tests: what its producers are said to have done is entered as if they had done it.

use super::SenderBooks;
use super::far_producer::FarCrew;
use super::load_figures::LiveProduce;
use super::tally::{SendTally, SharedTally};
use crate::accounting::{RunIdentity, Schedule, SenderAccount};
use crate::ground::lock;
use crate::load::afar::{Afar, Hearer};
use crate::record::{Detail, ProduceReport};
use std::sync::{Arc, Mutex};

/// A load without a cluster.
pub(crate) struct RehearsedLoad {
    crew: FarCrew,
    live: Arc<LiveProduce>,
    books: Vec<Arc<SenderBooks>>,
    tallies: Vec<SharedTally>,
    hearers: Vec<Arc<dyn Hearer>>,
}

impl RehearsedLoad {
    /// So many producers, `transactional` if they send in transactions.
    pub(crate) fn new(run: &Arc<RunIdentity>, producers: usize, transactional: bool, afar: Arc<dyn Afar>) -> Self {
        let schedule = Schedule::Unlimited { count: None, length: None };
        let live = Arc::new(LiveProduce::new(schedule.clone(), producers as u64, Detail::default()));
        let mut crew = FarCrew::new(afar, transactional);
        let (mut books, mut tallies): (Vec<Arc<SenderBooks>>, Vec<SharedTally>) = (Vec::new(), Vec::new());
        let mut hearers: Vec<Arc<dyn Hearer>> = Vec::new();
        for _ in 0..producers {
            let ticket = run.register("t").expect("room for a producer");
            let account = SenderAccount { step: "load".to_owned(), ..SenderAccount::new(ticket.producer, "t") };
            let own = Arc::new(SenderBooks::new(ticket.clone(), account, None));
            let tally: SharedTally = Arc::new(Mutex::new(SendTally::new(&Detail::default())));
            hearers.push(crew.hearer(&schedule, (ticket, Arc::clone(&own)), (Arc::clone(&tally), &live)));
            books.push(own);
            tallies.push(tally);
        }
        Self { crew, live, books, tallies, hearers }
    }

    /// Who hears of a producer.
    pub(crate) fn producer(&self, share: usize) -> Arc<dyn Hearer> {
        Arc::clone(&self.hearers[share])
    }

    /// The accounts.
    pub(crate) fn accounts(&self) -> Vec<SenderAccount> {
        self.books.iter().map(|books| books.snapshot()).collect()
    }

    /// Everything else that was written down, as text.
    pub(crate) fn figures(&self) -> String {
        let mut report = ProduceReport::default();
        self.tallies.iter().for_each(|tally| lock(tally).add_to(&mut report));
        let live = (self.live.sent(), self.live.acked(), self.live.failed(), self.live.unknown(), self.live.bytes());
        format!("{live:?} {report:?} {:?}", self.live.outages().gaps())
    }

    /// How its producers ended.
    pub(crate) fn ends(&self) -> Vec<Option<String>> {
        self.crew.join().into_iter().map(|joined| joined.fatal).collect()
    }
}
