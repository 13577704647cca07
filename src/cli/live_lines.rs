//! The live lines of a terminal: one for each running step, below everything that stays.

use super::Output;
use crate::record::unit::clock;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

/// How often a line is drawn again: often enough for a clock, too seldom to flicker.
const TICK: Duration = Duration::from_millis(125);

/// Lines that are drawn again and again.
pub struct LiveLines {
    output: Output,
    lines: MultiProgress,
    bars: BTreeMap<String, ProgressBar>,
    width: usize,
}

impl LiveLines {
    /// No lines yet; none ever where the output is no terminal.
    pub fn new(output: Output) -> Self {
        let target = if output.terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { output, lines: MultiProgress::with_draw_target(target), bars: BTreeMap::new(), width: 0 }
    }

    /// A step begins. `planned` is the time, in seconds, that the scenario fixes for it.
    pub fn start(&mut self, id: &str, text: &str, planned: Option<f64>) {
        let bar = self.lines.add(ProgressBar::new_spinner());
        bar.set_style(self.style(planned));
        // A column for the ids, as wide as the longest so far.
        self.width = self.width.max(id.chars().count());
        bar.set_message(text.to_owned());
        self.bars.insert(id.to_owned(), bar);
        for (id, bar) in &self.bars {
            bar.set_prefix(format!("{id:width$}", width = self.width));
        }
        if let Some(bar) = self.bars.get(id) {
            bar.enable_steady_tick(TICK);
        }
    }

    /// A step is prepared: its planned time begins.
    pub fn prepared(&self, id: &str) {
        if let Some(bar) = self.bars.get(id) {
            bar.reset_elapsed();
        }
    }

    /// What a step has to say now.
    pub fn say(&self, id: &str, text: String) {
        if let Some(bar) = self.bars.get(id) {
            bar.set_message(text);
        }
    }

    /// A step has ended: its line goes.
    pub fn end(&mut self, id: &str) {
        if let Some(bar) = self.bars.remove(id) {
            bar.finish_and_clear();
            self.lines.remove(&bar);
        }
        if self.bars.is_empty() {
            self.width = 0;
        }
    }

    /// No line stays.
    pub fn clear(&mut self) {
        for (_, bar) in std::mem::take(&mut self.bars) {
            bar.finish_and_clear();
        }
    }

    /// Prints a permanent line above the live ones.
    pub fn above(&self, text: &str) {
        // The bars' own line writer is silent where nothing is drawn.
        self.lines.suspend(|| self.output.line(text));
    }

    fn style(&self, planned: Option<f64>) -> ProgressStyle {
        // What does not fit in the terminal's width is cut off, so that a line stays a line.
        let template = if self.output.color {
            "  {spinner:.cyan} {prefix:.bold}  {time:9.dim}  {wide_msg}"
        } else {
            "  {spinner} {prefix}  {time:9}  {wide_msg}"
        };
        let ticks = self.output.symbol("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ", "-\\|/ ");
        let total = planned.map(|planned| clock(planned.round() as u64));
        let time = move |state: &ProgressState, text: &mut dyn Write| {
            let elapsed = clock(state.elapsed().as_secs());
            // Writing into a text cannot fail.
            let _ = match &total {
                Some(total) => write!(text, "{elapsed} of {total}"),
                None => write!(text, "{elapsed}"),
            };
        };
        ProgressStyle::with_template(template)
            .unwrap_or_else(|_| ProgressStyle::default_spinner())
            .with_key("time", time)
            .tick_chars(ticks)
    }
}
