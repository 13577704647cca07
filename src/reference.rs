//! The reference of the verbs, generated from the types: for the terminal and for `docs/`.

pub mod diagnostics;
mod field;

use crate::verb::{Registry, VerbEntry};
use field::{Field, description, fields, schema, short_form};
use std::fmt::Write;

/// The widest line of a page in the terminal, in characters.
const WIDTH: usize = 100;

/// The first sentence of a verb's description.
pub fn summary(entry: &VerbEntry) -> String {
    let text = description(&schema(entry));
    text.split_once(". ").map_or(text.clone(), |(first, _)| format!("{first}."))
}

/// A verb's page for the terminal: description, fields with types, example.
pub fn page(entry: &VerbEntry) -> String {
    let schema = schema(entry);
    let mut page = format!("{}\n\n{}\n", entry.verb, wrapped(&description(&schema), 0));
    let fields = fields(&schema);
    if !fields.is_empty() {
        let width = width(&fields, 0);
        page.push('\n');
        fields.iter().for_each(|field| line(field, 2, width, &mut page));
    }
    if let Some(short) = short_form(&schema) {
        let _ = write!(page, "\n{}", wrapped(&format!("In short, `{}: …` with {short}", entry.verb), 0));
    }
    let _ = write!(page, "\n{}", wrapped(&changes(entry), 0));
    for note in notes(entry) {
        let _ = write!(page, "\n{note}");
    }
    if fields.iter().any(Field::is_checked) {
        let _ =
            write!(page, "\nA check is a value, or a map of min, max, equals and not: lost: 0, p99: {{ max: 50ms }}.");
    }
    let _ = write!(page, "\n\nExample\n\n{}", example(entry, "  "));
    page
}

/// The pages of all verbs, as `docs/verbs.md` holds them.
pub fn all(verbs: Registry) -> String {
    let mut text = String::from(
        "# The verbs\n\nGenerated from the types; `kscen steps VERB` prints the same. Every step may also have the modifiers `id`, \
         `name`, `if`, `timeout`, `retry`, `background`, `for_each`, `on_failure` and `expect_failure`. \
         A check is a value, which has to be met exactly, or a map of `min`, `max`, `equals` and `not`.\n",
    );
    for entry in verbs {
        let schema = schema(entry);
        let _ = write!(text, "\n## {}\n\n{}\n", entry.verb, description(&schema));
        let fields = fields(&schema);
        if !fields.is_empty() {
            text.push('\n');
            fields.iter().for_each(|field| bullet(field, 0, &mut text));
        }
        if let Some(short) = short_form(&schema) {
            let _ = write!(text, "\nIn short, `{}: …` with {short}\n", entry.verb);
        }
        let _ = write!(text, "\n{}\n", changes(entry));
        let notes = notes(entry).join(" ");
        if !notes.is_empty() {
            let _ = write!(text, "\n{notes}\n");
        }
        let _ = write!(text, "\n```yaml\n{}```\n", example(entry, ""));
    }
    text
}

/// What an environment has to grant for it.
fn changes(entry: &VerbEntry) -> String {
    let words: Vec<String> = entry.may.iter().map(|grant| format!("`{grant}`")).collect();
    match words.as_slice() {
        [] => "It changes nothing, and needs no grant.".to_owned(),
        words => format!("Grants, as far as it uses them: {}.", words.join(", ")),
    }
}

fn notes(entry: &VerbEntry) -> Vec<&'static str> {
    [
        (entry.background, "It may run in the background (`background: true`)."),
        (entry.continues, "The run goes on when it fails, unless `on_failure: stop`."),
        (!entry.retry, "It cannot be retried."),
        (!entry.refusable, "It cannot have `expect_failure`."),
    ]
    .into_iter()
    .filter_map(|(applies, note)| applies.then_some(note))
    .collect()
}

/// The example as an item of a list of steps. Writing to a string cannot fail, here and above.
fn example(entry: &VerbEntry, indent: &str) -> String {
    entry.example.lines().enumerate().fold(String::new(), |mut text, (index, line)| {
        let _ = writeln!(text, "{indent}{}{line}", if index == 0 { "- " } else { "  " });
        text
    })
}

fn bullet(field: &Field, depth: usize, text: &mut String) {
    let _ = writeln!(text, "{}- `{}` ({}): {}", "  ".repeat(depth), field.name, field.kind(), field.text);
    field.inner.iter().for_each(|inner| bullet(inner, depth + 1, text));
}

/// The width of the column of names.
fn width(fields: &[Field], depth: usize) -> usize {
    fields
        .iter()
        .map(|field| (depth * 2 + field.name.chars().count()).max(width(&field.inner, depth + 1)))
        .max()
        .unwrap_or(0)
}

fn line(field: &Field, indent: usize, width: usize, page: &mut String) {
    let column = width + 4;
    let name = format!("{}{}", " ".repeat(indent), field.name);
    let text = wrapped(&format!("{} ({})", field.text, field.kind()), column);
    let _ = writeln!(page, "{name:column$}{}", text.trim_start());
    field.inner.iter().for_each(|inner| line(inner, indent + 2, width, page));
}

/// A text in lines of at most [`WIDTH`], each indented.
fn wrapped(text: &str, indent: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is one from the start");
        if !line.is_empty() && indent + line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.iter().map(|line| format!("{}{line}", " ".repeat(indent))).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::REGISTRY;

    #[test]
    fn a_page_says_what_can_be_written() {
        let page = page(REGISTRY.verb("produce").expect("a verb"));
        for part in [
            "  topic ",
            "(text, required)",
            "(one of all, 1, 0, -1)",
            "(rate, such as 500/s)",
            "(list of maps)",
            "    warmup ",
            "It may run in the background",
            "  - produce:",
        ] {
            // Wherever lines are broken.
            let found = page.contains(part) || page.split_whitespace().collect::<Vec<_>>().join(" ").contains(part);
            assert!(found, "{part} is missing in\n{page}");
        }
        assert!(page.lines().all(|line| line.chars().count() <= WIDTH + 20), "{page}");
    }
}
