use crate::{Error, read};
use miniz_oxide::deflate::compress_to_vec_zlib;

/// A file of these objects.
fn file(objects: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = b"%PDF-1.5\n%\xe2\xe3\xcf\xd3\n".to_vec();
    for (number, object) in objects {
        bytes.extend_from_slice(format!("{number} 0 obj\n").as_bytes());
        bytes.extend_from_slice(object);
        bytes.extend_from_slice(b"\nendobj\n");
    }
    bytes.extend_from_slice(b"trailer\n<</Root 1 0 R>>\n%%EOF");
    bytes
}

fn stream(map: &str, data: &[u8]) -> Vec<u8> {
    let mut object = format!("<<{map}/Length {}>>\nstream\n", data.len()).into_bytes();
    object.extend_from_slice(data);
    object.extend_from_slice(b"\nendstream");
    object
}

/// One page that draws this in a font.
fn page(content: Vec<u8>, font: &str) -> Vec<u8> {
    file(&[
        (1, b"<</Type/Catalog/Pages 2 0 R>>".to_vec()),
        (2, b"<</Type/Pages/Kids[3 0 R]/Count 1/Resources<</Font<</F1 5 0 R>>>>>>".to_vec()),
        (3, b"<</Type/Page/Parent 2 0 R/Contents 4 0 R>>".to_vec()),
        (4, content),
        (5, font.as_bytes().to_vec()),
    ])
}

const HELVETICA: &str = "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>";

fn text(bytes: &[u8]) -> Result<String, Error> {
    let passages = read("application/pdf", "x.pdf", bytes)?;
    Ok(passages.iter().map(|passage| passage.text.as_str()).collect::<Vec<_>>().join("|"))
}

#[test]
fn words_lines_and_paragraphs_are_told_apart() {
    let drawn =
        b"BT /F1 10 Tf 1 0 0 1 72 700 Tm (Caf\\351 \\(\\223a\\224\\)) Tj 0 -12 Td [(Wo) 20 (rd) -400 (two)] TJ \
        T* <68690a> Tj 0 -60 Td (Next) Tj 200 0 Td (far) Tj ET";
    let wanted = "Café (“a”)\nWord two hi\n\nNext far";
    assert_eq!(text(&page(stream("", drawn), HELVETICA)).as_deref(), Ok(wanted));
    let packed = compress_to_vec_zlib(drawn, 6);
    assert_eq!(text(&page(stream("/Filter/FlateDecode", &packed), HELVETICA)).as_deref(), Ok(wanted));
    let digits: String = packed.iter().map(|byte| format!("{byte:02x}")).collect();
    let twice = stream("/Filter[/ASCIIHexDecode/FlateDecode]", format!("{digits}>").as_bytes());
    assert_eq!(text(&page(twice, HELVETICA)).as_deref(), Ok(wanted));
}

#[test]
fn fonts_say_what_their_characters_are() {
    let drawn = |text: &str| stream("", format!("BT /F1 10 Tf 0 0 Td {text} Tj ET").as_bytes());
    let differs = "<</Subtype/Type1/Encoding<</Differences[1/fi/germandbls/uni20AC 65/Z]>>>>";
    assert_eq!(text(&page(drawn("<0102034142>"), differs)).as_deref(), Ok("fiß€ZB"));
    let mac = "<</Subtype/TrueType/Encoding/MacRomanEncoding>>";
    assert_eq!(text(&page(drawn("<8a9fa7>"), mac)).as_deref(), Ok("äüß"));
    let map = b"1 begincodespacerange <0000> <ffff> endcodespacerange 1 beginbfchar <0005> <0048> endbfchar \
        2 beginbfrange <0006> <0008> <0069> <0010> <0011> [<00660066> <4e2d>] endbfrange";
    let mut bytes = page(drawn("<0005000600070010 0011>"), "<</Subtype/Type0/Encoding/Identity-H/ToUnicode 6 0 R>>");
    bytes.extend_from_slice(b"\n6 0 obj\n");
    bytes.extend_from_slice(&stream("", map));
    bytes.extend_from_slice(b"\nendobj");
    assert_eq!(text(&bytes).as_deref(), Ok("Hijff中"));
    let silent = text(&page(drawn("<00050006>"), "<</Subtype/Type0/Encoding/Identity-H>>"));
    assert!(silent.is_err_and(|error| error.to_string().contains("fonts don't say")));
}

#[test]
fn objects_that_are_packed_in_streams_and_pieces_drawn_by_pages_are_found() {
    let inner =
        b"1 0 2 29 <</Type/Catalog/Pages 2 0 R>><</Kids[3 0 R]/Resources<</Font<</F1 5 0 R>>/XObject<</X 6 0 R>>>>>>";
    let packed = compress_to_vec_zlib(inner, 6);
    let bytes = file(&[
        (9, stream("/Type/ObjStm/N 2/First 9/Filter/FlateDecode", &packed)),
        (3, b"<</Type/Page/Contents[4 0 R 4 0 R]>>".to_vec()),
        (4, stream("", b"/X Do")),
        (5, HELVETICA.as_bytes().to_vec()),
        (6, stream("/Subtype/Form", b"BT /F1 9 Tf 0 9 Td (in) Tj ET /X Do")),
    ]);
    let found = text(&bytes).expect("it is read");
    assert!(found.starts_with("in") && found.len() < 1000, "{found}");
}

#[test]
fn what_others_make_is_read() {
    for (name, bytes, wanted) in [
        ("reportlab", &include_bytes!("../../tests/data/reportlab.pdf")[..], "Größe und Maß: the quick brown fox"),
        ("fpdf2", include_bytes!("../../tests/data/fpdf2.pdf"), "Zażółć gęślą jaźń, and plain words"),
        ("qpdf", include_bytes!("../../tests/data/packed.pdf"), "Größe und Maß: the quick brown fox"),
    ] {
        let passages = read("application/pdf", name, bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let all: Vec<_> = passages.iter().map(|passage| passage.text.as_str()).collect();
        let all = all.join("\n").split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(all.contains(wanted), "{name}: {all}");
        assert!(all.contains("Second page"), "{name}: {all}");
    }
}

#[test]
fn what_cannot_be_read_says_why_and_bombs_do_not_go_off() {
    let said = |bytes: &[u8]| text(bytes).expect_err("it is refused").to_string();
    assert!(said(b"hello").contains("does not begin as one"));
    assert!(said(b"%PDF-1.4\n").contains("no pages"));
    let mut locked = page(stream("", b""), HELVETICA);
    locked.extend_from_slice(b"trailer<</Encrypt 8 0 R>>");
    assert!(said(&locked).contains("encrypted"));
    let begun = std::time::Instant::now();
    let bomb = compress_to_vec_zlib(&vec![b' '; 200 << 20], 9);
    assert!(said(&page(stream("/Filter/FlateDecode", &bomb), HELVETICA)).contains("unpacks"));
    let layers = compress_to_vec_zlib(&compress_to_vec_zlib(&vec![b' '; 30 << 20], 9), 9);
    let many = format!("[{}]", "4 0 R ".repeat(1000));
    let again = file(&[
        (1, b"<</Type/Catalog/Pages 3 0 R>>".to_vec()),
        (3, format!("<</Type/Page/Contents {many}>>").into_bytes()),
        (4, stream("/Filter[/FlateDecode/FlateDecode]", &layers)),
    ]);
    assert!(said(&again).contains("unpacks"));
    let deep = page(stream("", "[".repeat(100_000).as_bytes()), HELVETICA);
    assert!(said(&deep).contains("too deep"));
    let ring = file(&[(1, b"<</Type/Catalog/Pages 2 0 R>>".to_vec()), (2, b"<</Kids[2 0 R 2 0 R]>>".to_vec())]);
    assert!(said(&ring).contains("no pages"));
    let itself = file(&[(1, b"<</Type/Catalog/Pages 2 0 R>>".to_vec()), (2, b"2 0 R".to_vec())]);
    assert!(said(&itself).contains("no pages"));
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}

#[test]
fn a_file_that_is_cut_or_changed_anywhere_does_no_harm() {
    let drawn = compress_to_vec_zlib(b"BT /F1 10 Tf 0 0 Td (some text) Tj ET", 6);
    let whole = page(stream("/Filter/FlateDecode", &drawn), HELVETICA);
    for at in 0..whole.len() {
        drop(text(&whole[..at]));
        for change in [0, b'(', b'<', b'9', 255] {
            let mut changed = whole.clone();
            changed[at] = change;
            drop(text(&changed));
        }
    }
}
