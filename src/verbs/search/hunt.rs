//! Which rate is tried next.

/// The search for the highest rate that holds: upwards in large steps until one does not, then between the two, and the best one again.
#[derive(Clone, Debug)]
pub struct Hunt {
    to: f64,
    /// The best rate and the next one that does not hold are to lie this close: 0.05 for 5 %.
    precision: f64,
    next: Option<f64>,
    /// Rates that held, the highest last.
    held: Vec<f64>,
    /// The lowest that did not.
    broke: Option<f64>,
    /// How often the best rate has held.
    confirmed: u32,
}

/// By how much a rate is raised while nothing breaks.
const STRIDE: f64 = 2.0;

impl Hunt {
    /// Begins at `from`, and does not go beyond `to`.
    pub fn new(from: f64, to: f64, precision: f64) -> Self {
        Self { to, precision, next: Some(from), held: Vec::new(), broke: None, confirmed: 0 }
    }

    /// The rate to try; `None` when the search is over.
    pub fn next(&self) -> Option<f64> {
        self.next
    }

    /// The highest rate that held; `None` where none did.
    pub fn best(&self) -> Option<f64> {
        self.held.last().copied()
    }

    /// Whether even the highest rate that may be tried held, so that there may be more.
    pub fn is_open(&self) -> bool {
        self.broke.is_none() && self.best().is_some_and(|best| best >= self.to)
    }

    /// The rate that was tried held, or did not.
    pub fn tried(&mut self, rate: f64, holds: bool) {
        if holds {
            match self.best() {
                Some(best) if rate <= best => self.confirmed += 1,
                _ => {
                    self.held.push(rate);
                    self.confirmed = 1;
                }
            }
        } else {
            self.broke = Some(self.broke.map_or(rate, |broke| broke.min(rate)));
            // What held before and does not now was luck.
            self.held.retain(|held| *held < rate);
            self.confirmed = u32::from(!self.held.is_empty());
        }
        self.next = self.choose();
    }

    fn choose(&self) -> Option<f64> {
        match (self.best(), self.broke) {
            (Some(best), None) if best < self.to => Some((best * STRIDE).min(self.to)),
            (Some(best), Some(broke)) if broke / best > 1.0 + self.precision => Some((best * broke).sqrt()),
            // The knee is looked at again: one good moment proves little.
            (Some(best), _) if self.confirmed < 2 => Some(best),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rates that are tried on a system that takes so much.
    fn hunted(limit: f64, from: f64, to: f64) -> (Vec<f64>, Hunt) {
        let (mut hunt, mut tried) = (Hunt::new(from, to, 0.05), Vec::new());
        while let Some(rate) = hunt.next() {
            tried.push(rate);
            assert!(tried.len() < 50, "{tried:?}");
            hunt.tried(rate, rate <= limit);
        }
        (tried, hunt)
    }

    #[test]
    fn the_limit_is_found_whatever_it_is() {
        for limit in [150.0, 1_000.0, 1_234.0, 7_777.0, 99_000.0] {
            let (tried, hunt) = hunted(limit, 100.0, 100_000.0);
            let best = hunt.best().expect("a rate");
            assert!(best <= limit && best > limit / 1.06, "{limit}: {best}");
            assert_eq!(tried.last(), Some(&best), "the best one is tried again at the end: {tried:?}");
            assert!(tried.len() < 20 && !hunt.is_open(), "{limit}: {tried:?}");
        }
    }

    #[test]
    fn where_nothing_holds_or_nothing_breaks_that_is_the_answer() {
        let (tried, hunt) = hunted(50.0, 100.0, 1_000.0);
        assert_eq!((tried, hunt.best(), hunt.is_open()), (vec![100.0], None, false));
        let (tried, hunt) = hunted(5_000.0, 100.0, 1_000.0);
        assert_eq!((hunt.best(), hunt.is_open(), tried.len()), (Some(1_000.0), true, 6));
    }

    #[test]
    fn what_held_by_luck_is_taken_back() {
        let mut hunt = Hunt::new(100.0, 1_000.0, 0.5);
        hunt.tried(100.0, true);
        hunt.tried(200.0, true);
        hunt.tried(400.0, false);
        let middle = hunt.next().expect("between");
        assert!(middle > 200.0 && middle < 400.0);
        hunt.tried(middle, true);
        assert_eq!(hunt.next(), Some(middle), "once more");
        hunt.tried(middle, false);
        assert_eq!(hunt.best(), Some(200.0));
        assert_eq!(hunt.next(), Some(200.0), "and the one below it, too");
        hunt.tried(200.0, true);
        assert_eq!((hunt.best(), hunt.next()), (Some(200.0), None));
    }
}
