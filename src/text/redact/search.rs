//! Finds the forms of secrets in bytes.
//!
//! A secret of 512 bytes has a hundred thousand bytes of forms, and an automaton of all of them would take a hundred times as much memory.
//! So only the heads of forms are in the automaton; what follows a head is compared.

use super::{CUT, SecretPattern, TELLING};
use aho_corasick::AhoCorasick;
use std::collections::HashMap;
use std::ops::Range;

/// Bytes of a form that are in the automaton: few other texts have so many of them.
const HEAD: usize = 16;
/// What is known to be alike for so many bytes is not compared again.
const KNOWN: usize = 256;

/// The first or last bytes of a form, in lower case.
type Mark = [u8; TELLING];

/// Forms that are searched for, in lower case: in what is searched, case does not count.
#[derive(Debug)]
pub(super) struct FormSearch {
    forms: Vec<SecretPattern>,
    heads: AhoCorasick,
    /// The forms that begin with a mark, and those that end with it.
    begin: HashMap<Mark, Vec<u32>>,
    end: HashMap<Mark, Vec<u32>>,
    longest: usize,
    has_mark: bool,
}

/// A stretch of the text that is known to be the beginning of a form.
#[derive(Default)]
struct Known {
    at: usize,
    until: usize,
    repeats: Option<Vec<usize>>,
}

impl FormSearch {
    pub(super) fn new(forms: Vec<SecretPattern>) -> Self {
        let heads = forms.iter().map(|form| &form.bytes[..form.bytes.len().min(HEAD)]);
        // Memory for so short heads is always to be had; without it nothing must be shown.
        let heads = AhoCorasick::builder().ascii_case_insensitive(true).build(heads).expect("short heads");
        let (mut begin, mut end) = (HashMap::<Mark, Vec<u32>>::new(), HashMap::<Mark, Vec<u32>>::new());
        for (place, form) in (0..).zip(&forms) {
            if let (Some(first), Some(last)) = (form.bytes.first_chunk(), form.bytes.last_chunk()) {
                begin.entry(*first).or_default().push(place);
                end.entry(*last).or_default().push(place);
            }
        }
        let longest = forms.iter().map(|form| form.bytes.len()).max().unwrap_or(0);
        let has_mark = forms.iter().any(|form| memchr::memmem::find(&form.bytes, CUT.as_bytes()).is_some());
        Self { forms, heads, begin, end, longest, has_mark }
    }

    /// Whether a secret has in itself what stands where a text was cut: it may reach from before one cut to behind the next.
    pub(super) fn has_mark(&self) -> bool {
        self.has_mark
    }

    /// The forms.
    pub(super) fn forms(&self) -> &[SecretPattern] {
        &self.forms
    }

    /// Bytes that the automaton takes.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.heads.memory_usage()
    }

    /// Shows every place where a secret stands, until `see` says `false`.
    pub(super) fn each(&self, bytes: &[u8], see: &mut dyn FnMut(Range<usize>) -> bool) {
        let mut known: HashMap<usize, Known> = HashMap::new();
        for hit in self.heads.find_overlapping_iter(bytes) {
            let (place, start) = (hit.pattern().as_usize(), hit.start());
            let SecretPattern { bytes: form, around: (before, after) } = &self.forms[place];
            let length = match form.len() <= HEAD {
                true => form.len(),
                false => known.entry(place).or_default().alike(form, bytes, start),
            };
            if length == form.len() && !see(start + before..start + length - after) {
                return;
            }
        }
    }

    /// Secrets of which only the beginning stands before a cut; nothing before `floor` belongs to them.
    pub(super) fn begun<'a>(
        &'a self,
        bytes: &'a [u8],
        at: usize,
        floor: usize,
    ) -> impl Iterator<Item = Range<usize>> + 'a {
        let from = at.saturating_sub(self.longest).max(floor);
        let marks = (from..=at.saturating_sub(TELLING)).filter(move |start| start + TELLING <= at);
        marks.flat_map(move |start| {
            let forms = self.begin.get(&mark(&bytes[start..start + TELLING])).into_iter().flatten();
            forms.filter_map(move |place| {
                let SecretPattern { bytes: form, around: (before, after) } = &self.forms[*place as usize];
                let length = at - start;
                let is_begun = (before + TELLING..=form.len() - after).contains(&length)
                    && form[..length].eq_ignore_ascii_case(&bytes[start..at]);
                is_begun.then_some(start + before..at)
            })
        })
    }

    /// The length of the end of a secret that a text begins with, because it was cut before it.
    pub(super) fn ended(&self, bytes: &[u8]) -> Option<usize> {
        let mut longest = None;
        for length in (TELLING..=bytes.len().min(self.longest)).rev() {
            if longest >= Some(length) {
                break;
            }
            for place in self.end.get(&mark(&bytes[length - TELLING..length])).into_iter().flatten() {
                let SecretPattern { bytes: form, around: (before, after) } = &self.forms[*place as usize];
                if (TELLING + after..=form.len() - before).contains(&length)
                    && form[form.len() - length..].eq_ignore_ascii_case(&bytes[..length])
                {
                    longest = longest.max(Some(length - after));
                }
            }
        }
        longest
    }
}

fn mark(bytes: &[u8]) -> Mark {
    std::array::from_fn(|at| bytes[at].to_ascii_lowercase())
}

/// How many bytes a text has from a place on that are those of a form, when so many of them are known to be.
fn alike(form: &[u8], text: &[u8], known: usize) -> usize {
    let pairs = form[known..].iter().zip(&text[known..]);
    known + pairs.take_while(|(own, other)| **own == other.to_ascii_lowercase()).count()
}

impl Known {
    /// How many bytes from `start` on are those of the form. Starts come in order, and no byte is compared again and again: a form may
    /// repeat itself, and so may the text.
    fn alike(&mut self, form: &[u8], text: &[u8], start: usize) -> usize {
        let mut known = 0;
        if start > self.at && start + KNOWN < self.until {
            let inner = self.repeats.get_or_insert_with(|| repeats(form))[start - self.at];
            if start + inner < self.until {
                return inner;
            }
            known = self.until - start;
        }
        let length = alike(form, &text[start..], known);
        (self.at, self.until) = (start, start + length);
        length
    }
}

/// For each place of a form, how many bytes from there on are those that it begins with (the Z-function).
fn repeats(form: &[u8]) -> Vec<usize> {
    let mut lengths = vec![form.len(); form.len()];
    let (mut at, mut until) = (0, 0);
    for start in 1..form.len() {
        let inner = if start < until { lengths[start - at].min(until - start) } else { 0 };
        lengths[start] = if start + inner < until { inner } else { alike(form, &form[start..], inner) };
        if start + lengths[start] > until {
            (at, until) = (start, start + lengths[start]);
        }
    }
    lengths
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    fn search(forms: &[&[u8]]) -> FormSearch {
        FormSearch::new(forms.iter().map(|form| SecretPattern { bytes: form.to_vec(), around: (0, 0) }).collect())
    }

    #[test]
    fn what_repeats_itself_is_found_at_every_place() {
        let mut random = StdRng::seed_from_u64(11);
        let mut found_in_all = 0;
        for _ in 0..300 {
            // Of two letters, in blocks: beginnings of the form stand everywhere.
            let block: Vec<u8> = (0..random.random_range(1..9)).map(|_| b"ab"[random.random_range(0..2)]).collect();
            let form: Vec<u8> = block.iter().copied().cycle().take(random.random_range(17..700)).collect();
            let mut text: Vec<u8> = block.iter().copied().cycle().take(3_000).collect();
            for _ in 0..random.random_range(0..4) {
                let at = random.random_range(0..text.len());
                text[at] = b"abAB"[random.random_range(0..4)];
            }
            let mut found = Vec::new();
            search(&[&form]).each(&text, &mut |range| {
                found.push(range.start);
                true
            });
            let wanted: Vec<usize> = (0..=text.len() - form.len())
                .filter(|at| text[*at..*at + form.len()].eq_ignore_ascii_case(&form))
                .collect();
            assert_eq!(found, wanted);
            found_in_all += found.len();
        }
        assert!(found_in_all > 10_000, "{found_in_all}");
    }

    #[test]
    fn beginnings_and_ends_are_found_as_long_as_they_are() {
        let search = search(&[b"abcdefgh", b"xyzabcd"]);
        let begun = |text: &[u8]| search.begun(text, text.len(), 0).collect::<Vec<_>>();
        assert_eq!(begun(b"1 xyzABCD"), [2..9, 5..9]);
        assert!(begun(b"abc").is_empty());
        assert!(begun(b"").is_empty());
        assert_eq!(search.begun(b"abcdef", 6, 2).next(), None);
        assert_eq!(search.ended(b"EFGH and more"), Some(4));
        assert_eq!(search.ended(b"zabcd"), Some(5));
        assert_eq!((search.ended(b"fgh"), search.ended(b"")), (None, None));
    }
}
