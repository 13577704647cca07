use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Located, MAX_BYTES, MAX_PROBLEMS, agree, scan, syntax};
use crate::ground::input::Fence;
use crate::text::{Place, Problem, SourceText, Span};

/// Reads a YAML document; `name` is what the user calls it.
pub fn parse(name: &Path, text: String) -> Result<Located, Vec<Problem>> {
    parse_as(name, text, SourceText::new)
}

/// Reads a YAML document as a source that is made so.
pub(super) fn parse_as(
    name: &Path,
    text: String,
    source: fn(PathBuf, String) -> SourceText,
) -> Result<Located, Vec<Problem>> {
    let text = match text.strip_prefix('\u{feff}') {
        Some(without_mark) => without_mark.to_owned(),
        None => text,
    };
    if text.len() > MAX_BYTES {
        return Err(vec![too_large(source(name.to_path_buf(), text))]);
    }
    let source = Arc::new(source(name.to_path_buf(), text));
    let index = scan::scan(&source)?;
    let value: serde_json::Value =
        serde_yaml::from_str(&source.text).map_err(|error| vec![unreadable(&source, &error)])?;
    if value.is_null() {
        return Err(vec![scan::empty(&source)]);
    }
    let mut problems = agree::disagreements(&source, &index, &value);
    if !problems.is_empty() {
        let unlisted = problems.len().saturating_sub(MAX_PROBLEMS);
        problems.truncate(MAX_PROBLEMS);
        return Err(scan::with_rest(problems, unlisted));
    }
    let fence = Fence::of(name, None);
    Ok(Located { source, value, fence, index: Arc::new(index) })
}

/// The file is longer than anything that a person writes; the source is as much of it as was read.
pub(super) fn too_large(source: SourceText) -> Problem {
    let source = Arc::new(source);
    let limit = (0..=MAX_BYTES.min(source.text.len())).rfind(|at| source.text.is_char_boundary(*at)).unwrap_or(0);
    Problem::new("file-too-large", format!("{} is larger than {} KiB", source.name.display(), MAX_BYTES / 1024))
        .at(Place { source, span: Span { start: limit, end: limit } })
        .label("the limit is reached here")
        .help("keep bulk data in a file of its own and name it in the step")
}

/// What only the second reader objects to.
fn unreadable(source: &Arc<SourceText>, error: &serde_yaml::Error) -> Problem {
    let offset = error.location().map_or(0, |at| source.offset(at.line(), at.column()));
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    syntax::explain(source, offset, message)
}
