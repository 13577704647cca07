//! The ids of steps: given, or made; each once.

use super::expand::{Expander, Frame, MAX_STEPS};
use crate::scenario::Modifiers;
use crate::text::{Origin, Place, Problem};
use crate::verb::{ScopeStep, VerbEntry, Work};

/// The id of a step, and where it stands.
pub(super) struct Id<'a> {
    pub(super) full: String,
    pub(super) given: Option<&'a str>,
    pub(super) place: Place,
}

pub(super) fn is_name(id: &str) -> bool {
    !id.is_empty() && id.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '-' | '_'))
}

impl Expander<'_> {
    /// The id that a step has: given, or made from verb and line.
    pub(super) fn id<'m>(
        &mut self,
        entry: &VerbEntry,
        modifiers: &'m Modifiers,
        index: Option<usize>,
        origin: &Origin,
        frame: &Frame,
    ) -> Id<'m> {
        let prefix = &frame.bindings.prefix;
        let index = index.map(|index| format!("[{index}]")).unwrap_or_default();
        if let Some(given) = &modifiers.id {
            return Id { full: format!("{prefix}{given}{index}"), given: Some(given), place: origin.place("/id") };
        }
        let base = format!("{prefix}{}-{}", entry.verb, origin.location("").line);
        let mut full = format!("{base}{index}");
        // The turns of a `for_each` around it make thousands on one line: where the last one ended, the next one begins.
        let copy = self.copies.entry(full.clone()).or_insert(1);
        while self.scope.step(&full).is_some() {
            *copy += 1;
            full = format!("{base}.{copy}{index}");
        }
        Id { full, given: None, place: origin.place("") }
    }

    /// Enters a step into the scope; `None` where its id is taken or there are too many steps.
    pub(super) fn enter(
        &mut self,
        id: Id<'_>,
        entry: Option<&VerbEntry>,
        background: bool,
        frame: &Frame,
    ) -> Option<usize> {
        if self.full {
            return None;
        }
        if self.order >= MAX_STEPS {
            self.full = true;
            self.problems.push(
                Problem::new("too-many-steps", format!("this makes more than {MAX_STEPS} steps"))
                    .at(id.place)
                    .help("shorten the lists of `for_each`, or include fewer fragments"),
            );
            return None;
        }
        if let Some(first) = self.places.get(&id.full) {
            let shown = id.given.unwrap_or(&id.full);
            self.problems.push(
                Problem::new("duplicate-id", format!("there is another step with the id `{shown}`"))
                    .at(id.place)
                    .note(format!("the first one is at {first}"))
                    .help("an id names one step of the file; choose another"),
            );
            return None;
        }
        let order = self.order;
        self.order += 1;
        let named = id.given.is_some();
        let (verb, work) = entry.map_or(("", Work::Other), |entry| (entry.verb, entry.work));
        let step = ScopeStep { verb, work, named, section: frame.section, order, background, facts: None };
        self.places.insert(id.full.clone(), id.place);
        self.scope.enter(id.full, step);
        Some(order)
    }
}
