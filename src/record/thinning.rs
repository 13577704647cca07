//! How samples of long ago are kept: the more coarsely the longer ago they were taken, and none more coarsely than its age asks for.

/// A minute, in seconds.
const MINUTE: f64 = 60.0;
/// An hour, in seconds.
const HOUR: f64 = 60.0 * MINUTE;
/// A day, in seconds.
const DAY: f64 = 24.0 * HOUR;
/// Of so many seconds, the second numbers, one sample is kept once it is as old as the first ones say.
const COARSE: [(f64, f64); 4] = [(0.0, 10.0), (HOUR, MINUTE), (DAY, 10.0 * MINUTE), (14.0 * DAY, HOUR)];
/// What the end of a run is compared with is its beginning: of that a sample of each minute stays.
const EARLY: f64 = 2.0 * HOUR;

/// Samples of one thing before older ones are merged.
pub(super) const MOST: usize = 2_000;
/// The last so many stay as they are.
const LAST: usize = 900;

/// Of how many seconds one sample is kept.
fn length(at: f64, age: f64) -> f64 {
    let length = COARSE.iter().rev().find(|(from, _)| age >= *from).map_or(1.0, |(_, length)| *length);
    if at < EARLY { length.min(MINUTE) } else { length }
}

/// Whether a further sample is one with which older ones are to be merged: not each of them, where all have to stay.
pub(super) fn is_due(samples: usize) -> bool {
    samples >= MOST && samples.is_multiple_of(MOST / 8)
}

/// Merges older samples, which are in the order of their times `at`, in seconds of the run. `join` makes one of two neighbours, or leaves
/// them apart.
pub(super) fn thin<T>(samples: &mut Vec<T>, at: impl Fn(&T) -> f64, join: impl Fn(&T, &T) -> Option<T>) {
    let Some(now) = samples.last().map(&at) else { return };
    let recent = samples.split_off(samples.len().saturating_sub(LAST));
    let mut kept: Vec<T> = Vec::with_capacity(MOST);
    for later in std::mem::take(samples) {
        let joined = kept.last().and_then(|earlier| {
            let (from, to) = (at(earlier), at(&later));
            let length = length(from, now - from);
            ((from / length).floor() == (to / length).floor()).then(|| join(earlier, &later)).flatten()
        });
        if joined.is_some() {
            kept.pop();
        }
        kept.push(joined.unwrap_or(later));
    }
    kept.extend(recent);
    *samples = kept;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sample each second, of which each kept one tells of how many it is made.
    fn kept(seconds: u32) -> Vec<(f64, u32)> {
        let mut samples: Vec<(f64, u32)> = Vec::new();
        for second in 0..seconds {
            samples.push((f64::from(second), 1));
            if is_due(samples.len()) {
                thin(&mut samples, |sample| sample.0, |one, other| Some((other.0, one.1 + other.1)));
            }
        }
        samples
    }

    #[test]
    fn what_is_old_is_merged_once_and_not_again_and_again() {
        for (hours, first_minutes) in [(2, 5), (12, 5), (48, 5)] {
            let samples = kept(hours * 3600);
            assert_eq!(samples.iter().map(|sample| sample.1).sum::<u32>(), hours * 3600, "none is forgotten");
            let of_beginning = samples.iter().filter(|sample| sample.0 < 300.0).count();
            assert!(of_beginning >= first_minutes, "{of_beginning} after {hours} h");
            assert!(samples.iter().all(|sample| sample.1 <= 600), "none is of more than ten minutes");
            let seconds = samples.iter().rev().take(900).filter(|sample| sample.1 == 1).count();
            assert_eq!(seconds, 900);
        }
        assert!(kept(3600).len() < 2_100, "{}", kept(3600).len());
        let weeks = kept(15 * 24 * 3600);
        assert!(weeks.len() < 5_500, "{}", weeks.len());
        assert!(weeks.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
