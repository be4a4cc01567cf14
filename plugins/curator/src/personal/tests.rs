use serde_json::{Value, json};

use super::*;
use crate::chance::Chance;

fn all(text: &str) -> Vec<Finding> {
    find(text, &[], &[]).expect("it is a valid request")
}

fn found(text: &str) -> Vec<(Kind, String)> {
    all(text).into_iter().map(|one| (one.kind, one.text)).collect()
}

/// That exactly this is found, whatever stands around it.
fn only(kind: Kind, number: &str) {
    for (before, after) in [("", ""), ("see ", " please"), ("(", ")"), ("x: ", "."), ("„", "“, ok"), ("a\n", "\nb 7")]
    {
        let text = format!("{before}{number}{after}");
        let end = before.len() + number.len();
        let hits = all(&text);
        // A parenthesis around a number may be taken for its own.
        assert!(hits.len() == 1 && hits[0].kind == kind, "{text:?}: {hits:?}");
        assert!(
            hits[0].start <= before.len() && hits[0].end >= end && hits[0].text.len() <= number.len() + 1,
            "{text:?}: {hits:?}"
        );
    }
}

#[test]
fn the_examples_of_the_iban_registry_are_found_and_no_digit_of_them_can_change() {
    for iban in [
        "GB29 NWBK 6016 1331 9268 19",
        "DE89370400440532013000",
        "FR14 2004 1010 0505 0001 3M02 606",
        "NO93 8601 1117 947",
        "MT84MALT011000012345MTLCAST001S",
        "CH93 0076 2011 6238 5295 7",
        "NL91 ABNA 0417 1643 00",
        "ES91 2100 0418 4502 0005 1332",
        "SA03 8000 0000 6080 1016 7519",
        "BR1800360305000010009795493C1",
        "LC55HEMM000100010012001200023015",
        "PL61 1090 1014 0000 0712 1981 2874",
        "SE45 5000 0000 0583 9825 7466",
        "BE68 5390 0754 7034",
        "AT61 1904 3002 3457 3201",
        "IT60X0542811101000000123456",
    ] {
        only(Kind::Iban, iban);
        for (at, digit) in iban.char_indices().filter(|(_, c)| c.is_ascii_digit()) {
            let other = (digit as u8 - b'0' + 1) % 10 + b'0';
            let broken = format!("{}{}{}", &iban[..at], char::from(other), &iban[at + 1..]);
            assert!(found(&broken).iter().all(|hit| hit.0 != Kind::Iban), "{broken}");
        }
    }
}

#[test]
fn the_card_brands_own_test_numbers_are_found() {
    for card in [
        "4111 1111 1111 1111",
        "4012888888881881",
        "5555-5555-5555-4444",
        "5105105105105100",
        "2223 0031 2200 3222",
        "3782 822463 10005",
        "371449635398431",
        "6011111111111117",
        "3530 1113 3330 0000",
        "3056 930902 5904",
    ] {
        only(Kind::Card, card);
    }
    assert_eq!(found("4111 1111 1111 1112"), []);
    assert_eq!(found("0000 0000 0000 0000"), []);
    assert_eq!(all("4111 1111 1111 1111")[0].detail, "Visa");
}

#[test]
fn published_examples_of_national_numbers_are_found() {
    for number in [
        "86 095 742 719",
        "756.9217.0769.85",
        "11010519491231002X",
        "12345678Z",
        "X1234567L",
        "131052-308T",
        "2 55 08 14 168 025 38",
        "255081416802538",
        "RSSMRA85T10A562S",
        "111.444.777-35",
        "85.07.30-033.28",
        "811228-9874",
        "15108695088",
        "123-45-6789",
        "AB 12 34 56 C",
    ] {
        only(Kind::NationalId, number);
    }
    for named in [
        "PESEL 44051401359",
        "BSN: 111222333",
        "NHS number: 943 476 5919",
        "Aadhaar 2341 2341 2346",
        "Steueridentifikationsnummer 47036892816",
        "CPF 11144477735",
        "SSN 123456789",
    ] {
        let hits = found(named);
        assert!(hits.len() == 1 && hits[0].0 == Kind::NationalId, "{named}: {hits:?}");
    }
    // Without the word, a number that one in ten passes is nothing.
    for bare in ["44051401359", "111222333", "2341 2341 2346", "47036892816", "11144477735", "123456789"] {
        assert_eq!(found(bare), [], "{bare}");
    }
    // Never given out: no area 666, no group 00, no month 13, no name that begins with QQ.
    for never in
        ["666-45-6789", "123-00-6789", "900-45-6789", "811328-9874", "QQ 12 34 56 C", "12345678A", "131052-308U"]
    {
        assert_eq!(found(never), [], "{never}");
    }
}

#[test]
fn phone_numbers_are_found_as_they_are_spelt() {
    for phone in [
        "+44 20 7946 0958",
        "+44 (0)20 7946 0958",
        "+442079460958",
        "020 7946 0958",
        "07700 900123",
        "(0161) 496 0000",
        "+1 212 555 0123",
        "+1 (212) 555-0123",
        "(212) 555-0123",
        "212-555-0123",
        "1-800-356-9377",
        "+33 1 23 45 67 89",
        "01 23 45 67 89",
        "06.12.34.56.78",
        "+49 30 12345678",
        "+49 (0) 151 12345678",
        "0049 30 12345678",
        "030 12345678",
        "0151/12345678",
        "0151 - 12345678",
        "(0 30) 12 34 56 78",
        "+81 3-1234-5678",
        "+55 11 91234-5678",
        "+91 98765 43210",
        "+380 44 123 4567",
        "+44\u{a0}20\u{a0}7946\u{202f}0958",
    ] {
        only(Kind::Phone, phone);
    }
    for (text, phone) in [
        ("Tel. 12345678", "12345678"),
        ("phone: 5550123 (home)", "5550123"),
        ("Telefonnummer 0301234567", "0301234567"),
        ("Móvil: 612 345 678, Madrid", "612 345 678"),
        ("call 0123456789 now", "0123456789"),
    ] {
        assert_eq!(found(text), [(Kind::Phone, phone.to_owned())], "{text}");
    }
    assert_eq!(all("+44 20 7946 0958")[0].detail, "+44");
}

#[test]
fn email_and_machine_addresses_are_found_to_the_character() {
    for (text, kind, part) in [
        ("mailto:ada.lovelace+math@example.org", Kind::Email, "ada.lovelace+math@example.org"),
        ("<Bob O'Brien> 'bob.o'brien@mail.example.co.uk'.", Kind::Email, "bob.o'brien@mail.example.co.uk"),
        ("Schreib an jörg@bücher.example!", Kind::Email, "jörg@bücher.example"),
        ("почта: иван@пример.рф,", Kind::Email, "иван@пример.рф"),
        ("from=a_b@xn--bcher-kva.example&x=1", Kind::Email, "a_b@xn--bcher-kva.example"),
        ("at 192.168.1.17:8080 now", Kind::Ipv4, "192.168.1.17"),
        ("ping 8.8.8.8.", Kind::Ipv4, "8.8.8.8"),
        ("http://203.0.113.9/x", Kind::Ipv4, "203.0.113.9"),
        ("[2001:db8::8a2e:370:7334]:443", Kind::Ipv6, "2001:db8::8a2e:370:7334"),
        ("from 2001:0db8:85a3:0000:0000:8a2e:0370:7334, ok", Kind::Ipv6, "2001:0db8:85a3:0000:0000:8a2e:0370:7334"),
        ("listen on ::1.", Kind::Ipv6, "::1"),
        ("fe80::1ff:fe23:4567:890a%eth0", Kind::Ipv6, "fe80::1ff:fe23:4567:890a"),
    ] {
        assert_eq!(found(text), [(kind, part.to_owned())], "{text}");
    }
}

#[test]
fn dates_count_as_births_only_where_words_say_so() {
    for (text, date) in [
        ("Date of birth: 12/03/1985", "12/03/1985"),
        ("born on March 12, 1985 in Leeds", "March 12, 1985"),
        ("geb. 12.03.1985", "12.03.1985"),
        ("geboren am 3. Oktober 1990 in Ulm", "3. Oktober 1990"),
        ("née le 1er août 1977", "1 août 1977"),
        ("nacido el 5 de mayo de 1962", "5 de mayo de 1962"),
        ("\"birth_date\": \"1985-03-12\"", "1985-03-12"),
        ("родился 9 мая 1950", "9 мая 1950"),
    ] {
        let hits = found(text);
        assert!(hits.len() == 1 && hits[0].0 == Kind::BirthDate, "{text}: {hits:?}");
        assert_eq!(hits[0].1.replace("1er", "1"), date, "{text}");
    }
    for other in
        ["on 1985-03-12", "He was born in Ulm. The war began on 28.07.1914", "born 1985-13-45", "invoice 12.03.1985"]
    {
        assert_eq!(found(other), [], "{other}");
    }
}

#[test]
fn what_only_looks_like_it_is_left_alone() {
    for text in [
        "version 1.2.3.4, v10.0.19045.3803, release 4.18.0.1",
        "Mozilla/5.0 (X11) AppleWebKit/537.36 Chrome/120.0.0.0 Safari/537.36",
        "openssl-1.1.1.1 and 1.2.3.4-rc1; OID 1.3.6.1.4.1.311; section 3.2.1.4",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "da39a3ee5e6b4b0d3255bfef95601890afd80709 4123456789012345678901234567890123456789",
        "550e8400-e29b-41d4-a716-446655440000",
        "$1,234,567.89 and 1 234 567,89 € and EUR 12.345.678,90 and £ 020 7946",
        "ISBN 978-3-16-148410-0 and 0-306-40615-2, EAN 4006381333931, ISSN 0378-5955",
        "2024-01-15T10:22:33.123456Z, 01.02.2024 10:30, 15/01/2024 12:00:00, 20240115 102233",
        "1700000000000 1700000000000000 1700000000",
        "52.520008, 13.404954; 0.123456789; 3.14159265358979",
        "00:1A:2B:3C:4D:5E and 10:22:33 and ISO 27001:2022 and arXiv:2301.12345",
        "lodash@4.17.21 @types/node@20.10.0 git@github.com:org/repo.git https://u:p@host.example/x user@localhost",
        "std::vec::Vec<a::b>, de::ad, Foo::bar",
        "SKU-4111-1111-1111-1111-X, #4111111111111111, A4111111111111111, order_4111111111111111",
        "RFC 9110, 10 000 000 people, 1 000 000 000, scores 10-20-30, 1-2-3",
        "at 123456 a day; in 1234 567 890 cases; 100%",
        "PO 0123456789, No. 00123456789012",
    ] {
        assert_eq!(found(text), [], "{text}");
    }
}

#[test]
fn numbers_of_no_known_length_are_never_found_whatever_their_digits() {
    let mut chance = Chance::new(11);
    for _ in 0..30_000 {
        let long = 1 + chance.below(13) as usize;
        let number: String = (0..long).map(|_| char::from(b'0' + chance.below(10) as u8)).collect();
        let hits = all(&number);
        // Eleven and thirteen digits with the day of a birth and two check digits, or with a country's number, can be real.
        let real = |hit: &Finding| {
            hit.ground == Ground::Checked && (hit.detail.starts_with("NO") || hit.detail.starts_with("CH"))
        };
        assert!(hits.iter().all(real), "{number}: {hits:?}");
    }
}

#[test]
fn names_are_found_only_as_declared_and_as_whole_words() {
    let names =
        ["Ada Lovelace".to_owned(), "ada".to_owned(), "Jean-Luc".to_owned(), "Żółć".to_owned(), "李明".to_owned()];
    let text = "ADA\n LOVELACE met Ada, Canada and Adam; jean luc’s friend żółć, 李明 (Lovelace).";
    let hits = find(text, &[Kind::Name], &names).expect("it is a valid request");
    let texts: Vec<_> = hits.iter().map(|hit| hit.text.as_str()).collect();
    assert_eq!(texts, ["ADA\n LOVELACE", "Ada", "jean luc", "żółć", "李明"]);
}

#[test]
fn offsets_are_exact_in_bytes_and_in_characters() {
    let pieces = ["👩‍👩‍👧 né ", "Straße ", "日本語 ", "e\u{301}té ", "שלום ", "a ", "\r\n", "🇩🇪 "];
    let planted =
        ["ada@example.org", "+44 20 7946 0958", "DE89 3704 0044 0532 0130 00", "10.1.2.3", "jörg@bücher.example"];
    let mut chance = Chance::new(5);
    for _ in 0..300 {
        let mut text = String::new();
        let mut expected = Vec::new();
        for _ in 0..chance.below(12) {
            text.push_str(pieces[chance.below(pieces.len() as u64) as usize]);
            if chance.below(2) == 0 {
                let plant = planted[chance.below(planted.len() as u64) as usize];
                expected.push((text.len(), plant));
                text.push_str(plant);
                text.push_str(", ");
            }
        }
        let hits = all(&text);
        assert_eq!(hits.iter().map(|hit| (hit.start, hit.text.as_str())).collect::<Vec<_>>(), expected, "{text:?}");
        for hit in hits {
            assert_eq!(text[hit.start..hit.end], hit.text);
            let characters: String =
                text.chars().skip(hit.start_character).take(hit.end_character - hit.start_character).collect();
            assert_eq!(characters, hit.text);
        }
    }
}

#[test]
fn no_text_of_odd_pieces_makes_it_fail() {
    let pieces = [
        "@",
        "+",
        "00",
        "(0",
        ")",
        ".",
        ":",
        "::",
        "1",
        "é",
        "DE89",
        "geb. ",
        "2A",
        "\u{a0}",
        "-",
        "𝟙",
        "/",
        "March ",
        "999999999999",
        " €",
        "’",
    ];
    let mut chance = Chance::new(23);
    for _ in 0..20_000 {
        let text: String = (0..chance.below(14)).map(|_| pieces[chance.below(pieces.len() as u64) as usize]).collect();
        let hits = find(&text, &[], &["é".to_owned()]).expect("it is a valid request");
        assert!(hits.windows(2).all(|pair| pair[0].end <= pair[1].start), "{text:?}: {hits:?}");
    }
}

#[test]
fn a_large_text_of_numbers_takes_no_time_to_speak_of() {
    for piece in ["12 34 ", "1", "a@b.", "DE89 3704 ", "2001:db8:", "AB 12 "] {
        let text = piece.repeat((1 << 16) / piece.len());
        let begun = std::time::Instant::now();
        all(&text);
        // Far above what it takes; a search that is quadratic takes minutes.
        assert!(begun.elapsed().as_secs() < 20, "{piece}: {:?}", begun.elapsed());
    }
}

#[test]
fn what_is_wrong_is_named_and_what_is_too_much_is_unsupported() {
    let ask = |request: Value| answer(serde_json::from_value(request).expect("it is of the right shape"));
    let refused = |request| ask(request).err().expect("it is refused");
    assert!(
        matches!(refused(json!({"text": "", "kinds": ["name"]})), Error::Invalid { field, .. } if field == "names")
    );
    assert!(
        matches!(refused(json!({"text": "", "names": ["a", " "]})), Error::Invalid { field, .. } if field == "names[1]")
    );
    assert!(matches!(refused(json!({"text": "a".repeat(MOST_TEXT + 1)})), Error::Unsupported(_)));
    assert!(serde_json::from_value::<Request>(json!({"text": "", "kinds": ["passport"]})).is_err());

    let told = ask(json!({"text": "a@b.example, c@d.example, 8.8.8.8", "kinds": ["email"]})).expect("it is valid");
    assert_eq!(serde_json::to_value(told.counts).expect("plain"), json!([{"kind": "email", "count": 2}]));
}
