//! Where languages put per cent and currency signs (CLDR 48), with currencies' narrow signs in English and minor digits.
//!
//! `#` is the number, `¤` the sign, `~` a blank that does not break, `>` and `<` marks of direction.

use icu_locale_core::Locale;
use icu_locale_core::extensions::unicode::key;

use super::Style;

/// Languages, or languages with a region, in one line if all their patterns are the same: per cent, currency, and currency
/// of a negative amount where that is not the former with a minus before it.
const PATTERNS: [(&str, &str, &str, Option<&str>); 18] = [
    (
        " af am cy en fil ga gu hi id ja kn ko ms si ta th ur zh bn-IN es-BO es-BR es-BZ es-CR es-CU es-DO es-GT es-HN \
         es-MX es-NI es-PA es-PR es-SV es-US pa ",
        "#%",
        "¤#",
        None,
    ),
    (" lo es-CL es-EC es-VE ", "#%", "¤#", Some("¤-#")),
    (" mn ne pt sw de-LI en-MV es-AR es-CO es-PE es-UY kk-CN ms-BN ta-MY ta-SG ", "#%", "¤~#", None),
    (" nl es-PY ", "#%", "¤~#", Some("¤~-#")),
    (" de-CH it-CH ", "#%", "¤~#", Some("¤-#")),
    (
        " az bg bs el et hu hy is it ka kk lv my pl sq sr uk uz vi pt-AO pt-CH pt-CV pt-GQ pt-GW pt-LU pt-MO pt-MZ pt-PT pt-ST \
         pt-TL ",
        "#%",
        "#~¤",
        None,
    ),
    (" be ca cs da de es fi fr gl hr lt mk nb ro ru sk sl sv ", "#~%", "#~¤", None),
    (" de-AT ", "#~%", "¤~#", None),
    (" es-GQ ", "#~%", "¤#", None),
    (" km ", "#%", "#¤", None),
    // Thousands of per cents are grouped in another way than other numbers.
    (" bn ", "", "#¤", None),
    (" te ", "", "¤#", None),
    (" tr ", "%#", "¤#", None),
    (" eu ", "%~#", "#~¤", None),
    (" ar ", "#>%>", "<#~¤", Some("<-#~¤")),
    (" he ", "#%", "<#~<¤", Some("<-#~<¤")),
    (" fa ", "#٪", ">¤#", None),
    // These differ from their language in ways not described here.
    (" en-AT en-DE en-DK en-FI en-NO en-SE fa-AF fr-CH ml mr pa-PK uz-AF ", "", "", None),
];

pub(super) struct Patterns {
    percent: &'static str,
    currency: &'static str,
    negative: Option<&'static str>,
    /// In Austria thousands of money are set apart by dots, other thousands by blanks.
    regrouped: bool,
}

impl Patterns {
    /// Those of the region, or else of the language; none if they are not known.
    pub(super) fn of(locale: &Locale) -> Option<Self> {
        let language = locale.id.language.to_string();
        // With other digits than its own, or than those of the region that is described here, a language has other signs.
        let digits = locale.extensions.unicode.keywords.contains_key(&key!("nu"));
        if digits || (language == "ar" && locale.id.region.is_some()) {
            return None;
        }
        let regional = locale.id.region.map(|region| format!(" {language}-{region} "));
        let find = |tag: &str| PATTERNS.iter().find(|(tags, ..)| tags.contains(tag));
        let found = regional.and_then(|tag| find(&tag)).or_else(|| find(&format!(" {language} ")))?;
        let (tags, percent, currency, negative) = *found;
        Some(Self { percent, currency, negative, regrouped: tags == " de-AT " })
    }

    pub(super) fn knows(&self, style: Style) -> bool {
        !(if style == Style::Percent { self.percent } else { self.currency }).is_empty()
    }

    pub(super) fn percent(&self, number: &str, minus: &str) -> String {
        put(self.percent, number, minus, "%")
    }

    pub(super) fn currency(&self, number: &str, minus: &str, sign: &str) -> String {
        let pattern = if minus.is_empty() { self.currency } else { self.negative.unwrap_or(self.currency) };
        // A sign that is letters is set off from the digits.
        let lettered = |c: Option<char>| c.is_some_and(|c| c.is_alphabetic() || c == '.');
        let pattern =
            if lettered(sign.chars().next_back()) { pattern.replace("¤#", "¤~#") } else { pattern.to_owned() };
        let pattern = if lettered(sign.chars().next()) { pattern.replace("#¤", "#~¤") } else { pattern };
        let number = if self.regrouped { number.replace('\u{a0}', ".") } else { number.to_owned() };
        put(&pattern, &number, minus, sign)
    }
}

/// Fills in a pattern; the minus goes to its place in it, or to the front.
fn put(pattern: &str, number: &str, minus: &str, sign: &str) -> String {
    let mut text = String::new();
    if !pattern.contains('-') {
        text.push_str(minus);
    }
    for c in pattern.chars() {
        match c {
            '#' => text.push_str(number),
            '-' => text.push_str(minus),
            '¤' | '%' => text.push_str(sign),
            '~' => text.push('\u{a0}'),
            '>' => text.push('\u{200e}'),
            '<' => text.push('\u{200f}'),
            c => text.push(c),
        }
    }
    text
}

/// Digits after the point; two unless it is listed here.
pub(super) fn minor_digits(code: &str) -> i16 {
    const NONE: &str = " AFN ALL BIF CLP COP DJF GNF HUF IDR IQD IRR ISK JPY KMF KPW KRW LAK LBP MGA MMK PKR PYG RWF SLL SOS SYP UGX \
        VND VUV XAF XOF XPF YER ";
    const THREE: &str = " BHD JOD KWD LYD OMR TND ";
    let code = format!(" {code} ");
    match (NONE.contains(&code), THREE.contains(&code)) {
        (true, _) => 0,
        (_, true) => 3,
        _ => 2,
    }
}

const DOLLARS: &str = " ARS AUD BBD BMD BND BSD BZD CAD CLP COP CUC CUP DOP FJD GYD HKD JMD KYD LRD MXN NAD NZD SBD SGD SRD TTD TWD \
    USD UYU XCD ";
const SIGNS: [(&str, &str); 71] = [
    ("EUR", "€"),
    ("GBP", "£"),
    ("JPY", "¥"),
    ("CNY", "¥"),
    ("INR", "₹"),
    ("RUB", "₽"),
    ("UAH", "₴"),
    ("TRY", "₺"),
    ("KRW", "₩"),
    ("KPW", "₩"),
    ("VND", "₫"),
    ("ILS", "₪"),
    ("NGN", "₦"),
    ("PHP", "₱"),
    ("THB", "฿"),
    ("KZT", "₸"),
    ("GEL", "₾"),
    ("AZN", "₼"),
    ("AMD", "֏"),
    ("MNT", "₮"),
    ("PYG", "₲"),
    ("CRC", "₡"),
    ("LAK", "₭"),
    ("KHR", "៛"),
    ("BDT", "৳"),
    ("AFN", "؋"),
    ("BRL", "R$"),
    ("NIO", "C$"),
    ("TOP", "T$"),
    ("GHS", "GH₵"),
    ("CZK", "Kč"),
    ("PLN", "zł"),
    ("DKK", "kr"),
    ("NOK", "kr"),
    ("SEK", "kr"),
    ("ISK", "kr"),
    ("HUF", "Ft"),
    ("RON", "lei"),
    ("BAM", "KM"),
    ("IDR", "Rp"),
    ("MYR", "RM"),
    ("ZAR", "R"),
    ("FKP", "£"),
    ("GIP", "£"),
    ("SHP", "£"),
    ("AOA", "Kz"),
    ("BOB", "Bs"),
    ("BWP", "P"),
    ("EGP", "E£"),
    ("GNF", "FG"),
    ("GTQ", "Q"),
    ("HNL", "L"),
    ("HRK", "kn"),
    ("KGS", "⃀"),
    ("KMF", "CF"),
    ("LBP", "L£"),
    ("LKR", "Rs"),
    ("MGA", "Ar"),
    ("MMK", "K"),
    ("MUR", "Rs"),
    ("NPR", "Rs"),
    ("PKR", "Rs"),
    ("RWF", "RF"),
    ("SSP", "£"),
    ("STN", "Db"),
    ("SYP", "£"),
    ("XAF", "FCFA"),
    ("XCG", "Cg."),
    ("XOF", "F\u{202f}CFA"),
    ("XPF", "CFPF"),
    ("ZMW", "ZK"),
];

/// The narrow sign in English, which nearly all languages share; the code itself for a currency without one.
pub(super) fn sign(code: &str) -> &str {
    if DOLLARS.contains(&format!(" {code} ")) {
        return "$";
    }
    SIGNS.iter().find(|(known, _)| *known == code).map_or(code, |(_, sign)| sign)
}
