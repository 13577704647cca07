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
    /// The lowest that could not be judged, however often it was tried.
    hidden: Option<f64>,
    /// How often the best rate has held.
    confirmed: u32,
    /// How often nothing could be said of the rate that is next.
    untold: u32,
    /// Where it begins anew, where what a former search got to does not hold.
    bottom: Option<f64>,
    /// What did not hold in a former search.
    hint: Option<f64>,
}

/// How often a rate is tried again of which nothing could be said.
const AGAIN: u32 = 2;
/// By how much a rate is raised while nothing breaks.
const STRIDE: f64 = 2.0;

impl Hunt {
    /// Begins at `from`, and does not go beyond `to`.
    pub fn new(from: f64, to: f64, precision: f64) -> Self {
        Self {
            to,
            precision,
            next: Some(from),
            held: Vec::new(),
            broke: None,
            hidden: None,
            confirmed: 0,
            untold: 0,
            bottom: None,
            hint: None,
        }
    }

    /// Begins where a former search got to, by what it tried and whether that held: at its best rate, and then at the next one that did not
    /// hold. Both are tried as if nothing were known of them, and nothing else of it counts.
    pub fn resumed(from: f64, to: f64, precision: f64, tried: &[(f64, bool)]) -> Self {
        let anew = Self::new(from, to, precision);
        let broke = tried.iter().filter(|(_, held)| !held).map(|(rate, _)| *rate).reduce(f64::min);
        let held = tried.iter().filter(|(_, held)| *held).map(|(rate, _)| *rate);
        let held = held.filter(|rate| (from..=to).contains(rate) && broke.is_none_or(|broke| *rate < broke));
        match held.reduce(f64::max) {
            Some(best) => {
                let hint = broke.filter(|broke| *broke <= to);
                Self { next: Some(best), bottom: Some(from), hint, ..anew }
            }
            None => anew,
        }
    }

    /// The rate to try; `None` when the search is over.
    pub fn next(&self) -> Option<f64> {
        self.next
    }

    /// The highest rate that held; `None` where none did.
    pub fn best(&self) -> Option<f64> {
        self.held.last().copied()
    }

    /// Whether there may be more than the best: even the highest rate that may be tried held, or the next one could not be judged.
    pub fn is_open(&self) -> bool {
        let at_end = self.broke.is_none() && self.best().is_some_and(|best| best >= self.to);
        self.best().is_some() && (at_end || self.is_blind())
    }

    /// Whether what ended the search is a rate that could not be judged.
    pub fn is_blind(&self) -> bool {
        self.hidden.is_some_and(|hidden| self.broke.is_none_or(|broke| hidden < broke))
    }

    /// Nothing can be said of the rate that was tried, as where the machine was busy: it neither held nor broke. It is tried again; where that
    /// is of no use, it is left, and what lies below it is looked at. Whether that is so.
    pub fn cannot_tell(&mut self, rate: f64) -> bool {
        self.untold += 1;
        let is_left = self.untold > AGAIN;
        if is_left {
            self.untold = 0;
            self.hidden = Some(self.hidden.map_or(rate, |hidden| hidden.min(rate)));
            self.fall_below(rate);
            self.next = self.choose();
        }
        is_left
    }

    /// The rate that was tried held, or did not.
    pub fn tried(&mut self, rate: f64, holds: bool) {
        self.untold = 0;
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
            self.fall_below(rate);
        }
        self.next = self.choose();
    }

    /// What held before and does not now was luck.
    fn fall_below(&mut self, rate: f64) {
        self.held.retain(|held| *held < rate);
        self.confirmed = u32::from(!self.held.is_empty());
    }

    fn choose(&mut self) -> Option<f64> {
        let limit = [self.broke, self.hidden].into_iter().flatten().reduce(f64::min);
        match (self.best(), limit) {
            (Some(best), None) if best < self.to => {
                let hint = self.hint.take().filter(|hint| *hint > best);
                Some(hint.unwrap_or_else(|| (best * STRIDE).min(self.to)))
            }
            (Some(best), Some(broke)) if broke / best > 1.0 + self.precision => Some((best * broke).sqrt()),
            // The knee is looked at again: one good moment proves little.
            (Some(best), _) if self.confirmed < 2 => Some(best),
            (None, Some(limit)) => self.bottom.take().filter(|bottom| *bottom < limit),
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
    fn a_search_that_is_resumed_measures_both_sides_of_the_knee_itself() {
        let resumed = |limit: f64, tried: &[(f64, bool)]| {
            let (mut hunt, mut seen) = (Hunt::resumed(100.0, 100_000.0, 0.05, tried), Vec::new());
            while let Some(rate) = hunt.next() {
                seen.push(rate);
                assert!(seen.len() < 50, "{seen:?}");
                hunt.tried(rate, rate <= limit);
            }
            (seen, hunt)
        };
        let (tried, former) = hunted(1_234.0, 100.0, 100_000.0);
        let told: Vec<(f64, bool)> = tried.iter().map(|rate| (*rate, *rate <= 1_234.0)).collect();
        // Whatever had become of the system since, and however far the former search had got.
        let since = [(1_234.0, 0), (1_234.0, 5), (1_234.0, told.len()), (150.0, 9), (5_000.0, 9)];
        for (limit, known) in since {
            let (seen, hunt) = resumed(limit, &told[..known]);
            let best = hunt.best().expect("a rate");
            assert!(best <= limit && best > limit / 1.06, "{limit}: {seen:?}");
            assert!(seen.iter().filter(|rate| **rate == best).count() >= 2, "the best one held twice: {seen:?}");
            assert!(seen.iter().any(|rate| *rate > best && *rate <= best * 1.051), "and the next did not: {seen:?}");
        }
        let (whole, hunt) = resumed(1_234.0, &told);
        assert!(whole.len() == 3 && hunt.best() == former.best(), "{whole:?}");
        assert!(resumed(1_234.0, &told[..5]).0.len() < tried.len());
        assert_eq!(resumed(50.0, &told).1.best(), None);
        // What cannot be tried is no beginning.
        for told in [[(50.0, true), (2e5, true)], [(400.0, true), (400.0, false)]] {
            assert_eq!(Hunt::resumed(100.0, 100_000.0, 0.05, &told).next(), Some(100.0));
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
    fn a_rate_of_which_nothing_is_known_is_tried_again_and_never_called_broken() {
        let mut hunt = Hunt::new(100.0, 1_000.0, 0.05);
        hunt.tried(100.0, true);
        assert!((0..2).all(|_| !hunt.cannot_tell(200.0)));
        assert_eq!((hunt.next(), hunt.best()), (Some(200.0), Some(100.0)), "the same once more");
        hunt.tried(200.0, true);
        assert_eq!((hunt.next(), hunt.is_open()), (Some(400.0), false), "nothing is said to have broken");
        assert_eq!([(); 3].map(|()| hunt.cannot_tell(400.0)), [false, false, true]);
        assert!(hunt.next().is_some_and(|next| next > 200.0 && next < 400.0), "what lies below may be known");
        while let Some(rate) = hunt.next() {
            hunt.tried(rate, rate < 310.0);
        }
        assert!(hunt.best().is_some_and(|best| best < 310.0 && best > 290.0), "{hunt:?}");
        assert!(!hunt.is_open() && !hunt.is_blind(), "below it something broke: {hunt:?}");
    }

    #[test]
    fn below_a_rate_that_cannot_be_judged_the_best_is_the_least_that_is_known() {
        let mut hunt = Hunt::new(100.0, 1_000.0, 0.05);
        let mut tries = 0;
        while let Some(rate) = hunt.next() {
            tries += 1;
            if rate > 300.0 {
                hunt.cannot_tell(rate);
            } else {
                hunt.tried(rate, true);
            }
        }
        assert!(tries < 25 && hunt.is_open() && hunt.is_blind(), "{tries} {hunt:?}");
        assert!(hunt.best().is_some_and(|best| best <= 300.0 && best > 280.0), "{hunt:?}");
        let mut hunt = Hunt::new(100.0, 1_000.0, 0.05);
        assert_eq!([(); 3].map(|()| hunt.cannot_tell(100.0)), [false, false, true]);
        assert_eq!((hunt.next(), hunt.best(), hunt.is_open(), hunt.is_blind()), (None, None, false, true));
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
