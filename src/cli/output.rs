//! Where text goes: people read stderr, data goes to stdout.

use super::Exit;
use crate::text::{Problem, Redactor, for_terminal, harmless_json, render, told};
use clap::ValueEnum;
use std::borrow::Cow;
use std::io::{IsTerminal, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether requested data could not be written. A command has one standard output.
static UNWRITTEN: AtomicBool = AtomicBool::new(false);
/// What nothing may show. A command has one project.
static HIDDEN: OnceLock<Redactor> = OnceLock::new();

/// A text without what nothing may show.
fn shown(text: &str) -> Cow<'_, str> {
    HIDDEN.get().map_or(Cow::Borrowed(text), |hidden| hidden.text(text))
}

/// A variable of the environment that says something.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether the terminal only writes one line after the other.
fn is_dumb() -> bool {
    variable("TERM").is_some_and(|term| term == "dumb")
}

/// Whether colour is wanted where it goes.
fn takes_color(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && !is_dumb() && variable("NO_COLOR").is_none()
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How text may look.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// Whether colour may be used on stderr.
    pub color: bool,
    /// Whether stderr is a terminal that can redraw lines.
    pub terminal: bool,
    /// Whether symbols beyond ASCII may be used.
    pub unicode: bool,
}

impl Output {
    /// Looks at the terminal and the environment.
    pub fn new(color: Color) -> Self {
        let terminal = std::io::stderr().is_terminal() && !is_dumb();
        let unicode = ["LC_ALL", "LC_CTYPE", "LANG"]
            .iter()
            .find_map(|name| variable(name))
            .is_some_and(|locale| locale.to_lowercase().replace('-', "").contains("utf8"));
        let color = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => takes_color(&std::io::stderr()),
        };
        Self { color, terminal, unicode }
    }

    /// From now on these are hidden in all that is printed: a server may repeat in its answer what it was sent.
    pub fn hide(redactor: Redactor) {
        // The first project is the only one.
        let _ = HIDDEN.set(redactor);
    }

    /// Prints problems for people: of each file no more than somebody reads.
    pub fn problems(&self, problems: &[Problem]) {
        let (told, more) = told(problems);
        self.line(render(&told, self.color).trim_end());
        if told.len() + more > 1 {
            self.line(&format!("\n{} problems", told.len() + more));
        }
    }

    /// Prints problems for programs, each as one line of JSON: as many as for people.
    pub fn problems_as_json(&self, problems: &[Problem]) {
        for problem in told(problems).0 {
            // A problem holds texts and numbers only.
            self.json(&serde_json::to_string(&problem).unwrap_or_default());
        }
    }

    /// Prints why a command line is not understood, or the help that it asks for. It may repeat anything that stood in an argument.
    pub fn refusal(error: &clap::Error) -> Exit {
        let text = error.render();
        let painted = |color: bool| {
            for_terminal(&if color { text.ansi().to_string() } else { text.to_string() }, color).into_owned()
        };
        if error.use_stderr() {
            // Where stderr is closed there is nobody to tell.
            let _ = write!(std::io::stderr().lock(), "{}", painted(takes_color(&std::io::stderr())));
            return Exit::Usage;
        }
        let mut out = std::io::stdout().lock();
        match write!(out, "{}", painted(takes_color(&out))).and_then(|()| out.flush()) {
            Ok(()) => Exit::Pass,
            Err(_) => Exit::Broken,
        }
    }

    /// Prints a line for people. Whatever it is made of, no control sequence but kscen's own colours reaches the terminal.
    pub fn line(&self, text: &str) {
        // Where stderr is closed there is nobody to tell.
        let _ = writeln!(std::io::stderr().lock(), "{}", for_terminal(&shown(text), self.color));
    }

    /// Prints the last lines of a log: hidden together, as a secret may go on from one line to the next.
    pub fn excerpt(&self, lines: &[String]) {
        let mut lines = lines.to_vec();
        if let Some(hidden) = HIDDEN.get() {
            hidden.last_lines(&mut lines.iter_mut().collect::<Vec<_>>());
        }
        lines.iter().for_each(|line| self.line(&format!("  | {line}")));
    }

    /// Prints requested data for people.
    pub fn data(&self, text: &str) {
        self.raw(&for_terminal(&shown(text), self.color));
    }

    /// Prints requested JSON for programs. It says the same whatever stands in it, and no control sequence in a text reaches a terminal.
    pub fn json(&self, text: &str) {
        self.raw(&harmless_json(&shown(text)));
    }

    /// Prints requested data for programs, byte by byte. Where that fails, the command has failed: see [`unwritten`](Self::unwritten).
    fn raw(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
            UNWRITTEN.store(true, Ordering::Relaxed);
        }
    }

    /// Whether requested data could not be written: the disk is full, or whoever read it has closed the pipe.
    pub fn unwritten() -> bool {
        UNWRITTEN.load(Ordering::Relaxed)
    }

    /// A text in a colour of the terminal: 31 red, 32 green, 33 yellow, 36 cyan, 2 dim, 1 bold.
    pub fn paint(&self, code: u8, text: &str) -> String {
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// The Unicode symbol, or its ASCII fallback.
    pub fn symbol<'a>(&self, unicode: &'a str, ascii: &'a str) -> &'a str {
        if self.unicode { unicode } else { ascii }
    }
}
