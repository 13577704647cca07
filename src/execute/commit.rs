//! The commit that the repository of a scenario stands at. Its files are read; git is not started, because what stands in a repository can
//! have it start other programs.

use crate::ground::{folder_of, input};
use std::path::{Component, Path, PathBuf};

/// Most bytes of a file that names one thing.
const SHORT: u64 = 4096;
/// Most bytes of a list of all references.
const LONG: u64 = 16 << 20;

/// The commit that is checked out where a file lies; none where that is no repository of git, has no commit yet, or cannot be read.
pub(super) fn of(file: &Path) -> Option<String> {
    let folder = folder_of(file).canonicalize().ok()?;
    let (own, marker) = folder.ancestors().map(|dir| (dir, dir.join(".git"))).find(|(_, marker)| marker.exists())?;
    let git = if marker.is_dir() { marker } else { own.join(named(&marker, "gitdir: ")?) };
    let head = line(&git.join("HEAD"))?;
    let Some(reference) = head.strip_prefix("ref: ") else { return id(&head) };
    // It is a path below the repository, and leads nowhere else.
    let inside = Path::new(reference).components().all(|part| matches!(part, Component::Normal(_)));
    if !inside || !reference.starts_with("refs/") {
        return None;
    }
    // A worktree has what is its own, and shares the rest.
    let shared = line(&git.join("commondir")).map_or_else(|| git.clone(), |common| git.join(common));
    let loose = [&git, &shared].into_iter().find_map(|place| id(&line(&place.join(reference))?));
    loose.or_else(|| packed(&shared.join("packed-refs"), reference))
}

/// What a file of one line says.
fn line(path: &Path) -> Option<String> {
    Some(input::text(path, SHORT).ok()?.trim_end().to_owned())
}

/// The path that stands behind a word.
fn named(path: &Path, word: &str) -> Option<PathBuf> {
    Some(PathBuf::from(line(path)?.strip_prefix(word)?))
}

fn packed(list: &Path, reference: &str) -> Option<String> {
    let text = input::text(list, LONG).ok()?;
    text.lines().find_map(|line| id(line.strip_suffix(reference)?.strip_suffix(' ')?))
}

/// What may be a commit's id, and nothing else.
fn id(text: &str) -> Option<String> {
    let is_id = [40, 64].contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "1111111111111111111111111111111111111111";
    const SECOND: &str = "2222222222222222222222222222222222222222";

    fn put(folder: &Path, name: &str, text: &str) {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    #[test]
    fn the_commit_is_that_of_the_repository_around_the_scenario() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path();
        put(at, "scenarios/a.yaml", "");
        let file = at.join("scenarios/a.yaml");
        put(at, ".git/HEAD", "ref: refs/heads/main\n");
        assert_eq!(of(&file), None, "nothing is committed yet");
        put(
            at,
            ".git/packed-refs",
            &format!("# pack-refs\n{SECOND} refs/heads/other/refs/heads/main\n{FIRST} refs/heads/main\n"),
        );
        assert_eq!(of(&file).as_deref(), Some(FIRST));
        put(at, ".git/refs/heads/main", &format!("{SECOND}\n"));
        assert_eq!(of(&file).as_deref(), Some(SECOND), "what is not packed is newer");
        put(at, ".git/HEAD", &format!("{FIRST}\n"));
        assert_eq!(of(&file).as_deref(), Some(FIRST), "no branch");
        // A worktree of its own, with the branches of the other.
        put(at, ".git/worktrees/w/HEAD", "ref: refs/heads/main\n");
        put(at, ".git/worktrees/w/commondir", "../..\n");
        put(at, "w/.git", &format!("gitdir: {}\n", at.join(".git/worktrees/w").display()));
        assert_eq!(of(&at.join("w/b.yaml")).as_deref(), Some(SECOND));
        assert_eq!(of(Path::new("/nowhere/at/all.yaml")), None);
    }

    #[test]
    fn what_is_no_commit_is_not_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path();
        let file = at.join("a.yaml");
        put(at, ".git/refs/heads/main", "a secret of somebody else\n");
        put(at, "beside", FIRST);
        for head in [
            "",
            "ref: ",
            "ref: refs/../../beside",
            "ref: /etc/passwd",
            "ref: refs/heads/main",
            "ref: refs/heads",
            "1234",
        ] {
            put(at, ".git/HEAD", head);
            assert_eq!(of(&file), None, "{head}");
        }
        std::fs::remove_dir_all(at.join(".git")).expect("ours");
        for marker in ["", "gitdir: ", "gitdir: nowhere"] {
            put(at, ".git", marker);
            assert_eq!(of(&file), None, "{marker}");
        }
    }
}
