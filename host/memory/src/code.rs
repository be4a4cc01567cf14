//! Source code: cut between what stands at the margin, and told what the rest stands under.

use crate::cut::{LONGEST, Section};

/// A context is at most so long.
const CONTEXT: usize = 160;

/// Blocks that begin at the margin, several small ones together. A block that is too long for a passage is told by its first
/// line in each of its passages.
pub(crate) fn sections(text: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for (start, end) in blocks(text) {
        let long = end - start > LONGEST;
        match sections.last_mut() {
            Some(last) if last.context.is_empty() && !long && end - last.range.start <= LONGEST => last.range.end = end,
            _ => {
                let context = if long { signature(&text[start..end]) } else { String::new() };
                sections.push(Section { range: start..end, context, lines: true });
            }
        }
    }
    sections.retain(|section| !text[section.range.clone()].trim().is_empty());
    sections
}

/// Where blocks begin and end: at a line at the margin that comes after an empty one.
fn blocks(text: &str) -> Vec<(usize, usize)> {
    let (mut blocks, mut start, mut at, mut empty) = (Vec::new(), 0, 0, false);
    for line in text.split_inclusive('\n') {
        let margin = !line.starts_with([' ', '\t', '\n', '\r', '}', ')', ']']);
        if empty && margin && at > start {
            blocks.push((start, at));
            start = at;
        }
        empty = line.trim().is_empty();
        at += line.len();
    }
    blocks.push((start, text.len()));
    blocks
}

/// The first line at the margin that is no remark and no attribute.
fn signature(block: &str) -> String {
    const REMARKS: [&str; 7] = ["//", "#[", "/*", "*", "@", "--", "\"\"\""];
    let remark = |line: &str| REMARKS.iter().any(|mark| line.starts_with(mark)) || line.starts_with("# ");
    let line = block.lines().map(str::trim).find(|line| !line.is_empty() && !remark(line)).unwrap_or_default();
    line[..line.floor_char_boundary(CONTEXT)].trim_end_matches(['{', ':', ' ']).to_owned()
}
