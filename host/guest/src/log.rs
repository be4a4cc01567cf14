//! An agent's own log: what it wrote last, within its budget.

use crate::rate::{Exceeded, Rate};
use crate::redact::Redactor;
use parking_lot::Mutex;
use runtime::{Held, Quota, clock};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The `log` import, by level.
    Trace,
    /// See above.
    Debug,
    /// See above.
    Info,
    /// See above.
    Warn,
    /// See above.
    Error,
    /// The standard output.
    Stdout,
    /// The standard error.
    Stderr,
}

impl Source {
    /// As it is written before a line.
    pub fn word(self) -> &'static str {
        match self {
            Source::Trace => "trace",
            Source::Debug => "debug",
            Source::Info => "info",
            Source::Warn => "warn",
            Source::Error => "error",
            Source::Stdout => "stdout",
            Source::Stderr => "stderr",
        }
    }
}

/// One line of a log.
#[derive(Debug, Clone)]
pub struct Line {
    /// When it was written.
    pub time: SystemTime,
    /// Where it came from.
    pub source: Source,
    /// The text, without its line break.
    pub text: String,
}

/// The last lines that an agent wrote.
pub(crate) struct Log {
    rate: Arc<Rate>,
    /// Whether the agent was granted a log. Without it only what explains a fault is kept.
    open: bool,
    /// Takes the agent's secrets out of what is kept.
    redactor: Arc<Redactor>,
    kept: Mutex<Kept>,
}

struct Kept {
    lines: VecDeque<Line>,
    /// What the lines take, counted as memory of the agent.
    held: Held,
    /// Lines that had to go since the log was last read.
    dropped: u64,
    /// The end of the standard error, for explaining a fault.
    tail: VecDeque<u8>,
    /// The unfinished last lines of the standard output and error.
    parts: [String; 2],
}

/// A log keeps at most this much.
const MOST: u64 = 256 << 10;

/// And this much of the standard error for explaining a fault.
const TAIL: usize = 2 << 10;

/// What a line is counted as beside its text.
const LINE: u64 = 64;

/// A longer line is cut.
pub(crate) const LONGEST: usize = 16 << 10;

impl Log {
    pub(crate) fn new(
        rate: Arc<Rate>,
        open: bool,
        memory: Arc<Quota>,
        redactor: Arc<Redactor>,
    ) -> Result<Log, runtime::Full> {
        let held = memory.hold(TAIL as u64)?;
        let kept = Kept { lines: VecDeque::new(), held, dropped: 0, tail: VecDeque::new(), parts: Default::default() };
        Ok(Log { rate, open, redactor, kept: Mutex::new(kept) })
    }

    /// Appends a line, if the rate allows it.
    pub(crate) fn write(&self, source: Source, text: &str) -> Result<(), Exceeded> {
        let text = cut(text);
        self.rate.take(text.len() as u64 + 1, clock::now())?;
        self.kept.lock().push(source, self.redactor.text(text).into_owned());
        Ok(())
    }

    /// Appends bytes of a standard stream whose room was asked for with [`Log::room`]. They become lines.
    pub(crate) fn stream(&self, source: Source, bytes: &[u8]) {
        // Several streams may have been told of the same room: what they write beyond it is owed.
        self.rate.spend(bytes.len() as u64, clock::now());
        let mut kept = self.kept.lock();
        if source == Source::Stderr {
            kept.tail.extend(bytes);
            let excess = kept.tail.len().saturating_sub(TAIL);
            kept.tail.drain(..excess);
        }
        if self.open {
            kept.split(source, &String::from_utf8_lossy(bytes), &self.redactor);
        }
    }

    /// Bytes of a standard stream that the rate allows now.
    pub(crate) fn room(&self) -> usize {
        usize::try_from(self.rate.left(clock::now())).unwrap_or(usize::MAX)
    }

    /// How long until there is room for about `bytes`.
    pub(crate) fn wait(&self, bytes: u64) -> Duration {
        self.rate.wait(bytes, clock::now())
    }

    /// The lines that are kept, and how many had to go; they are kept no longer.
    pub(crate) fn drain(&self) -> (Vec<Line>, u64) {
        let mut kept = self.kept.lock();
        for source in [Source::Stdout, Source::Stderr] {
            let part = std::mem::take(kept.part(source));
            if !part.is_empty() {
                kept.push(source, self.redactor.text(&part).into_owned());
            }
        }
        let _ = kept.held.resize(TAIL as u64);
        (kept.lines.drain(..).collect(), std::mem::take(&mut kept.dropped))
    }

    /// The end of the standard error; it is kept no longer.
    pub(crate) fn take_tail(&self) -> String {
        let tail: Vec<u8> = self.kept.lock().tail.drain(..).collect();
        self.redactor.text(String::from_utf8_lossy(&tail).trim()).into_owned()
    }

    pub(crate) fn rate(&self) -> &Arc<Rate> {
        &self.rate
    }
}

impl Kept {
    fn push(&mut self, source: Source, text: String) {
        let bytes = text.len() as u64 + LINE;
        // A full log makes room at its beginning; so does a full memory.
        while self.held.bytes() + bytes > MOST || self.held.resize(self.held.bytes() + bytes).is_err() {
            let Some(oldest) = self.lines.pop_front() else {
                self.dropped += 1;
                return;
            };
            let _ = self.held.resize(self.held.bytes() - oldest.text.len() as u64 - LINE);
            self.dropped += 1;
        }
        self.lines.push_back(Line { time: SystemTime::now(), source, text });
    }

    fn part(&mut self, source: Source) -> &mut String {
        &mut self.parts[usize::from(source == Source::Stderr)]
    }

    fn split(&mut self, source: Source, text: &str, redactor: &Redactor) {
        let mut rest = text;
        while let Some((line, after)) = rest.split_once('\n') {
            let mut whole = std::mem::take(self.part(source));
            whole.push_str(line);
            self.push(source, cut(&redactor.text(&whole)).into());
            rest = after;
        }
        self.part(source).push_str(rest);
        if self.part(source).len() > LONGEST {
            let part = std::mem::take(self.part(source));
            self.push(source, cut(&redactor.text(&part)).into());
        }
    }
}

/// At most the longest line there may be, cut at a character.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(rate: u64, memory: u64) -> (Log, Arc<Quota>) {
        let quota = Quota::new(memory);
        (
            Log::new(Rate::new(rate, None, clock::now()), true, quota.clone(), Arc::default()).expect("there is room"),
            quota,
        )
    }

    #[test]
    fn a_flood_is_refused_with_the_time_to_wait() {
        let (log, _) = log(1000, 1 << 20);
        assert_eq!(log.write(Source::Info, &"x".repeat(999)), Ok(()));
        let refused = log.write(Source::Info, "y").expect_err("the second is used up");
        assert!(refused.after.is_some_and(|after| after <= 2_000_000));
        assert_eq!(log.drain().0.len(), 1);
    }

    #[test]
    fn old_lines_go_when_memory_is_short() {
        let (log, memory) = log(1 << 20, 4096);
        for n in 0..100 {
            log.write(Source::Info, &format!("{n:050}")).expect("within the rate");
        }
        assert!(memory.used() <= 4096);
        let (lines, dropped) = log.drain();
        assert_eq!(lines.len() as u64 + dropped, 100);
        assert!(lines.len() < 30 && lines[lines.len() - 1].text.ends_with("99"));
        assert_eq!(memory.used(), TAIL as u64);
    }

    #[test]
    fn streams_become_lines() {
        let (log, _) = log(1 << 20, 1 << 20);
        log.stream(Source::Stdout, b"one\ntw");
        log.stream(Source::Stderr, b"oops");
        log.stream(Source::Stdout, b"o\nthree");
        let (lines, _) = log.drain();
        let texts: Vec<_> = lines.iter().map(|line| (line.source.word(), line.text.as_str())).collect();
        assert_eq!(texts, [("stdout", "one"), ("stdout", "two"), ("stdout", "three"), ("stderr", "oops")]);
        assert_eq!(log.take_tail(), "oops");
    }

    #[test]
    fn a_shut_log_keeps_only_what_explains_a_fault() {
        let log = Log::new(Rate::new(1000, None, clock::now()), false, Quota::new(1 << 20), Arc::default())
            .expect("there is room");
        log.stream(Source::Stderr, b"panicked at src/lib.rs\n");
        assert!(log.drain().0.is_empty());
        assert_eq!(log.take_tail(), "panicked at src/lib.rs");
    }
}
