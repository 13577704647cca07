//! A program run to its end, and what it took.

use crate::Outcome;
use nix::sys::resource::{UsageWho, getrusage};
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How often a running program's memory is looked at. The kernel keeps the peak, so only what is added within the last
/// such interval can be missed.
const LOOK: Duration = Duration::from_millis(10);

/// What a program took, from its start to its end.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// User and system time of all its threads, in µs.
    pub cpu_us: f64,
    /// Peak of its resident memory (`VmHWM`), in MiB.
    pub peak_mib: f64,
    /// Both of its outputs.
    pub text: String,
}

/// Runs a program and waits for its end. No other child of this process may end meanwhile: the CPU time is what the
/// kernel adds to the account of this process's children.
///
/// A program has done its work if it says so by its exit code, or if `done` finds it in what it wrote.
pub fn run(mut command: Command, done: impl Fn(&str) -> bool) -> Outcome<Taken> {
    let shown = shown(&command);
    let before = children_cpu_us()?;
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let readers = [std::thread::spawn(move || text(out.as_mut())), std::thread::spawn(move || text(err.as_mut()))];
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kib = 0;
    let ended = loop {
        if let Some(ended) = child.try_wait()? {
            break ended;
        }
        peak_kib = peak_kib.max(peak(&status).unwrap_or(0));
        std::thread::sleep(LOOK);
    };
    let text: String = readers.into_iter().map(|reader| reader.join().unwrap_or_default()).collect();
    if !ended.success() && !done(&text) {
        return Err(format!("{shown}\nended with {ended}:\n{text}").into());
    }
    Ok(Taken { cpu_us: children_cpu_us()? - before, peak_mib: peak_kib as f64 / 1024.0, text })
}

/// A command as one would type it, with the class path left out.
pub fn shown(command: &Command) -> String {
    let mut words = vec![name(command.get_program())];
    let mut arguments = command.get_args();
    while let Some(argument) = arguments.next() {
        if argument == "-cp" {
            arguments.next();
            words.extend(["-cp".to_owned(), "'libs/*'".to_owned()]);
        } else if !argument.to_string_lossy().starts_with("-Dlog4j") {
            words.push(argument.to_string_lossy().into_owned());
        }
    }
    words.join(" ")
}

fn name(program: &std::ffi::OsStr) -> String {
    std::path::Path::new(program).file_name().unwrap_or(program).to_string_lossy().into_owned()
}

fn text(pipe: Option<&mut impl Read>) -> String {
    let mut bytes = Vec::new();
    // What a program that fails has not written cannot be shown.
    let _ = pipe.map(|pipe| pipe.read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The peak of a running process's memory, in MiB; 0 where it has ended.
pub fn peak_mib(process: u32) -> f64 {
    peak(&format!("/proc/{process}/status")).unwrap_or(0) as f64 / 1024.0
}

fn peak(status: &str) -> Option<u64> {
    let text = std::fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The CPU time of all children that have ended, in µs.
pub fn children_cpu_us() -> Outcome<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let us = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 * 1e6 + time.tv_usec() as f64;
    Ok(us(usage.user_time()) + us(usage.system_time()))
}
