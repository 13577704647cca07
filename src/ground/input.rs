//! The one way to open a file that somebody else may have made: a regular file, of bounded size and, where a scenario names it,
//! inside the project.

use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// Why a file is not read.
#[derive(Debug)]
pub enum InputError {
    /// It is something else than a regular file: what it is.
    NotAFile(&'static str),
    /// It has more bytes than this.
    TooLarge(u64),
    /// It is not text in UTF-8.
    NotText,
    /// It lies outside of this folder, which may not be left.
    Outside(PathBuf),
    /// The system refuses.
    Io(io::Error),
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAFile(what) => write!(f, "it is {what}, not a regular file"),
            Self::TooLarge(most) if *most < 1 << 20 => write!(f, "it is larger than {} KiB", most >> 10),
            Self::TooLarge(most) => write!(f, "it is larger than {} MiB", most >> 20),
            Self::NotText => f.write_str("it is not UTF-8 text"),
            Self::Outside(root) => write!(f, "it lies outside the project {}", root.display()),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for InputError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::NotAFile(_) | Self::TooLarge(_) | Self::NotText | Self::Outside(_) => None,
        }
    }
}

impl From<io::Error> for InputError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<InputError> for io::Error {
    fn from(error: InputError) -> Self {
        match error {
            InputError::Io(error) => error,
            other => Self::other(other),
        }
    }
}

/// Opens a regular file of at most `most` bytes. Nothing else is even opened: a pipe would wait for its writer, a device may act.
///
/// # Errors
/// See [`InputError`].
pub fn open(path: &Path, most: u64) -> Result<File, InputError> {
    suitable(&std::fs::metadata(path)?, most)?;
    // What has taken its place meanwhile must not block either, and is looked at again.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    suitable(&file.metadata()?, most)?;
    Ok(file)
}

fn suitable(told: &Metadata, most: u64) -> Result<(), InputError> {
    let kind = told.file_type();
    let other = match () {
        () if kind.is_file() && told.len() > most => return Err(InputError::TooLarge(most)),
        () if kind.is_file() => return Ok(()),
        () if kind.is_dir() => "a folder",
        () if kind.is_fifo() => "a pipe",
        () if kind.is_socket() => "a socket",
        () => "a device",
    };
    Err(InputError::NotAFile(other))
}

/// Reads a regular file of at most `most` bytes.
///
/// # Errors
/// See [`InputError`]; a file that grows beyond the limit while it is read is too large as well.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>, InputError> {
    all(open(path, most)?, most)
}

/// Reads a regular text file of at most `most` bytes.
///
/// # Errors
/// See [`InputError`].
pub fn text(path: &Path, most: u64) -> Result<String, InputError> {
    String::from_utf8(read(path, most)?).map_err(|_| InputError::NotText)
}

fn all(file: File, most: u64) -> Result<Vec<u8>, InputError> {
    let mut bytes = Vec::new();
    // Files of the kernel say that they have no bytes, whatever they hold.
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(InputError::TooLarge(most)) } else { Ok(bytes) }
}

/// The file that makes a folder a project.
pub const PROJECT: &str = "kscen.yaml";

/// The folder that the files named in a document may not leave.
#[derive(Clone, Debug, Default)]
pub struct Fence {
    root: Option<Arc<Path>>,
}

impl Fence {
    /// No limit.
    pub fn none() -> Self {
        Self::default()
    }

    /// A folder and all that is in it.
    pub fn around(folder: &Path) -> Self {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        Self { root: Some(folder.into()) }
    }

    /// The project of a document: `folder`; where the document lies outside of that, the project that it lies in, or else its own folder.
    pub fn of(document: &Path, folder: Option<&Path>) -> Self {
        match folder.map(Self::around) {
            Some(project) if project.admits(document).is_ok() => project,
            _ => {
                let own = document.parent().unwrap_or(Path::new(""));
                let whole = std::path::absolute(own).map_or_else(|_| own.to_owned(), |own| without_dots(&own));
                Self::around(whole.ancestors().find(|folder| folder.join(PROJECT).is_file()).unwrap_or(own))
            }
        }
    }

    /// Whether a path stays inside: by its name, and by where links lead.
    ///
    /// # Errors
    /// It leaves the folder, or is not there.
    pub fn admits(&self, path: &Path) -> Result<(), InputError> {
        let Some(root) = &self.root else { return Ok(()) };
        let outside = || InputError::Outside(root.to_path_buf());
        // First by its name, so that what lies outside is not even looked for.
        let written = |path: &Path| std::path::absolute(path).map(|path| without_dots(&path));
        if !matches!((written(path), written(root)), (Ok(path), Ok(root)) if path.starts_with(&root)) {
            return Err(outside());
        }
        let leads_to = path.canonicalize()?;
        let root = root.canonicalize().map_err(|_| outside())?;
        if leads_to.starts_with(root) { Ok(()) } else { Err(outside()) }
    }

    /// Opens a regular file inside, of at most `most` bytes.
    ///
    /// # Errors
    /// See [`InputError`].
    pub fn open(&self, path: &Path, most: u64) -> Result<File, InputError> {
        self.admits(path)?;
        let file = open(path, most)?;
        let Some(root) = &self.root else { return Ok(file) };
        // A link may have been put there since: what counts is the file that is open now.
        let opened = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        if opened.starts_with(root.canonicalize()?) { Ok(file) } else { Err(InputError::Outside(root.to_path_buf())) }
    }

    /// Reads a regular file inside, of at most `most` bytes.
    ///
    /// # Errors
    /// See [`InputError`].
    pub fn read(&self, path: &Path, most: u64) -> Result<Vec<u8>, InputError> {
        all(self.open(path, most)?, most)
    }
}

/// A path with its `.` and `..` worked off, by name alone.
fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn only_regular_files_of_bounded_size_are_opened() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        let _socket = UnixListener::bind(at("socket")).expect("a socket");
        std::fs::write(at("five"), "12345").expect("a file");
        std::os::unix::fs::symlink(at("pipe"), at("link")).expect("a link");
        std::fs::write(at("binary"), [0xff]).expect("a file");
        let why = |path: &Path| read(path, 4).expect_err("it is refused").to_string();
        assert_eq!(why(&at("pipe")), "it is a pipe, not a regular file");
        assert_eq!(why(&at("link")), "it is a pipe, not a regular file");
        assert_eq!(why(&at("socket")), "it is a socket, not a regular file");
        assert_eq!(why(Path::new("/dev/zero")), "it is a device, not a regular file");
        assert_eq!(why(folder.path()), "it is a folder, not a regular file");
        assert_eq!(why(&at("five")), "it is larger than 0 KiB");
        // It says that it is empty.
        assert_eq!(why(Path::new("/proc/self/maps")), "it is larger than 0 KiB");
        assert_eq!(read(&at("five"), 5).expect("it fits"), b"12345");
        assert!(matches!(text(&at("binary"), 4), Err(InputError::NotText)));
        assert!(matches!(read(&at("nothing"), 4), Err(InputError::Io(_))));
    }

    #[test]
    fn a_fence_is_left_neither_by_name_nor_by_a_link() {
        let folder = tempfile::tempdir().expect("a folder");
        let (inside, outside) = (folder.path().join("project"), folder.path().join("other"));
        for folder in [&inside, &outside] {
            std::fs::create_dir(folder).expect("a folder");
            std::fs::write(folder.join("file"), "x").expect("a file");
        }
        std::os::unix::fs::symlink(&outside, inside.join("link")).expect("a link");
        let fence = Fence::around(&inside);
        assert_eq!(fence.read(&inside.join("file"), 9).expect("it is inside"), b"x");
        for path in ["../other/file", "link/file", "../project/../other/file"] {
            let refused = fence.read(&inside.join(path), 9).expect_err(path);
            assert!(matches!(refused, InputError::Outside(_)), "{path}: {refused}");
        }
        assert!(Fence::none().read(&outside.join("file"), 9).is_ok());
        // A document outside the project has its own folder for one.
        let own = Fence::of(&outside.join("file"), Some(&inside));
        assert!(own.admits(&outside.join("file")).is_ok() && own.admits(&inside.join("file")).is_err());
        assert!(Fence::of(&inside.join("file"), Some(folder.path())).admits(&outside.join("file")).is_ok());
        std::fs::write(inside.join(PROJECT), "").expect("a file");
        let around = inside.join("../other/file");
        assert!(Fence::of(&around, None).admits(&around).is_ok(), "it is in no project");
        std::fs::remove_file(inside.join(PROJECT)).expect("ours");
        // One in another project has that one.
        std::fs::create_dir(outside.join("scenarios")).expect("a folder");
        std::fs::write(outside.join(PROJECT), "").expect("a file");
        let theirs = Fence::of(&outside.join("scenarios/x.yaml"), Some(&inside));
        assert!(theirs.admits(&outside.join("file")).is_ok() && theirs.admits(&inside.join("file")).is_err());
    }
}
