//! A text as the searches see it: its runs of digits, and the words before a place.

/// A text with its runs of digits.
pub(super) struct Text<'a> {
    pub(super) all: &'a str,
    pub(super) runs: Vec<Run>,
}

/// Groups of ASCII digits with one separator between each and the next: `020 7946 0958`, `4111-1111-1111-1111`.
pub(super) struct Run {
    /// First and last byte (exclusive) of each group.
    pub(super) groups: Vec<(usize, usize)>,
    /// A plus, a parenthesis or both stand right before the first group.
    pub(super) plus: bool,
    pub(super) opened: bool,
}

/// Some groups of a run that follow each other.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) text: &'a str,
    pub(super) groups: &'a [(usize, usize)],
}

/// What may stand between two groups, with narrow and non-breaking spaces and hyphens taken for plain ones.
const SEPARATORS: [&str; 11] = [" ", "-", ".", "/", ")", ") ", " (", ")-", " - ", " / ", "("];

impl<'a> Text<'a> {
    pub(super) fn new(all: &'a str) -> Self {
        Self { all, runs: runs(all) }
    }

    pub(super) fn before(&self, at: usize) -> Option<char> {
        self.all[..at].chars().next_back()
    }

    pub(super) fn after(&self, at: usize) -> Option<char> {
        self.all[at..].chars().next()
    }

    /// Whether one of the words stands among the last `reach` bytes before a place, in its line and sentence.
    ///
    /// Words of five letters and more may go on: `telefon` also stands for `Telefonnummer`.
    pub(super) fn says(&self, at: usize, words: &[&str], reach: usize) -> bool {
        let mut start = at.saturating_sub(reach);
        while !self.all.is_char_boundary(start) {
            start += 1;
        }
        // What is cut in two is no word.
        if self.before(start).is_some_and(char::is_alphanumeric) {
            let cut = self.all[start..at].find(|c: char| !c.is_alphanumeric());
            start = cut.map_or(at, |cut| start + cut);
        }
        let near = last_sentence(&self.all[start..at]).to_lowercase();
        near.split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .any(|word| words.iter().any(|known| word == *known || (known.len() > 4 && word.starts_with(known))))
    }

    /// Whether digits that end at these places stand for themselves, and are no part of a longer word or number.
    pub(super) fn stands_alone(&self, start: usize, end: usize) -> bool {
        let bound = |c: char| c.is_alphanumeric() || matches!(c, '_' | '%' | '#' | '@' | '\\') || money(c);
        let joint = |c: char, beyond: Option<char>| match c {
            '-' => beyond.is_some_and(char::is_alphanumeric),
            ',' | ':' | '.' | '/' | '\'' | '’' => beyond.is_some_and(|c| c.is_ascii_digit()),
            // A price, its currency sign set off by a space.
            c => c.is_whitespace() && beyond.is_some_and(money),
        };
        let joined = |c: Option<char>, beyond: &dyn Fn(usize) -> Option<char>| {
            c.is_some_and(|c| bound(c) || joint(c, beyond(c.len_utf8())))
        };
        !joined(self.before(start), &|len| self.before(start - len))
            && !joined(self.after(end), &|len| self.after(end + len))
    }

    /// Every part of a run of at most `most` groups that begins and ends where a space, or nothing, sets it off.
    pub(super) fn parts<'r>(&'r self, run: &'r Run, most: usize) -> impl Iterator<Item = Part<'r>> {
        let count = run.groups.len();
        let begins = move |at: usize| at == 0 || self.spaced(run, at - 1);
        let ends = move |at: usize| at + 1 == count || self.spaced(run, at);
        (0..count).filter(move |from| begins(*from)).flat_map(move |from| {
            (from..count.min(from + most)).filter(move |to| ends(*to)).map(move |to| self.part(run, from, to))
        })
    }

    pub(super) fn part<'r>(&'r self, run: &'r Run, from: usize, to: usize) -> Part<'r> {
        Part { text: self.all, groups: &run.groups[from..=to] }
    }

    fn spaced(&self, run: &Run, at: usize) -> bool {
        self.all[run.groups[at].1..run.groups[at + 1].0].chars().any(char::is_whitespace)
    }
}

impl Part<'_> {
    pub(super) fn start(&self) -> usize {
        self.groups[0].0
    }

    pub(super) fn end(&self) -> usize {
        self.groups[self.groups.len() - 1].1
    }

    pub(super) fn digits(&self) -> Vec<u8> {
        let all = self.groups.iter().flat_map(|group| self.text[group.0..group.1].bytes());
        all.map(|byte| byte - b'0').collect()
    }

    /// How many digits there are.
    pub(super) fn len(&self) -> usize {
        self.groups.iter().map(|group| group.1 - group.0).sum()
    }

    /// How many digits there are in each group.
    pub(super) fn shape(&self) -> Vec<usize> {
        self.groups.iter().map(|group| group.1 - group.0).collect()
    }

    /// What stands after each group but the last.
    pub(super) fn separators(&self) -> impl Iterator<Item = String> {
        self.groups.windows(2).map(|pair| plain(&self.text[pair[0].1..pair[1].0]))
    }

    /// Whether all separators are the same one of these.
    pub(super) fn parted_by(&self, allowed: &[&str]) -> bool {
        let mut separators = self.separators();
        let Some(first) = separators.next() else {
            return true;
        };
        allowed.contains(&first.as_str()) && separators.all(|other| other == first)
    }
}

/// What follows the last end of a line or of a sentence. A full stop ends one only before a capital: `geb. 1.2.1980`.
fn last_sentence(text: &str) -> &str {
    let mut start = 0;
    let mut before = ' ';
    let mut stopped = false;
    for (at, c) in text.char_indices() {
        if matches!(c, '\n' | '\r') || (stopped && c.is_uppercase()) {
            start = at;
        }
        stopped = matches!(before, '.' | '!' | '?' | ';') && c.is_whitespace();
        before = c;
    }
    &text[start..]
}

fn money(c: char) -> bool {
    matches!(c, '€' | '$' | '£' | '¥' | '₹')
}

fn plain(separator: &str) -> String {
    let plain = |c| match c {
        '\u{a0}' | '\u{2009}' | '\u{202f}' => ' ',
        '\u{2010}' | '\u{2011}' | '\u{2013}' => '-',
        c => c,
    };
    separator.chars().map(plain).collect()
}

fn runs(all: &str) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for group in groups(all) {
        if let Some(run) = runs.last_mut() {
            let last = run.groups[run.groups.len() - 1].1;
            // The longest separator has three characters of at most three bytes.
            let between = &all[last..group.0];
            if between.len() <= 9 && SEPARATORS.contains(&plain(between).as_str()) {
                run.groups.push(group);
                continue;
            }
        }
        let lead = &all[..group.0];
        let opened = lead.ends_with('(') || lead.ends_with("(+");
        runs.push(Run { groups: vec![group], plus: lead.ends_with('+') || lead.ends_with("+("), opened });
    }
    runs
}

fn groups(all: &str) -> Vec<(usize, usize)> {
    let mut groups: Vec<(usize, usize)> = Vec::new();
    for (at, _) in all.bytes().enumerate().filter(|(_, byte)| byte.is_ascii_digit()) {
        match groups.last_mut() {
            Some(last) if last.1 == at => last.1 += 1,
            _ => groups.push((at, at + 1)),
        }
    }
    groups
}
