//! Sets of places in a document, asked about what stands above or below a place.

use std::collections::BTreeSet;

/// JSON pointers. A question takes no longer where there are thousands.
#[derive(Clone, Debug, Default)]
pub struct Pointers(BTreeSet<String>);

impl Pointers {
    /// Whether one of them leads to `pointer`, or to something below it.
    pub fn touch(&self, pointer: &str) -> bool {
        let below = format!("{pointer}/");
        self.0.contains(pointer) || self.0.range(below.clone()..).next().is_some_and(|next| next.starts_with(&below))
    }

    /// Whether one of them leads to `pointer`, or to something that it is a part of.
    pub fn cover(&self, pointer: &str) -> bool {
        let mut at = pointer;
        loop {
            if self.0.contains(at) {
                return true;
            }
            match at.rfind('/') {
                Some(cut) => at = &at[..cut],
                None => return false,
            }
        }
    }
}

impl Extend<String> for Pointers {
    fn extend<I: IntoIterator<Item = String>>(&mut self, pointers: I) {
        self.0.extend(pointers);
    }
}

impl FromIterator<String> for Pointers {
    fn from_iter<I: IntoIterator<Item = String>>(pointers: I) -> Self {
        Self(pointers.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn above_and_below_are_told_apart_from_beside() {
        let set: Pointers = ["/steps/1/wait", "/steps/10", "/vars/a-b"].map(str::to_owned).into_iter().collect();
        for (pointer, touched, covered) in [
            ("", true, false),
            ("/steps", true, false),
            ("/steps/1", true, false),
            ("/steps/1/wait", true, true),
            ("/steps/1/wait/for", false, true),
            ("/steps/10/run/0", false, true),
            ("/steps/100", false, false),
            ("/vars/a", false, false),
            ("/var", false, false),
        ] {
            assert_eq!((set.touch(pointer), set.cover(pointer)), (touched, covered), "{pointer}");
        }
        let whole: Pointers = [String::new()].into_iter().collect();
        assert!(whole.touch("") && whole.cover("/a/b") && !whole.touch("/a"));
        assert!(!Pointers::default().touch("") && !Pointers::default().cover(""));
    }
}
