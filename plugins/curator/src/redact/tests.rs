use serde_json::{Value, json};

use super::*;

const TEXT: &str = "Ada Lovelace (geb. 10.12.1985, ada@example.org, +44 20 7946 0958) pays from DE89 3704 0044 0532 0130 00 \
    with 4111 1111 1111 1111 at 10.1.2.3 or 2001:db8::8a2e:370:7334; SSN 123-45-6789. Again: ADA@example.org, +442079460958.";
const KEY: &str = "an example secret";

fn ask(request: Value) -> Result<Answer, Error> {
    answer(serde_json::from_value(request).expect("it is of the right shape"))
}

fn redacted(how: &str) -> Answer {
    ask(json!({"text": TEXT, "names": ["Ada Lovelace"], "how": how, "key": KEY,
        "rules": [{"kind": "birth-date", "how": "label"}]}))
    .expect("it is valid")
}

#[test]
fn a_mask_keeps_length_and_punctuation_and_as_many_at_the_end_as_asked() {
    let told = ask(json!({"text": TEXT, "names": ["Ada Lovelace"], "mask": "•", "keep_last": 4})).expect("it is valid");
    assert_eq!(told.text.chars().count(), TEXT.chars().count());
    assert!(
        told.text.starts_with("••• ••••lace (geb. ••.••.1985, •••@••••••e.org, +•• •• •••• 0958) pays from"),
        "{}",
        told.text
    );
    assert!(told.text.contains("•••• •••• •••• •••• ••30 00 with •••• •••• •••• 1111 at"), "{}", told.text);
    // Half of it is hidden, however much is to be kept.
    let told = ask(json!({"text": "7 and 8.8.8.8", "keep_last": 100})).expect("it is valid");
    assert_eq!(told.text, "7 and *.*.8.8");
}

#[test]
fn nothing_that_was_found_is_left_whatever_becomes_of_it() {
    let before = find(TEXT, &[], &["Ada Lovelace".to_owned()]).expect("it is valid");
    assert_eq!(before.len(), 11);
    for how in ["mask", "drop", "label", "pseudonym", "stand-in"] {
        let told = redacted(how);
        assert_eq!(told.redactions.len(), before.len());
        for finding in &before {
            assert!(!told.text.contains(&finding.text), "{how}: {}", told.text);
        }
        let left = find(&told.text, &[], &["Ada Lovelace".to_owned()]).expect("it is valid");
        let checked: Vec<_> = left.iter().filter(|hit| hit.ground >= Ground::Listed).collect();
        assert!(checked.is_empty(), "{how}: {checked:?}");
        assert!(how == "stand-in" || left.is_empty(), "{how}: {left:?}");
    }
}

#[test]
fn what_stands_between_is_untouched_and_both_offsets_are_right() {
    for how in ["mask", "drop", "label", "pseudonym", "stand-in"] {
        let told = redacted(how);
        let (mut old, mut new) = (0, 0);
        for one in &told.redactions {
            assert_eq!(TEXT[old..one.start], told.text[new..one.new_start]);
            (old, new) = (one.end, one.new_end);
        }
        assert_eq!(TEXT[old..], told.text[new..]);
    }
}

#[test]
fn the_same_value_has_the_same_pseudonym_however_it_is_spelt_and_only_under_the_same_key() {
    let told = redacted("pseudonym");
    let new = |at: usize| &told.text[told.redactions[at].new_start..told.redactions[at].new_end];
    assert_eq!(new(2), new(9), "the address, in capitals");
    assert_eq!(new(3), new(10), "the phone number, without blanks");
    assert!(new(2).starts_with("[email ") && new(2).len() == "[email ]".len() + 10, "{}", new(2));
    let other =
        ask(json!({"text": "ada@example.org", "how": "pseudonym", "key": "another secret!!"})).expect("it is valid");
    assert_ne!(other.text, new(2));
}

#[test]
fn a_stand_in_has_the_kind_and_shape_and_is_nobodys() {
    let told = redacted("stand-in");
    let old = find(TEXT, &[], &["Ada Lovelace".to_owned()]).expect("it is valid");
    for (one, old) in told.redactions.iter().zip(&old) {
        let new = &told.text[one.new_start..one.new_end];
        match one.kind {
            Kind::Email => assert!(new.ends_with(".example")),
            Kind::Ipv4 => assert!(new.parse::<core::net::Ipv4Addr>().expect("an address").octets()[0] >= 240),
            Kind::Ipv6 => assert!(new.starts_with("2001:db8:") && new.parse::<core::net::Ipv6Addr>().is_ok()),
            Kind::Phone => assert!(new.starts_with("+99 9") || new.starts_with("+999"), "{new}"),
            Kind::BirthDate => assert_eq!(new, "[birth-date]"),
            _ => {
                let shape = |text: &str| {
                    text.chars()
                        .map(|c| {
                            if c.is_numeric() {
                                '9'
                            } else if c.is_alphabetic() {
                                'a'
                            } else {
                                c
                            }
                        })
                        .collect::<String>()
                };
                assert_eq!(shape(new), shape(&old.text));
            }
        }
    }
    // Addresses at one domain stay at one domain.
    let text =
        ask(json!({"text": "a@b.example c@b.example", "how": "stand-in", "key": KEY})).expect("it is valid").text;
    let domains: Vec<_> = text.split(' ').map(|one| one.rsplit('@').next()).collect();
    assert!(domains[0] == domains[1] && text.split(' ').next() != text.split(' ').nth(1), "{text}");
}

#[test]
fn the_code_of_the_keyed_hash_is_the_published_one() {
    // RFC 4231, cases 2 and 6: a short key, and one longer than a block.
    let hex = |bytes: [u8; 32]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(
        hex(hmac(b"Jefe", b"what do ya want for nothing?")),
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
    assert_eq!(
        hex(hmac(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First")),
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
    );
}

#[test]
fn what_is_wrong_is_named() {
    for (request, wrong) in [
        (json!({"text": "", "how": "pseudonym"}), "key"),
        (json!({"text": "", "rules": [{"kind": "email", "how": "stand-in"}]}), "key"),
        (json!({"text": "", "key": "short"}), "key"),
        (json!({"text": "", "mask": "**"}), "mask"),
        (json!({"text": "", "mask": "x"}), "mask"),
        (
            json!({"text": "", "rules": [{"kind": "email", "how": "drop"}, {"kind": "email", "how": "mask"}]}),
            "rules[1].kind",
        ),
    ] {
        assert!(matches!(ask(request), Err(Error::Invalid { field, .. }) if field == wrong), "{wrong}");
    }
    let birth = ask(json!({"text": "born 1985-03-12", "how": "stand-in", "key": KEY}));
    assert!(matches!(birth, Err(Error::Unsupported(text)) if text.contains("birth-date")));
}
