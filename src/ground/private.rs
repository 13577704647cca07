//! Files and folders that only their owner may read, whatever the umask: results, reports, journals and caches hold names, addresses
//! and data of the systems under test.

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Mode of a file.
const FILE: u32 = 0o600;
/// Mode of a folder.
const FOLDER: u32 = 0o700;

/// Makes a folder with all that it lies in. What is there already stays as it is.
///
/// # Errors
/// Where one of them cannot be made.
pub fn create_dir_all(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER).create(folder)
}

/// Makes a folder that is not there yet.
///
/// # Errors
/// Where it is there, or cannot be made.
pub fn create_dir(folder: &Path) -> io::Result<()> {
    DirBuilder::new().mode(FOLDER).create(folder)
}

/// Closes a file or folder to others that something else has made.
///
/// # Errors
/// Where it is not there, or somebody else's.
pub fn close(path: &Path) -> io::Result<()> {
    let mode = if std::fs::symlink_metadata(path)?.is_dir() { FOLDER } else { FILE };
    std::fs::set_permissions(path, Permissions::from_mode(mode))
}

/// How a file of its own is opened: add what is to be done with it.
pub fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(FILE);
    options
}

/// Creates a file, or empties the one that is there and closes it to others.
///
/// # Errors
/// Where it cannot be opened for writing.
pub fn create(path: &Path) -> io::Result<File> {
    let file = options().write(true).create(true).truncate(true).open(path)?;
    file.set_permissions(Permissions::from_mode(FILE))?;
    Ok(file)
}

/// Whether what is written to this path goes into something that stays what it is: a device, a pipe, an open stream such as
/// `/dev/stdout`. Regular files are replaced; where nothing is, one is made.
///
/// # Errors
/// A folder; a link, which is not followed: what it leads to is named itself, or not meant.
pub fn is_stream(path: &Path) -> io::Result<bool> {
    let kind = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        told => told?.file_type(),
    };
    if kind.is_dir() {
        return Err(io::Error::new(ErrorKind::IsADirectory, "it is a folder"));
    }
    if kind.is_symlink() && !is_own_stream(path) {
        let target = std::fs::read_link(path)?;
        let reason = format!("it is a link to {}, and links are not followed: name the file itself", target.display());
        return Err(io::Error::new(ErrorKind::InvalidInput, reason));
    }
    Ok(!kind.is_file())
}

/// Whether a link stands for a stream that this process has open.
fn is_own_stream(link: &Path) -> bool {
    let streams = PathBuf::from(format!("/proc/{}/fd", std::process::id()));
    let below = |path: &Path| {
        path.parent().and_then(|folder| folder.canonicalize().ok()).is_some_and(|folder| folder == streams)
    };
    below(link) || std::fs::read_link(link).is_ok_and(|target| below(&target))
}

/// Opens a file that is appended to: one that is there, a new one, or a stream.
///
/// # Errors
/// See [`is_stream`]; where it cannot be opened, such as a pipe that nobody reads.
pub fn append(path: &Path) -> io::Result<File> {
    if !is_stream(path)? {
        return options().create(true).append(true).open(path);
    }
    // A pipe without a reader would be waited for.
    let flags = (OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits();
    let file = OpenOptions::new().append(true).custom_flags(flags).open(path)?;
    let set = OFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GETFL)?);
    fcntl(&file, FcntlArg::F_SETFL(set - OFlag::O_NONBLOCK))?;
    Ok(file)
}

/// Writes a file in one step: a reader sees the former or the new one, never half of it. What is no regular file is not replaced: a
/// stream is written to, see [`is_stream`]. Returns its length in bytes.
///
/// # Errors
/// Where it cannot be written as a whole; then the former one is still there. See [`is_stream`].
pub fn replace(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<u64> {
    if is_stream(path)? {
        let mut bytes = Vec::new();
        write(&mut bytes)?;
        append(path)?.write_all(&bytes)?;
        return Ok(bytes.len() as u64);
    }
    let folder = super::folder_of(path);
    // Temporary files are their owner's alone.
    let mut file = tempfile::Builder::new().prefix(".kscen-new-").tempfile_in(folder)?;
    {
        let mut writer = io::BufWriter::new(&mut file);
        write(&mut writer)?;
        writer.flush()?;
    }
    let length = file.as_file().metadata()?.len();
    file.persist(path)?;
    Ok(length)
}

/// An error that names the file.
pub fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::fs::FileTypeExt;

    fn put(path: &Path) -> io::Result<u64> {
        replace(path, |writer| writer.write_all(b"new"))
    }

    /// As root a rename would make regular files of `/dev/full` and of whatever a link or a pipe was.
    #[test]
    fn nothing_but_a_regular_file_is_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        assert_eq!(put(&at("file")).expect("made"), 3);
        std::fs::write(at("file"), "former").expect("ours");
        put(&at("file")).expect("replaced");
        assert_eq!(std::fs::read(at("file")).expect("there"), b"new");
        let full = put(Path::new("/dev/full")).expect_err("it is full");
        assert_eq!(full.raw_os_error(), Some(libc::ENOSPC), "{full}");
        assert_eq!(put(Path::new("/dev/null")).expect("it takes all"), 3);
        for device in ["/dev/full", "/dev/null"] {
            assert!(std::fs::metadata(device).expect("there").file_type().is_char_device(), "{device}");
        }
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        assert_eq!(put(&at("pipe")).expect_err("nobody reads").raw_os_error(), Some(libc::ENXIO));
        let flags = OFlag::O_NONBLOCK.bits();
        let mut reader = OpenOptions::new().read(true).custom_flags(flags).open(at("pipe")).expect("a reader");
        put(&at("pipe")).expect("somebody reads");
        let mut read = [0; 3];
        reader.read_exact(&mut read).expect("written");
        assert!(&read == b"new" && std::fs::metadata(at("pipe")).expect("there").file_type().is_fifo());
        // Links are followed only where they stand for a stream that is open.
        for (link, target) in
            [("to-file", at("file")), ("to-nothing", at("nothing")), ("to-device", "/dev/null".into())]
        {
            std::os::unix::fs::symlink(target, at(link)).expect("a link");
            for refused in [put(&at(link)), append(&at(link)).map(|_| 0)] {
                let why = refused.expect_err(link).to_string();
                assert!(why.contains("links are not followed"), "{link}: {why}");
            }
            assert!(at(link).is_symlink(), "{link}");
        }
        assert!(!at("nothing").exists() && put(folder.path()).is_err());
        let (mut reader, writer) = io::pipe().expect("a pipe");
        let number = std::os::fd::AsRawFd::as_raw_fd(&writer);
        std::os::unix::fs::symlink(format!("/proc/self/fd/{number}"), at("stream")).expect("a link");
        put(&at("stream")).expect("open");
        drop(writer);
        let mut read = String::new();
        reader.read_to_string(&mut read).expect("written");
        assert_eq!(read, "new");
    }
}
