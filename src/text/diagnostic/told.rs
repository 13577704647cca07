//! Problems on their way to whoever reads them: each once, not without end, and without what is secret.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use super::Problem;
use crate::ground::plural;
use crate::text::{Redactor, SourceText};

/// Problems of one file that are told one by one; of the others there is the number.
pub const MOST_TOLD: usize = 200;

/// The problems as they are told, sorted by place; and how many there are beyond them, which the last one of each file says as well.
pub fn told(problems: &[Problem]) -> (Vec<Problem>, usize) {
    let mut sorted: Vec<&Problem> = problems.iter().collect();
    sorted.sort_by(|a, b| a.by_place(b));
    let mut seen = BTreeSet::new();
    let mut files: BTreeMap<Option<PathBuf>, Vec<&Problem>> = BTreeMap::new();
    for problem in sorted {
        if seen.insert(problem.to_string()) {
            files.entry(problem.at.as_ref().map(|place| place.source.name.clone())).or_default().push(problem);
        }
    }
    let (mut told, mut untold) = (Vec::new(), 0);
    for (file, problems) in files {
        let more = problems.len().saturating_sub(MOST_TOLD);
        told.extend(problems.into_iter().take(MOST_TOLD).cloned());
        if let Some(last) = told.last_mut().filter(|_| more > 0) {
            let of = if file.is_some() { " in this file" } else { "" };
            last.notes.push(format!("and {}{of}", plural(more, "more problem")));
        }
        untold += more;
    }
    (told, untold)
}

/// The problems without what is secret: in their words, and in the lines that they show.
#[must_use]
pub fn redacted(problems: Vec<Problem>, redactor: &Redactor) -> Vec<Problem> {
    if redactor.is_empty() {
        return problems;
    }
    covered(problems, |text| redactor.text(text), |text| redactor.blanked(text))
}

/// The problems with other words, and with other texts to show lines of: of the same length, so that places stay true. A text that many
/// of them are about is looked through once.
#[must_use]
pub fn covered(
    problems: Vec<Problem>,
    words: impl Fn(&str) -> Cow<'_, str>,
    text: impl Fn(&str) -> Cow<'_, str>,
) -> Vec<Problem> {
    let mut known: HashMap<*const SourceText, Arc<SourceText>> = HashMap::new();
    let cover = |mut problem: Problem| {
        let all = [&mut problem.message, &mut problem.label].into_iter();
        for said in all.chain(&mut problem.help).chain(&mut problem.notes) {
            if let Cow::Owned(other) = words(said) {
                *said = other;
            }
        }
        if let Some(place) = &mut problem.at {
            let source = known.entry(Arc::as_ptr(&place.source)).or_insert_with(|| place.source.with(&text));
            place.source = Arc::clone(source);
        }
        problem
    };
    problems.into_iter().map(cover).collect()
}

/// The problems without anything of files of which nothing is shown: what is wrong there is told by its code and its place.
#[must_use]
pub fn withheld(problems: Vec<Problem>) -> Vec<Problem> {
    let withhold = |problem: Problem| match problem.at {
        Some(place) if !place.source.shown => {
            let what = problem.code.replace('-', " ");
            Problem::new(problem.code, format!("kscen cannot read this file from here on: {what}"))
                .at(place)
                .help("nothing of the file is shown, because it may hold secrets")
        }
        _ => problem,
    };
    problems.into_iter().map(withhold).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{Place, Span, render};

    fn source(name: &str, text: &str) -> Arc<SourceText> {
        Arc::new(SourceText::new(name.into(), text.to_owned()))
    }

    fn at(source: &Arc<SourceText>, start: usize) -> Place {
        Place { source: Arc::clone(source), span: Span { start, end: start + 1 } }
    }

    #[test]
    fn of_each_file_so_many_are_told_each_once() {
        let (many, few) = (source("many.yaml", &"x".repeat(1_000)), source("few.yaml", "y"));
        let mut problems: Vec<Problem> =
            (0..900).rev().map(|n| Problem::new("bad", format!("no {n}")).at(at(&many, n))).collect();
        problems.extend([Problem::new("bad", "y").at(at(&few, 0)), Problem::new("bad", "y").at(at(&few, 0))]);
        problems.extend((0..MOST_TOLD + 1).map(|n| Problem::new("none", format!("nowhere {n}"))));
        let (all, more) = told(&problems);
        assert_eq!((all.len(), more), (2 * MOST_TOLD + 1, 701));
        assert_eq!(all[MOST_TOLD - 1].notes, ["and 1 more problem"]);
        assert_eq!(all[MOST_TOLD].message, "y");
        assert_eq!((all[MOST_TOLD + 1].message.as_str(), all[2 * MOST_TOLD].message.as_str()), ("no 0", "no 199"));
        assert_eq!(all[2 * MOST_TOLD].notes, ["and 700 more problems in this file"]);
        assert_eq!(told(&all[..5]).1, 0);
    }

    #[test]
    fn secrets_are_taken_out_of_words_and_lines() {
        let text = source("a.yaml", "run: [hunter2-quartz]\n");
        let problem = Problem::new("bad", "`hunter2-quartz`").label("hunter2-quartz").help("hunter2-quartz");
        let problems = vec![problem.note("hunter2-quartz").at(at(&text, 0)), Problem::new("bad", "x").at(at(&text, 5))];
        let shown = redacted(problems, &Redactor::new(["hunter2-quartz"]));
        assert!(Arc::ptr_eq(&shown[0].at.as_ref().unwrap().source, &shown[1].at.as_ref().unwrap().source));
        let shown = render(&shown, false) + &serde_json::to_string(&shown).unwrap();
        assert!(!shown.contains("hunter2") && shown.contains("a.yaml:1:6"), "{shown}");
    }

    #[test]
    fn nothing_is_shown_of_a_file_that_may_hold_anything() {
        let text = Arc::new(SourceText::unshown(".env".into(), "A=1\nTOKEN=hunter2\n".to_owned()));
        let problem = Problem::new("yaml-syntax", "`hunter2`").label("hunter2").help("hunter2").note("hunter2");
        let shown = withheld(vec![problem.at(at(&text, 10))]);
        let drawn = render(&shown, false);
        assert!(!drawn.contains("hunter2") && !drawn.contains("TOKEN"), "{drawn}");
        assert!(drawn.contains(".env:2:7") && drawn.contains("yaml syntax"), "{drawn}");
        // What is made of it anew stays so.
        let text = text.with(&|text| Cow::Owned(text.to_owned()));
        assert!(!render(&[Problem::new("x", "x").at(at(&text, 10))], false).contains("TOKEN"));
    }
}
