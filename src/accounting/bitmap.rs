//! A set of sequence numbers that costs nothing where it is complete.
//!
//! Pages of 8 KiB hold 65,536 bits; a page that becomes full collapses to a flag. A stream that
//! arrives in order therefore keeps one page at a time.

mod cost;

use std::collections::BTreeMap;
use std::ops::Range;

const WORDS: usize = 1024;
const PAGE_BITS: u64 = (WORDS * 64) as u64;
/// A page this far beyond the dense table goes to the sparse one: a corrupted or invented
/// sequence number must not allocate the space up to itself.
const DENSE_SLACK: u64 = 1024;

#[derive(Debug, Clone, Default)]
enum Page {
    #[default]
    Empty,
    Partial(Box<Partial>),
    Full,
}

#[derive(Debug, Clone)]
struct Partial {
    count: u32,
    words: [u64; WORDS],
}

impl Page {
    fn contains(&self, bit: u64) -> bool {
        match self {
            Page::Empty => false,
            Page::Full => true,
            Page::Partial(page) => page.words[(bit / 64) as usize] >> (bit % 64) & 1 == 1,
        }
    }

    /// Adds the bits of `mask` to a word; returns how many of them are new.
    fn insert(&mut self, word: usize, mask: u64) -> u32 {
        if let Page::Empty = self {
            *self = Page::Partial(Box::new(Partial { count: 0, words: [0; WORDS] }));
        }
        let Page::Partial(page) = self else {
            return 0;
        };
        let added = (mask & !page.words[word]).count_ones();
        page.words[word] |= mask;
        page.count += added;
        if u64::from(page.count) == PAGE_BITS {
            *self = Page::Full;
        }
        added
    }

    fn remove(&mut self, bit: u64) -> bool {
        if let Page::Full = self {
            *self = Page::Partial(Box::new(Partial { count: PAGE_BITS as u32, words: [u64::MAX; WORDS] }));
        }
        let Page::Partial(page) = self else {
            return false;
        };
        let word = &mut page.words[(bit / 64) as usize];
        let mask = 1u64 << (bit % 64);
        if *word & mask == 0 {
            return false;
        }
        *word &= !mask;
        page.count -= 1;
        if page.count == 0 {
            *self = Page::Empty;
        }
        true
    }

    fn word(&self, index: usize) -> u64 {
        match self {
            Page::Empty => 0,
            Page::Full => u64::MAX,
            Page::Partial(page) => page.words[index],
        }
    }

    fn merge(&mut self, other: &Page) -> u64 {
        match (&mut *self, other) {
            (_, Page::Empty) | (Page::Full, _) => 0,
            (Page::Empty, page) => {
                let added = page.count();
                *self = page.clone();
                added
            }
            (Page::Partial(mine), theirs) => {
                let before = mine.count;
                let mut count = 0;
                for (index, word) in mine.words.iter_mut().enumerate() {
                    *word |= theirs.word(index);
                    count += word.count_ones();
                }
                mine.count = count;
                if u64::from(count) == PAGE_BITS {
                    *self = Page::Full;
                }
                u64::from(count - before)
            }
        }
    }

    fn count(&self) -> u64 {
        match self {
            Page::Empty => 0,
            Page::Full => PAGE_BITS,
            Page::Partial(page) => u64::from(page.count),
        }
    }
}

/// A set of `u64`, meant for sequence numbers and offsets that end up (nearly) complete.
#[derive(Debug, Clone, Default)]
pub struct PagedBitmap {
    dense: Vec<Page>,
    sparse: BTreeMap<u64, Page>,
    len: u64,
}

impl PagedBitmap {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of values in the set.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing is in the set.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn page_mut(&mut self, index: u64) -> &mut Page {
        let dense = self.dense.len() as u64;
        if index >= dense {
            if index > dense + DENSE_SLACK {
                return self.sparse.entry(index).or_default();
            }
            self.dense.resize_with(index as usize + 1, Page::default);
            // Pages that were far away until now have become near.
            let far = self.sparse.split_off(&(index + 1));
            for (near, page) in std::mem::replace(&mut self.sparse, far) {
                self.dense[near as usize] = page;
            }
        }
        &mut self.dense[index as usize]
    }

    fn page(&self, index: u64) -> Option<&Page> {
        match self.dense.get(usize::try_from(index).ok()?) {
            Some(page) => Some(page),
            None => self.sparse.get(&index),
        }
    }

    /// Adds a value; false when it was there already.
    pub fn insert(&mut self, value: u64) -> bool {
        self.insert_in_word(value / 64, 1 << (value % 64)) == 1
    }

    /// Adds every value of a range.
    pub fn insert_range(&mut self, values: Range<u64>) {
        let mut next = values.start;
        while next < values.end {
            if next.is_multiple_of(PAGE_BITS) && values.end - next >= PAGE_BITS {
                let page = self.page_mut(next / PAGE_BITS);
                let before = std::mem::replace(page, Page::Full).count();
                self.len += PAGE_BITS - before;
                next += PAGE_BITS;
                continue;
            }
            let count = (64 - next % 64).min(values.end - next);
            self.insert_in_word(next / 64, u64::MAX >> (64 - count) << (next % 64));
            next += count;
        }
    }

    fn insert_in_word(&mut self, word: u64, mask: u64) -> u32 {
        let words = WORDS as u64;
        let added = self.page_mut(word / words).insert((word % words) as usize, mask);
        self.len += u64::from(added);
        added
    }

    /// Removes a value; false when it was not there.
    pub fn remove(&mut self, value: u64) -> bool {
        if !self.contains(value) {
            return false;
        }
        let removed = self.page_mut(value / PAGE_BITS).remove(value % PAGE_BITS);
        self.len -= u64::from(removed);
        removed
    }

    /// Whether the value is in the set.
    pub fn contains(&self, value: u64) -> bool {
        self.page(value / PAGE_BITS).is_some_and(|page| page.contains(value % PAGE_BITS))
    }

    /// Adds everything that is in `other`.
    pub fn union_with(&mut self, other: &PagedBitmap) {
        for (index, page) in other.pages() {
            let added = self.page_mut(index).merge(page);
            self.len += added;
        }
    }

    fn pages(&self) -> impl Iterator<Item = (u64, &Page)> {
        let dense = self.dense.iter().enumerate().map(|(index, page)| (index as u64, page));
        dense.chain(self.sparse.iter().map(|(index, page)| (*index, page)))
    }

    /// The values in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.combine(None, |mine, _| mine)
    }

    /// The values that are here and not in `other`, in ascending order.
    pub fn difference<'a>(&'a self, other: &'a PagedBitmap) -> impl Iterator<Item = u64> + 'a {
        self.combine(Some(other), |mine, theirs| mine & !theirs)
    }

    /// The values that are in both, in ascending order.
    pub fn intersection<'a>(&'a self, other: &'a PagedBitmap) -> impl Iterator<Item = u64> + 'a {
        self.combine(Some(other), |mine, theirs| mine & theirs)
    }

    /// How many values are in both.
    pub fn intersection_len(&self, other: &PagedBitmap) -> u64 {
        let both = |(index, mine): (u64, &Page)| match (mine, other.page(index).unwrap_or(&Page::Empty)) {
            (Page::Empty, _) | (_, Page::Empty) => 0,
            (Page::Full, page) | (page, Page::Full) => page.count(),
            (Page::Partial(mine), Page::Partial(theirs)) => {
                let words = mine.words.iter().zip(&theirs.words);
                words.map(|(mine, theirs)| u64::from((mine & theirs).count_ones())).sum()
            }
        };
        self.pages().map(both).sum()
    }

    fn combine<'a>(
        &'a self,
        other: Option<&'a PagedBitmap>,
        operation: impl Fn(u64, u64) -> u64 + Copy + 'a,
    ) -> impl Iterator<Item = u64> + 'a {
        const EMPTY: Page = Page::Empty;
        self.pages()
            .filter(|(_, page)| !matches!(page, Page::Empty))
            .map(move |(index, page)| (index, page, other.and_then(|o| o.page(index)).unwrap_or(&EMPTY)))
            // Two complete pages are the common case: decide them with one comparison.
            .filter(move |(_, mine, theirs)| {
                !matches!((mine, theirs), (Page::Full, Page::Full)) || operation(u64::MAX, u64::MAX) != 0
            })
            .flat_map(move |(index, mine, theirs)| {
                (0..WORDS).flat_map(move |word| {
                    let base = index * PAGE_BITS + word as u64 * 64;
                    Bits(operation(mine.word(word), theirs.word(word))).map(move |bit| base + bit)
                })
            })
    }

    /// Calls `see` with every unbroken run of values, in ascending order.
    pub(super) fn for_each_run(&self, mut see: impl FnMut(Range<u64>)) {
        let mut run: Option<Range<u64>> = None;
        let mut add = |more: Range<u64>, run: &mut Option<Range<u64>>| match run {
            Some(run) if run.end == more.start => run.end = more.end,
            other => {
                if let Some(done) = other.replace(more) {
                    see(done);
                }
            }
        };
        for (index, page) in self.pages() {
            let base = index * PAGE_BITS;
            match page {
                Page::Empty => {}
                Page::Full => add(base..base + PAGE_BITS, &mut run),
                Page::Partial(_) => {
                    for word in (0..WORDS).filter(|word| page.word(*word) != 0) {
                        let start = base + word as u64 * 64;
                        match page.word(word) {
                            u64::MAX => add(start..start + 64, &mut run),
                            bits => Bits(bits).for_each(|bit| add(start + bit..start + bit + 1, &mut run)),
                        }
                    }
                }
            }
        }
        if let Some(done) = run {
            see(done);
        }
    }

    /// Bytes held on the heap.
    pub fn heap_bytes(&self) -> usize {
        let partial = self.pages().filter(|(_, page)| matches!(page, Page::Partial(_))).count();
        partial * std::mem::size_of::<Partial>()
            + self.dense.capacity() * std::mem::size_of::<Page>()
            + self.sparse.len() * (std::mem::size_of::<Page>() + 16)
    }
}

impl Extend<u64> for PagedBitmap {
    fn extend<I: IntoIterator<Item = u64>>(&mut self, values: I) {
        for value in values {
            self.insert(value);
        }
    }
}

impl FromIterator<u64> for PagedBitmap {
    fn from_iter<I: IntoIterator<Item = u64>>(values: I) -> Self {
        let mut set = Self::new();
        set.extend(values);
        set
    }
}

/// The positions of the set bits of a word.
struct Bits(u64);

impl Iterator for Bits {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        if self.0 == 0 {
            return None;
        }
        let bit = self.0.trailing_zeros();
        self.0 &= self.0 - 1;
        Some(u64::from(bit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng, rngs::StdRng};
    use std::collections::BTreeSet;

    #[test]
    fn behaves_like_a_set() {
        let mut rng = StdRng::seed_from_u64(7);
        let (mut set, mut model) = (PagedBitmap::new(), BTreeSet::new());
        for step in 0..400_000u64 {
            let value = match rng.random_range(0..20) {
                0 => rng.random_range(0..u64::MAX),
                1 => rng.random_range(0..70_000_000),
                _ => step % 150_000,
            };
            match rng.random_range(0..10) {
                0 => assert_eq!(set.remove(value), model.remove(&value)),
                1 if step % 100 == 0 => {
                    let range = value..value.saturating_add(rng.random_range(0..500));
                    set.insert_range(range.clone());
                    model.extend(range);
                }
                _ => assert_eq!(set.insert(value), model.insert(value)),
            }
        }
        assert_eq!(set.len(), model.len() as u64);
        assert!(set.iter().eq(model.iter().copied()));
        let other: PagedBitmap = model.iter().copied().filter(|v| v % 3 == 0).collect();
        assert!(set.difference(&other).eq(model.iter().copied().filter(|v| v % 3 != 0)));
        assert!(set.intersection(&other).eq(other.iter()));
        assert_eq!((set.intersection_len(&other), other.intersection_len(&set)), (other.len(), other.len()));
        let mut union = other.clone();
        union.union_with(&set);
        assert!(union.iter().eq(set.iter()));
        assert_eq!(union.len(), set.len());
    }

    #[test]
    fn full_pages_cost_nothing() {
        let set: PagedBitmap = (0..10_000_000).collect();
        assert!(set.heap_bytes() < 64 * 1024, "{}", set.heap_bytes());
        assert_eq!(set.difference(&set.clone()).count(), 0);
    }
}
