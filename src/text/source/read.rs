use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::parse::{parse_as, too_large};
use super::{Located, MAX_BYTES};
use crate::ground::folder_of;
use crate::ground::input::{self, Fence, InputError, PROJECT};
use crate::text::{Place, Problem, SourceText, Span, did_you_mean, withheld};

/// Reads a scenario or a fragment. What the system refuses comes back as a problem with a remedy, like what is wrong in the file.
/// Whoever names a file may not have written it, and sees lines only of one that can be a scenario.
pub fn read(path: &Path) -> Result<Located, Vec<Problem>> {
    if is_shown(path) { read_project(path) } else { read_unshown(path) }
}

/// Reads a YAML file of which nothing is shown but where something in it is wrong.
///
/// # Errors
/// See [`read`].
pub fn read_unshown(path: &Path) -> Result<Located, Vec<Problem>> {
    read_as(path, SourceText::unshown).map_err(withheld)
}

/// Reads the project's own file, of which lines are shown: its reader sees to it that no credential stands in them.
///
/// # Errors
/// See [`read`].
pub fn read_project(path: &Path) -> Result<Located, Vec<Problem>> {
    read_as(path, SourceText::new)
}

/// Makes a source of a name and a text.
type MakeSource = fn(PathBuf, String) -> SourceText;

fn read_as(path: &Path, source: MakeSource) -> Result<Located, Vec<Problem>> {
    let bytes = load(path, source)?;
    match String::from_utf8(bytes) {
        Ok(text) => parse_as(path, text, source),
        Err(error) => Err(vec![not_utf8(path, error.as_bytes(), error.utf8_error().valid_up_to(), source)]),
    }
}

/// Whether a file can be a scenario by its name, also by the one that a link leads to, and lies in the project in which it is named: a
/// file of variables, or one to which somebody's link leads, may hold anything.
fn is_shown(path: &Path) -> bool {
    let named = |path: &Path| {
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        ["yaml", "yml", "json"].contains(&extension.as_str()) && path.file_name().is_none_or(|name| name != PROJECT)
    };
    // Of one that is not there nothing can be shown.
    named(path) && path.canonicalize().is_ok_and(|file| named(&file)) && Fence::of(path, None).admits(path).is_ok()
}

fn load(path: &Path, source: MakeSource) -> Result<Vec<u8>, Vec<Problem>> {
    if path.is_dir() {
        let message = format!("{} is a folder, and one file is wanted here", path.display());
        return Err(vec![Problem::new("is-a-folder", message).help("name a YAML file in it")]);
    }
    let limit = MAX_BYTES as u64 + 3; // a byte order mark
    let read = input::read(path, limit).map_err(|error| match error {
        InputError::TooLarge(_) => too_large(source(path.to_path_buf(), beginning(path))),
        InputError::NotAFile(what) => {
            Problem::new("not-a-file", format!("{} is {what}, and a file is wanted here", path.display()))
                .help("name a regular file: what comes out of a pipe or a device has no end")
        }
        InputError::Io(error) if error.kind() == ErrorKind::NotFound => missing(path),
        InputError::Io(error) if error.kind() == ErrorKind::PermissionDenied => {
            Problem::new("file-not-readable", format!("no permission to read {}", path.display()))
                .help("give this user the right to read it")
        }
        error => Problem::new("file-not-readable", format!("cannot read {}: {error}", path.display())),
    });
    read.map_err(|problem| vec![problem])
}

/// As much of a large file as a message about it shows.
fn beginning(path: &Path) -> String {
    let mut bytes = Vec::new();
    let read =
        input::open(path, u64::MAX).and_then(|file| Ok(file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?));
    // It was there a moment ago; without it the message shows no line.
    read.map_or_else(|_| String::new(), |_| String::from_utf8_lossy(&bytes).into_owned())
}

fn missing(path: &Path) -> Problem {
    /// More names are no help.
    const LISTED: usize = 10;

    let problem = Problem::new("no-such-file", format!("there is no file {}", path.display()));
    let folder = folder_of(path);
    let Ok(entries) = folder.read_dir() else {
        return problem.help(format!("there is no folder {} either", folder.display()));
    };
    let mut names: Vec<String> = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".yaml") || name.ends_with(".yml"))
        .collect();
    names.sort();
    let wanted = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = |name: &str| name.trim_end_matches(".yml").trim_end_matches(".yaml").to_owned();
    let guess = did_you_mean(&wanted, names.iter().map(String::as_str))
        .or_else(|| names.iter().map(String::as_str).find(|name| stem(name) == stem(&wanted)));
    if let Some(guess) = guess {
        return problem.help(format!("did you mean {}?", path.with_file_name(guess).display()));
    }
    if names.is_empty() {
        return problem.help(format!("{} holds no YAML file", folder.display()));
    }
    let more = if names.len() > LISTED { ", …" } else { "" };
    names.truncate(LISTED);
    problem.help(format!("{} holds {}{more}", folder.display(), names.join(", ")))
}

fn not_utf8(path: &Path, bytes: &[u8], valid_up_to: usize, source: MakeSource) -> Problem {
    let utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    let problem = Problem::new("not-utf8", "the file is not UTF-8 text").help(if utf16 {
        "it looks like UTF-16: save it as UTF-8"
    } else {
        "save it as UTF-8; binary data belongs in a file that a step names"
    });
    // Everything before the bad byte is valid, so its offset stays the same in the repaired text.
    let text = String::from_utf8_lossy(bytes).into_owned();
    let byte = bytes.get(valid_up_to).copied().unwrap_or_default();
    problem
        .at(Place {
            source: Arc::new(source(path.to_path_buf(), text)),
            span: Span { start: valid_up_to, end: valid_up_to + '\u{fffd}'.len_utf8() },
        })
        .label(format!("the byte 0x{byte:02x} is not UTF-8"))
}
