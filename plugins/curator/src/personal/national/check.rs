//! The check digits of national numbers, each as its country publishes them.

use super::super::bank::luhn;
use crate::date::Date;

fn sum(digits: &[u8], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(digit, weight)| u32::from(*digit) * weight).sum()
}

fn value(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |value, digit| value * 10 + u64::from(*digit))
}

fn day(century: u64, digits: &[u8]) -> bool {
    let (year, month, day) = (value(&digits[..2]), value(&digits[2..4]), value(&digits[4..6]));
    Date::new((century + year) as i32, month as u32, day as u32).is_some()
}

fn all_same(digits: &[u8]) -> bool {
    digits.iter().all(|digit| *digit == digits[0])
}

/// The day of birth, a count, and 97 less the remainder; a 2 stands before it for those born from 2000 on.
pub(super) fn belgium(digits: &[u8]) -> bool {
    let (body, check) = (value(&digits[..9]), value(&digits[9..]));
    let old = day(1900, digits) && check == 97 - body % 97;
    old || (day(2000, digits) && check == 97 - (body + 2_000_000_000) % 97)
}

pub(super) fn brazil(digits: &[u8]) -> bool {
    let check = |count: usize| {
        let weights: Vec<u32> = (2..=count as u32 + 1).rev().collect();
        let rest = sum(&digits[..count], &weights) * 10 % 11;
        rest % 10 == u32::from(digits[count])
    };
    check(9) && check(10) && !all_same(digits)
}

/// 756 for the country, and the check digit of an EAN.
pub(super) fn switzerland(digits: &[u8]) -> bool {
    let weights: Vec<u32> = (0..13).map(|at| if at % 2 == 0 { 1 } else { 3 }).collect();
    digits.starts_with(&[7, 5, 6]) && sum(digits, &weights).is_multiple_of(10)
}

const CHINA: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];

pub(super) fn china(digits: &[u8]) -> bool {
    chinese(&digits[..17], u32::from(digits[17]))
}

/// The check digit ten is written as an X.
pub(super) fn china_letter(word: &[u8]) -> bool {
    let digits: Vec<u8> = word.iter().take_while(|byte| byte.is_ascii_digit()).map(|byte| byte - b'0').collect();
    word.len() == 18 && digits.len() == 17 && word[17] == b'X' && chinese(&digits, 10)
}

fn chinese(digits: &[u8], check: u32) -> bool {
    let born = Date::new(value(&digits[6..10]) as i32, value(&digits[10..12]) as u32, value(&digits[12..14]) as u32);
    let sound = born.is_some() && (18..=20).contains(&value(&digits[6..8])) && (1..=8).contains(&digits[0]);
    sound && (12 - sum(digits, &CHINA) % 11) % 11 == check
}

/// ISO 7064 (mod 11, 10), and of the first ten digits exactly one comes twice or three times.
pub(super) fn germany(digits: &[u8]) -> bool {
    let product = digits[..10].iter().fold(10, |product, digit| {
        let rest = (product + u32::from(*digit)) % 10;
        (if rest == 0 { 10 } else { rest }) * 2 % 11
    });
    let counts = (0..10u8).map(|digit| digits[..10].iter().filter(|other| **other == digit).count());
    let repeated: Vec<usize> = counts.filter(|count| *count > 1).collect();
    digits[0] > 0 && matches!(repeated[..], [2 | 3]) && (11 - product) % 10 == u32::from(digits[10])
}

/// Sex, year, month, place and count, and 97 less the remainder.
pub(super) fn france(digits: &[u8]) -> bool {
    let month = value(&digits[3..5]);
    let sound = matches!(digits[0], 1..=4 | 7 | 8) && (matches!(month, 1..=12 | 20..=42) || month >= 50);
    sound && value(&digits[13..]) == 97 - value(&digits[..13]) % 97
}

/// As in France; of the departments 2A and 2B the letters count as the digits 19 and 18.
pub(super) fn corsica(word: &[u8]) -> bool {
    let place = match word.get(5..7) {
        Some(b"2A") if word.len() == 15 => [1, 9],
        Some(b"2B") if word.len() == 15 => [1, 8],
        _ => return false,
    };
    let mut digits: Vec<u8> = word.iter().map(|byte| byte.wrapping_sub(b'0')).collect();
    digits[5..7].copy_from_slice(&place);
    digits.iter().all(|digit| *digit < 10) && france(&digits)
}

pub(super) fn nhs(digits: &[u8]) -> bool {
    let rest = 11 - sum(&digits[..9], &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    rest % 11 == u32::from(digits[9]) && rest != 10
}

/// Verhoeff's scheme, with the dihedral group of ten elements.
pub(super) fn india(digits: &[u8]) -> bool {
    const SHUFFLE: [u8; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let times = |a: u8, b: u8| match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => (a + b) % 5 + 5,
        (false, true) => (a + 10 - 5 - b) % 5 + 5,
        (false, false) => (a + 5 - b) % 5,
    };
    let shuffled = |digit: u8, times: usize| (0..times).fold(digit, |digit, _| SHUFFLE[usize::from(digit)]);
    let all = digits.iter().rev().enumerate().fold(0, |sum, (at, digit)| times(sum, shuffled(*digit, at % 8)));
    digits[0] > 1 && all == 0
}

pub(super) fn netherlands(digits: &[u8]) -> bool {
    let body = sum(digits, &[9, 8, 7, 6, 5, 4, 3, 2]);
    body % 11 == u32::from(digits[8]) && body > 0
}

pub(super) fn norway(digits: &[u8]) -> bool {
    let check = |weights: &[u32], at: usize| {
        let rest = (11 - sum(&digits[..at], weights) % 11) % 11;
        rest == u32::from(digits[at])
    };
    // Numbers given to people who are not residents have 40 added to the day.
    let tens = if digits[0] > 3 { digits[0] - 4 } else { digits[0] };
    let born = [digits[4], digits[5], digits[2], digits[3], tens, digits[1]];
    (day(1900, &born) || day(2000, &born))
        && check(&[3, 7, 6, 1, 8, 9, 4, 5, 2], 9)
        && check(&[5, 4, 3, 2, 7, 6, 5, 4, 3, 2], 10)
}

/// The month has 80, 0, 20, 40 or 60 added for the centuries from 1800 on.
pub(super) fn poland(digits: &[u8]) -> bool {
    let month = value(&digits[2..4]);
    let (century, month) = match month / 20 {
        4 => (1800, month - 80),
        more => (1900 + more * 100, month - more * 20),
    };
    let born = Date::new((century + value(&digits[..2])) as i32, month as u32, value(&digits[4..6]) as u32);
    let rest = sum(&digits[..10], &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3]) % 10;
    born.is_some() && (10 - rest) % 10 == u32::from(digits[10])
}

/// The day of birth, 60 added for those who are not registered, and Luhn's digit over the last ten.
pub(super) fn sweden(digits: &[u8]) -> bool {
    let ten = &digits[digits.len() - 10..];
    let mut born = ten[..6].to_vec();
    born[4] = if born[4] > 5 { born[4] - 6 } else { born[4] };
    let century = digits.len() == 10 || matches!(value(&digits[..2]), 18..=20);
    century && (day(1900, &born) || day(2000, &born)) && luhn(ten)
}

/// No check digit: what is never given out is left out.
pub(super) fn america(digits: &[u8]) -> bool {
    let area = value(&digits[..3]);
    !matches!(area, 0 | 666 | 900..) && value(&digits[3..5]) > 0 && value(&digits[5..]) > 0
}

/// Eight digits, or X, Y or Z and seven, and a letter for the remainder by 23.
pub(super) fn spain(word: &[u8]) -> bool {
    const LETTERS: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";
    let mut body: Vec<u8> = word.iter().copied().filter(|byte| *byte != b'-').collect();
    if body.len() != 9 {
        return false;
    }
    if let Some(lead) = b"XYZ".iter().position(|letter| *letter == body[0]) {
        body[0] = b'0' + lead as u8;
    }
    let digits: Vec<u8> = body[..8].iter().map(|byte| byte.wrapping_sub(b'0')).collect();
    digits.iter().all(|digit| *digit < 10) && LETTERS[(value(&digits) % 23) as usize] == body[8]
}

/// Day, month and year, a sign for the century, a count, and a letter or digit for the remainder by 31.
pub(super) fn finland(word: &[u8]) -> bool {
    const MARKS: &[u8; 31] = b"0123456789ABCDEFHJKLMNPRSTUVWXY";
    if word.len() != 11 || !word[..6].iter().chain(&word[7..10]).all(u8::is_ascii_digit) {
        return false;
    }
    let century = match word[6] {
        b'+' => 1800,
        b'-' | b'U'..=b'Y' => 1900,
        b'A'..=b'F' => 2000,
        _ => return false,
    };
    let digits: Vec<u8> = word[..6].iter().chain(&word[7..10]).map(|byte| byte - b'0').collect();
    let born = [digits[4], digits[5], digits[2], digits[3], digits[0], digits[1]];
    day(century, &born) && MARKS[(value(&digits) % 31) as usize] == word[10]
}

/// Two letters and six digits, a letter from A to D: no check digit, but letters that are never given out.
pub(super) fn britain(word: &[u8]) -> bool {
    if word.len() != 9 || !word[2..8].iter().all(u8::is_ascii_digit) {
        return false;
    }
    let never = [*b"BG", *b"GB", *b"KN", *b"NK", *b"NT", *b"TN", *b"ZZ"];
    let letters = word[..2].iter().all(|byte| byte.is_ascii_uppercase() && !b"DFIQUV".contains(byte));
    letters && word[1] != b'O' && !never.contains(&[word[0], word[1]]) && (b'A'..=b'D').contains(&word[8])
}

/// Six letters of the name, year, month, day and place, and a letter for the remainder by 26.
pub(super) fn italy(word: &[u8]) -> bool {
    const MONTHS: &[u8] = b"ABCDEHLMPRST";
    // What a character counts at an odd place; digits count as the first ten letters.
    const ODD: [u32; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    // Where two people would get the same number, letters stand for digits.
    let digit = |byte: u8| byte.is_ascii_digit() || b"LMNPQRSTUV".contains(&byte);
    let letter = |at: usize| word[at].is_ascii_uppercase();
    if word.len() != 16 || !(0..6).chain([8, 11, 15]).all(letter) || !MONTHS.contains(&word[8]) {
        return false;
    }
    if ![6, 7, 9, 10, 12, 13, 14].iter().all(|at| digit(word[*at])) {
        return false;
    }
    let place = |byte: u8| u32::from(if byte.is_ascii_digit() { byte - b'0' } else { byte - b'A' });
    let sum = word[..15].iter().enumerate().map(|(at, byte)| match at % 2 {
        0 => ODD[place(*byte) as usize],
        _ => place(*byte),
    });
    sum.sum::<u32>() % 26 == place(word[15])
}
