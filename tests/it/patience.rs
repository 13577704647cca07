//! Programs that a test waits for, but not for ever: one that hangs would take the whole run of the tests with it, and nobody would
//! know which it was.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::Read;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Longer than any suite takes on a busy machine.
pub const SUITE: Duration = Duration::from_secs(25 * 60);
/// Longer than any run of a few scenarios takes there.
pub const RUN: Duration = Duration::from_secs(12 * 60);
/// For whoever is asked to end: faults are undone, `finally` is run.
const END: Duration = Duration::from_secs(90);

/// What came out of a pipe until now.
struct Pipe {
    bytes: Arc<Mutex<Vec<u8>>>,
    /// Disconnected once the last one who may write to it has ended.
    open: Receiver<()>,
}

impl Pipe {
    fn read(mut pipe: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let (sender, open) = channel();
        let read = Arc::clone(&bytes);
        std::thread::spawn(move || {
            let _open = sender;
            let mut buffer = [0; 8192];
            while let Ok(count @ 1..) = pipe.read(&mut buffer) {
                read.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..count]);
            }
        });
        Self { bytes, open }
    }

    fn is_closed_by(&self, deadline: Instant) -> bool {
        let rest = deadline.saturating_duration_since(Instant::now());
        self.open.recv_timeout(rest) == Err(RecvTimeoutError::Disconnected)
    }

    fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Runs a program to its end and gives what it printed. One that does not end is asked to, then killed, and the test fails with what it
/// had printed.
#[track_caller]
pub fn output(command: &mut Command, limit: Duration) -> Output {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let out = Pipe::read(child.stdout.take().expect("a pipe"));
    let err = Pipe::read(child.stderr.take().expect("a pipe"));
    let closed = |limit: Duration| {
        let deadline = Instant::now() + limit;
        out.is_closed_by(deadline) && err.is_closed_by(deadline)
    };
    let in_time = closed(limit);
    if !in_time {
        let _ = kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM);
        closed(END);
        let _ = child.kill();
    }
    let status = child.wait().expect("its end");
    let output = Output { status, stdout: out.bytes(), stderr: err.bytes() };
    let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        in_time,
        "it did not end within {limit:?}, and was ended by the test: {command:?}\n{}\n{}",
        told(&output.stdout),
        told(&output.stderr)
    );
    output
}

#[test]
fn what_hangs_is_ended_and_told() {
    let quick = output(Command::new("sh").args(["-c", "echo done; echo wrong >&2"]), RUN);
    assert_eq!((quick.stdout, quick.stderr), (b"done\n".to_vec(), b"wrong\n".to_vec()));
    let hangs = std::panic::catch_unwind(|| {
        output(Command::new("sh").args(["-c", "echo begun; exec sleep 600"]), Duration::from_millis(200));
    });
    let told = hangs.expect_err("it fails").downcast::<String>().expect("a text");
    assert!(told.contains("did not end") && told.contains("begun"), "{told}");
}
