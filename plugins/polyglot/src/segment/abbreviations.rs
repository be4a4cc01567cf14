//! Abbreviations that end with a full stop and end no sentence.

pub(super) struct Abbreviations {
    words: &'static [&'static str],
    /// Whether a number with a full stop is an ordinal: `am 3. Oktober`.
    ordinals: bool,
}

/// By language: what may stand before a capital letter in the middle of a sentence. What often ends one, as `etc.` does,
/// is left out: Unicode's rules go on after it where a small letter follows.
const KNOWN: [(&str, bool, &[&str]); 24] = [
    (
        "en",
        false,
        &[
            "Dr", "Mr", "Mrs", "Ms", "Mx", "Prof", "St", "Jr", "Sr", "Rev", "Hon", "Gen", "Col", "Capt", "Lt", "Sgt",
            "Gov", "Sen", "Rep", "Pres", "vs", "e.g", "i.e", "cf", "No", "Nos", "Vol", "Fig", "Figs", "Eq", "pp", "ca",
            "approx", "Mt", "Ft", "Messrs", "Mme", "viz", "al",
        ],
    ),
    (
        "de",
        true,
        &[
            "Dr", "Prof", "Hr", "Fr", "Frl", "z.B", "z", "d.h", "d", "bzw", "ca", "Nr", "Nrn", "St", "Str", "u.a", "u",
            "v.a", "v", "i", "ggf", "evtl", "inkl", "exkl", "vgl", "s.o", "s.u", "sog", "Abs", "Art", "Bd", "Kap",
            "Abb", "Tab", "Tel", "Mio", "Mrd", "Jh", "Jhd", "geb", "gest", "max", "min", "Dipl", "Ing", "Med", "med",
            "phil", "jur", "B", "h", "a",
        ],
    ),
    (
        "nl",
        false,
        &[
            "dr", "prof", "dhr", "mevr", "mw", "mr", "ir", "ing", "drs", "bijv", "o.a", "d.w.z", "nr", "blz", "ca",
            "vgl", "St", "resp", "jl",
        ],
    ),
    (
        "fr",
        false,
        &[
            "M", "MM", "Mme", "Mlle", "Dr", "Pr", "Me", "Mgr", "St", "Ste", "p.ex", "p", "cf", "fig", "art", "chap",
            "vol", "env", "av", "apr", "bd", "tél", "no", "n",
        ],
    ),
    (
        "es",
        false,
        &[
            "Sr", "Sra", "Srta", "Sres", "Dr", "Dra", "D", "Dña", "Prof", "Ud", "Uds", "Vd", "p.ej", "p", "pág",
            "págs", "núm", "art", "cap", "fig", "vol", "Av", "Avda", "c", "St", "Sto", "Sta", "tel", "aprox", "EE",
        ],
    ),
    (
        "pt",
        false,
        &[
            "Sr", "Sra", "Srta", "Dr", "Dra", "Prof", "Profa", "Exmo", "Exma", "p.ex", "p", "pág", "págs", "núm",
            "art", "cap", "fig", "vol", "Av", "R", "Sto", "Sta", "tel", "aprox", "D",
        ],
    ),
    (
        "it",
        false,
        &[
            "Sig", "sig", "Sigg", "Sig.ra", "sig.ra", "Dott", "dott", "Dr", "Prof", "prof", "Ing", "ing", "Avv", "avv",
            "On", "pag", "pagg", "cap", "fig", "vol", "art", "p.es", "p", "ca", "tel", "S", "SS", "Spett", "Gent", "n",
        ],
    ),
    (
        "ca",
        false,
        &["Sr", "Sra", "Dr", "Dra", "Prof", "p.ex", "pàg", "núm", "art", "cap", "fig", "vol", "Av", "tel", "St", "Sta"],
    ),
    (
        "ro",
        false,
        &[
            "Dl", "D-l", "dl", "Dna", "D-na", "dr", "Dr", "Prof", "prof", "ing", "nr", "pag", "art", "str", "bd", "ex",
            "Sf", "tel",
        ],
    ),
    (
        "sv",
        false,
        &[
            "dr", "Dr", "prof", "Prof", "t.ex", "t", "bl.a", "s.k", "d.v.s", "kl", "ca", "nr", "st", "jfr", "fig",
            "kap", "St",
        ],
    ),
    (
        "da",
        true,
        &[
            "dr", "Dr", "prof", "Prof", "f.eks", "bl.a", "dvs", "kl", "ca", "nr", "hr", "Hr", "fr", "Fr", "jf", "fig",
            "kap", "St", "Skt",
        ],
    ),
    (
        "nb",
        true,
        &["dr", "Dr", "prof", "Prof", "f.eks", "bl.a", "dvs", "kl", "ca", "nr", "hr", "fr", "jf", "fig", "kap", "St"],
    ),
    ("fi", true, &["esim", "mm", "ns", "tri", "prof", "toht", "nro", "ks", "vrt", "klo", "n", "puh", "St"]),
    ("et", true, &["dr", "prof", "hr", "pr", "nt", "nr", "lk", "st", "vt", "u", "tel"]),
    (
        "hu",
        true,
        &["dr", "Dr", "prof", "Prof", "pl", "ún", "kb", "stb", "ill", "u", "Szt", "özv", "ifj", "id", "old", "tel"],
    ),
    (
        "pl",
        false,
        &[
            "dr", "Dr", "prof", "Prof", "hab", "inż", "mgr", "np", "tzw", "tzn", "tj", "m.in", "ul", "al", "pl", "nr",
            "str", "św", "ok", "ks", "gen", "płk", "por", "tel", "p",
        ],
    ),
    (
        "cs",
        true,
        &[
            "dr", "Dr", "prof", "Prof", "Ing", "Mgr", "Bc", "MUDr", "např", "tzv", "tj", "sv", "č", "čís", "str", "ul",
            "nám", "tř", "mj", "cca", "tel", "r", "p",
        ],
    ),
    (
        "sk",
        true,
        &[
            "dr", "Dr", "prof", "Prof", "Ing", "Mgr", "Bc", "MUDr", "napr", "tzv", "t.j", "sv", "č", "čís", "str",
            "ul", "nám", "cca", "tel", "r", "p",
        ],
    ),
    (
        "sl",
        true,
        &["dr", "Dr", "prof", "Prof", "mag", "npr", "t.i", "tj", "sv", "št", "str", "ul", "ga", "g", "tel", "ok"],
    ),
    (
        "hr",
        true,
        &["dr", "Dr", "prof", "Prof", "mr", "npr", "tzv", "tj", "sv", "br", "str", "ul", "gđa", "g", "tel", "oko"],
    ),
    (
        "tr",
        true,
        &[
            "Dr", "Prof", "Doç", "Yrd", "Av", "Sn", "Bay", "Cad", "Sok", "Mah", "Apt", "No", "örn", "vb", "bkz", "yy",
            "Hz", "Tel",
        ],
    ),
    (
        "ru",
        false,
        &[
            "г", "гг", "ул", "пр", "д", "кв", "стр", "рис", "табл", "им", "проф", "акад", "доц", "св", "т.е", "т",
            "т.н", "напр", "см", "тел", "млн", "млрд", "тыс", "руб", "обл", "о",
        ],
    ),
    (
        "uk",
        false,
        &[
            "р", "рр", "вул", "пр", "буд", "кв", "стор", "рис", "табл", "ім", "проф", "акад", "доц", "св", "напр",
            "див", "тел", "млн", "млрд", "тис", "грн", "обл", "м", "с",
        ],
    ),
    (
        "id",
        false,
        &["Dr", "dr", "Prof", "Ir", "H", "Hj", "Jl", "Jln", "No", "Tn", "Ny", "Sdr", "hlm", "dll", "Kab", "Kec"],
    ),
];

impl Abbreviations {
    /// Those of a language, `de` for `de-AT`; none if it is not known.
    pub(super) fn of(language: &str) -> Option<Self> {
        let code = language.split(['-', '_']).next()?.to_lowercase();
        let code = if code == "no" { "nb" } else { &code };
        let (_, ordinals, words) = KNOWN.iter().find(|(known, ..)| *known == code)?;
        Some(Self { words, ordinals: *ordinals })
    }

    /// Whether `word`, with a full stop after it, ends no sentence before `after`.
    pub(super) fn knows(&self, before: &str, word: &str, after: &str) -> bool {
        let number = (1..=2).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_digit());
        // A short word such as `am` or `der` stands before an ordinal, and a word after it: `Nr. 5. Danach` has none.
        let last = before.trim_end().rsplit(char::is_whitespace).next().unwrap_or_default();
        let short = (1..=4).contains(&last.chars().count())
            && last.chars().enumerate().all(|(at, c)| c.is_lowercase() || (at == 0 && c.is_uppercase()));
        (self.ordinals && number && short && after.starts_with(char::is_alphabetic))
            || self.words.contains(&word)
            || self.begins(word)
    }

    /// At the beginning of a sentence the abbreviation has a capital.
    fn begins(&self, word: &str) -> bool {
        let mut letters = word.chars();
        let Some(first) = letters.next().filter(|c| c.is_uppercase()) else {
            return false;
        };
        let small: String = first.to_lowercase().chain(letters).collect();
        small.chars().count() > 1 && self.words.contains(&small.as_str())
    }
}
