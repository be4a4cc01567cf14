//! Markdown: a section for each heading, which stands under the headings above it.

use crate::cut::Section;

/// A context is at most so long: headings are titles, and no place for text.
const CONTEXT: usize = 200;

/// A section for each heading, and one for what comes before the first.
pub(crate) fn sections(text: &str) -> Vec<Section> {
    let mut sections = Vec::new();
    let (mut above, mut start, mut at) = (Vec::<(usize, &str)>::new(), 0, 0);
    let mut context = String::new();
    let mut fence: Option<&str> = None;
    let mut before: Option<(usize, &str)> = None;
    for line in text.split_inclusive('\n') {
        let (here, bare) = (at, line.trim());
        at += line.len();
        if let Some(mark) = fence_mark(bare) {
            fence = match fence {
                None => Some(mark),
                Some(open) if bare.starts_with(open) => None,
                open => open,
            };
            before = None;
            continue;
        }
        let found = match (fence, heading(line), before) {
            (Some(_), ..) => None,
            (None, Some((level, title)), _) => Some((here, level, title)),
            // A line under a line makes that a heading.
            (None, None, Some((begin, title))) => underlined(bare).map(|level| (begin, level, title)),
            _ => None,
        };
        before = (!bare.is_empty() && fence.is_none()).then_some((here, bare));
        let Some((begin, level, title)) = found else { continue };
        sections.push(Section { range: start..begin, context: std::mem::take(&mut context), lines: false });
        above.retain(|(other, _)| *other < level);
        context = joined(&above);
        above.push((level, title));
        (start, before) = (begin, None);
    }
    sections.push(Section { range: start..text.len(), context, lines: false });
    sections.retain(|section| !text[section.range.clone()].trim().is_empty());
    sections
}

fn joined(above: &[(usize, &str)]) -> String {
    let titles: Vec<_> = above.iter().map(|(_, title)| *title).collect();
    let mut joined = titles.join(" > ");
    joined.truncate(joined.floor_char_boundary(CONTEXT));
    joined
}

fn heading(line: &str) -> Option<(usize, &str)> {
    // Four spaces make it code.
    let indent = line.len() - line.trim_start_matches(' ').len();
    let bare = line.trim();
    let level = bare.bytes().take_while(|byte| *byte == b'#').count();
    let title = &bare[level..];
    let good = indent < 4 && (1..=6).contains(&level) && (title.is_empty() || title.starts_with([' ', '\t']));
    good.then(|| (level, title.trim().trim_end_matches('#').trim_end()))
}

fn underlined(bare: &str) -> Option<usize> {
    let all = |mark: u8| bare.len() >= 3 && bare.bytes().all(|byte| byte == mark);
    match () {
        () if all(b'=') => Some(1),
        () if all(b'-') => Some(2),
        () => None,
    }
}

fn fence_mark(bare: &str) -> Option<&'static str> {
    ["```", "~~~"].into_iter().find(|mark| bare.starts_with(mark))
}
