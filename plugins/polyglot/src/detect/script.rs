//! Scripts, and the languages that have one to themselves.

/// The scripts that are told apart here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Script {
    /// No letter, or of a script that is not known here.
    Common,
    Latin,
    Cyrillic,
    Greek,
    Armenian,
    Hebrew,
    Arabic,
    Devanagari,
    Bengali,
    Gurmukhi,
    Gujarati,
    Oriya,
    Tamil,
    Telugu,
    Kannada,
    Malayalam,
    Sinhala,
    Thai,
    Lao,
    Tibetan,
    Myanmar,
    Georgian,
    Ethiopic,
    Khmer,
    Hangul,
    /// Chinese characters, where no Japanese letters stand among them.
    Han,
    /// Hiragana and katakana, and the Chinese characters among them.
    Japanese,
}

use Script::*;

/// A script, its code, and the ranges of characters that belong to it.
type Block = (Script, &'static str, &'static [(u32, u32)]);

/// The blocks of Unicode with each script's everyday letters.
const RANGES: [Block; 27] = [
    (Common, "Zyyy", &[]),
    (
        Latin,
        "Latn",
        &[
            (0x41, 0x5a),
            (0x61, 0x7a),
            (0xaa, 0xaa),
            (0xba, 0xba),
            (0xc0, 0xd6),
            (0xd8, 0xf6),
            (0xf8, 0x24f),
            (0x1e00, 0x1eff),
        ],
    ),
    (Cyrillic, "Cyrl", &[(0x400, 0x52f)]),
    (Greek, "Grek", &[(0x370, 0x3ff), (0x1f00, 0x1fff)]),
    (Armenian, "Armn", &[(0x531, 0x58a)]),
    (Hebrew, "Hebr", &[(0x5d0, 0x5f4)]),
    (
        Arabic,
        "Arab",
        &[(0x620, 0x65f), (0x66e, 0x6d5), (0x6e5, 0x6ff), (0x750, 0x77f), (0xfb50, 0xfdff), (0xfe70, 0xfeff)],
    ),
    (Devanagari, "Deva", &[(0x900, 0x963), (0x970, 0x97f)]),
    (Bengali, "Beng", &[(0x980, 0x9e5), (0x9f0, 0x9ff)]),
    (Gurmukhi, "Guru", &[(0xa01, 0xa65), (0xa70, 0xa7f)]),
    (Gujarati, "Gujr", &[(0xa81, 0xae5)]),
    (Oriya, "Orya", &[(0xb01, 0xb65)]),
    (Tamil, "Taml", &[(0xb82, 0xbe5)]),
    (Telugu, "Telu", &[(0xc00, 0xc65)]),
    (Kannada, "Knda", &[(0xc80, 0xce5)]),
    (Malayalam, "Mlym", &[(0xd00, 0xd65)]),
    (Sinhala, "Sinh", &[(0xd81, 0xdf4)]),
    (Thai, "Thai", &[(0xe01, 0xe4e)]),
    (Lao, "Laoo", &[(0xe81, 0xecd)]),
    (Tibetan, "Tibt", &[(0xf40, 0xfbc)]),
    (Myanmar, "Mymr", &[(0x1000, 0x103f), (0x104c, 0x109f)]),
    (Georgian, "Geor", &[(0x10a0, 0x10ff), (0x1c90, 0x1cbf)]),
    (Ethiopic, "Ethi", &[(0x1200, 0x135f)]),
    (Khmer, "Khmr", &[(0x1780, 0x17d3)]),
    (Hangul, "Hang", &[(0x1100, 0x11ff), (0x3131, 0x318e), (0xac00, 0xd7a3)]),
    (Han, "Hani", &[(0x3400, 0x4dbf), (0x4e00, 0x9fff), (0xf900, 0xfaff), (0x20000, 0x2fa1f)]),
    (Japanese, "Jpan", &[(0x3041, 0x309f), (0x30a1, 0x30ff), (0xff66, 0xff9d)]),
];

/// Scripts that one language among those known here is written in, with its code and name.
pub(super) const LONE: [(Script, &str, &str); 22] = [
    (Greek, "el", "Greek"),
    (Armenian, "hy", "Armenian"),
    (Hebrew, "he", "Hebrew"),
    (Bengali, "bn", "Bengali"),
    (Gurmukhi, "pa", "Punjabi"),
    (Gujarati, "gu", "Gujarati"),
    (Oriya, "or", "Odia"),
    (Tamil, "ta", "Tamil"),
    (Telugu, "te", "Telugu"),
    (Kannada, "kn", "Kannada"),
    (Malayalam, "ml", "Malayalam"),
    (Sinhala, "si", "Sinhala"),
    (Thai, "th", "Thai"),
    (Lao, "lo", "Lao"),
    (Tibetan, "bo", "Tibetan"),
    (Myanmar, "my", "Burmese"),
    (Georgian, "ka", "Georgian"),
    (Ethiopic, "am", "Amharic"),
    (Khmer, "km", "Khmer"),
    (Hangul, "ko", "Korean"),
    (Han, "zh", "Chinese"),
    (Japanese, "ja", "Japanese"),
];

impl Script {
    /// None for what is no letter, or of a script that is not known here.
    pub(super) fn of(c: char) -> Option<Self> {
        let code = u32::from(c);
        let known = RANGES.iter().find(|(.., ranges)| ranges.iter().any(|(from, to)| (*from..=*to).contains(&code)));
        known.map(|(script, ..)| *script)
    }

    pub(super) fn code(self) -> &'static str {
        RANGES.iter().find(|(script, ..)| *script == self).map_or("Zyyy", |(_, code, _)| code)
    }

    /// Whether both are written in one text of one language.
    pub(super) fn mingles(self, other: Self) -> bool {
        let east = |script| matches!(script, Han | Japanese | Hangul);
        self == other || (east(self) && east(other))
    }
}

pub(super) fn letters(text: &str) -> usize {
    text.chars().filter(|c| Script::of(*c).is_some()).count()
}

/// The scripts of a text with their shares of its letters, largest first.
pub(super) fn shares(text: &str) -> Vec<(Script, f64)> {
    let mut counts: Vec<(Script, usize)> = Vec::new();
    for script in text.chars().filter_map(Script::of) {
        match counts.iter_mut().find(|(known, _)| *known == script) {
            Some((_, count)) => *count += 1,
            None => counts.push((script, 1)),
        }
    }
    // Chinese characters among Japanese or Korean letters belong to them.
    let of = |script| counts.iter().find(|(known, _)| *known == script).map_or(0, |(_, count)| *count);
    let (han, kana, hangul) = (of(Han), of(Japanese), of(Hangul));
    let host = if kana * 10 > han {
        Some(Japanese)
    } else if hangul > han {
        Some(Hangul)
    } else {
        None
    };
    if let Some(host) = host.filter(|_| han > 0) {
        counts.retain(|(script, _)| *script != Han);
        if let Some((_, count)) = counts.iter_mut().find(|(script, _)| *script == host) {
            *count += han;
        }
    }
    let sum: usize = counts.iter().map(|(_, count)| count).sum();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.into_iter().map(|(script, count)| (script, count as f64 / sum as f64)).collect()
}
