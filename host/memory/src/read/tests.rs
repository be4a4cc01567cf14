use super::*;

fn read_as(kind: &str, name: &str, text: &str) -> Vec<Passage> {
    read(kind, name, text.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn texts(passages: &[Passage]) -> Vec<&str> {
    passages.iter().map(|passage| passage.text.as_str()).collect()
}

/// Each passage is what stands there, none overlaps, and all that is no white space is in one of them.
fn is_exact(text: &str, passages: &[Passage]) {
    let (mut at, mut kept) = (0, String::new());
    for passage in passages {
        let (start, end) = (passage.start as usize, passage.end as usize);
        assert!(at <= start && start < end, "{passage:?}");
        assert_eq!(text.get(start..end), Some(passage.text.as_str()));
        assert!(passage.text.len() <= crate::cut::LONGEST, "{}", passage.text.len());
        assert_eq!(passage.text.trim(), passage.text);
        kept.push_str(&passage.text);
        at = end;
    }
    let bare = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
    assert_eq!(bare(text), bare(&kept));
}

#[test]
fn plain_text_is_cut_between_paragraphs_then_sentences_then_words() {
    let paragraph = |word: &str, count: usize| format!("{}\n\n", vec![word; count].join(" "));
    let sentence = "A sentence of some length, with an é and a 東 in it. ";
    let text = format!(
        "{}{}{}{}\n\n{}end",
        paragraph("short", 20),
        paragraph("other", 100),
        sentence.repeat(60),
        "x".repeat(2500),
        "word ".repeat(500)
    );
    let passages = read_as("text/plain", "a.txt", &text);
    is_exact(&text, &passages);
    assert!(passages[0].text.ends_with("other"), "two small paragraphs go together: {}", passages[0].text);
    let inner: Vec<_> = passages.iter().filter(|passage| passage.text.contains("sentence")).collect();
    assert!(
        inner.len() > 3 && inner[1].text.starts_with("A sentence") && inner[1].text.ends_with("it."),
        "{:?}",
        inner[1]
    );
    assert!(
        passages
            .iter()
            .filter(|passage| passage.text.starts_with("word"))
            .all(|one| one.text.ends_with("word") || one.text.ends_with("end"))
    );
}

#[test]
fn markdown_is_cut_at_headings_which_are_its_context() {
    let text = "intro\n\n# Guide\nfirst\n\n## Install ##\nrun it\n```sh\n# no heading\n```\n### On Linux\napt\n\nUse\n---\nsay hello\n\n#hash\n    # code\n";
    let passages = read_as("text/markdown; charset=utf-8", "x", text);
    is_exact(text, &passages);
    let found: Vec<_> =
        passages.iter().map(|one| (one.context.as_str(), one.text.lines().next().unwrap_or(""))).collect();
    let wanted = [
        ("", "intro"),
        ("", "# Guide"),
        ("Guide", "## Install ##"),
        ("Guide > Install", "### On Linux"),
        ("Guide", "Use"),
    ];
    assert_eq!(found, wanted);
    assert!(passages[4].text.ends_with("# code"), "{:?}", passages[4]);
    assert_eq!(read_as("", "notes.md", text), passages, "its name says so as well");
}

#[test]
fn html_gives_what_is_shown_with_where_it_stood() {
    let html = "<!DOCTYPE html><html><head><title>The page</title><style>p{color:red}</style>\
        <script>if (a<b) { document.write('<p>no</p>') }</script></head><body><!-- <p>not this</p> -->\n\
        <h1 class='a>b'>Fish &amp;   chips</h1>\n<p>Cod is <b>bold</b>&nbsp;&mdash;\n really.</p><ul><li>one<li>two</ul>\
        <h2>Price</h2><table><tr><td>5&nbsp;&euro;<td>cheap</tr></table><pre>a\n  b</pre> 3 < 4 &bogus; &#65;&#x42;<svg><text>no</text><svg></svg></svg>end";
    let passages = read_as("text/html", "x", html);
    let found = texts(&passages);
    assert_eq!(found[0], "The page");
    assert_eq!(found[1], "Fish & chips\n\nCod is bold\u{20}—\u{20}really.\n\none\ntwo", "{:?}", found[1]);
    assert_eq!((passages[1].context.as_str(), passages[2].context.as_str()), ("", "Fish & chips"));
    assert_eq!(found[2], "Price\n\n5 € cheap\n\na\n  b\n\n3 < 4 &bogus; ABend");
    assert!(!found.concat().contains("no<") && !found.concat().contains("color"));
    let part = |passage: &Passage| &html[passage.start as usize..passage.end as usize];
    assert_eq!(part(&passages[0]), "The page");
    assert!(part(&passages[1]).starts_with("Fish &amp;   chips</h1>") && part(&passages[1]).ends_with("<li>two"));
    assert!(part(&passages[2]).starts_with("Price</h2>") && part(&passages[2]).ends_with("end"));
}

#[test]
fn code_is_cut_between_its_blocks() {
    let body = "    let x = compute(1, 2, 3);\n".repeat(60);
    let text = format!(
        "use a;\n\n/// Says it.\nfn small() {{\n    1\n}}\n\n#[test]\nfn long(of: u8) -> u8 {{\n{body}\n}}\n\nfn last() {{}}\n"
    );
    let passages = read_as("", "src/lib.rs", &text);
    is_exact(&text, &passages);
    assert!(passages[0].text.starts_with("use a;") && passages[0].text.ends_with('}'), "{}", passages[0].text);
    assert!(passages[1].text.starts_with("#[test]\nfn long") && passages[1].text.ends_with(';'));
    assert_eq!(passages[2].context, "fn long(of: u8) -> u8");
    assert_eq!((passages.last().map(|one| one.text.as_str()), passages.len()), (Some("fn last() {}"), 4));
}

#[test]
fn what_a_document_is_comes_from_its_type_its_name_or_its_beginning() {
    let is = |kind_: &str, name: &str, bytes: &[u8]| kind(kind_, name, bytes);
    assert_eq!(is("text/plain", "a.pdf", b"%PDF-1.7"), Ok(Kind::Pdf));
    assert_eq!(is("", "https://x.org/a.HTML", b""), Ok(Kind::Html));
    assert_eq!(is("", "x", b"<!DOCTYPE HTML>"), Ok(Kind::Html));
    assert_eq!(is("text/plain", "x", b"<html>"), Ok(Kind::Plain));
    assert_eq!(is("text/x-rust", "x", b""), Ok(Kind::Code));
    assert_eq!(is("application/json", "x", b"{}"), Ok(Kind::Plain));
    assert_eq!(is("image/png", "x", b""), Err(Error::Kind { kind: "image/png".into() }));
}

#[test]
fn what_is_no_text_is_refused_and_what_has_none_gives_none() {
    for bytes in [&b"ab\xff"[..], b"a\0b"] {
        assert!(matches!(read("text/plain", "x", bytes), Err(Error::Unreadable { .. })), "{bytes:?}");
    }
    for (kind, text) in
        [("text/plain", " \n\n"), ("text/html", "<p><!-- x --></p>"), ("text/markdown", ""), ("text/x-c", "\n")]
    {
        assert_eq!(read_as(kind, "x", text), [], "{kind}");
    }
    let long = vec![b'a'; LONGEST + 1];
    assert_eq!(read("text/plain", "x", &long), Err(Error::TooLarge { most: LONGEST as u64, of: "bytes" }));
    let many = "word word word\n\n".repeat(70_000) + &"b\n".repeat(7_000_000);
    assert_eq!(read("text/plain", "x", many.as_bytes()).map(|all| all.len() < MOST), Ok(true));
    let headings = "# a\nb\n".repeat(MOST + 1);
    assert_eq!(read("", "a.md", headings.as_bytes()), Err(Error::TooLarge { most: MOST as u64, of: "passages" }));
}

#[test]
fn a_hostile_document_costs_no_more_than_its_size() {
    let begun = std::time::Instant::now();
    let size = 2 << 20;
    let repeated = |part: &str| part.repeat(size / part.len());
    for (kind, part) in [
        ("text/plain", "a"),
        ("text/plain", "a "),
        ("text/plain", "."),
        ("text/plain", "é"),
        ("text/plain", "\u{301}"),
        ("text/plain", "\n"),
        ("text/html", "<"),
        ("text/html", "<a "),
        ("text/html", "<a '"),
        ("text/html", "<!--"),
        ("text/html", "<script>"),
        ("text/html", "<svg>"),
        ("text/html", "<h1>x"),
        ("text/html", "<div>"),
        ("text/html", "<p> "),
        ("text/html", "&"),
        ("text/html", "&#x41;"),
        ("text/html", "</"),
        ("text/markdown", "#"),
        ("text/markdown", "```\n"),
        ("text/markdown", "a\n---\n"),
        ("text/markdown", "###### "),
        ("text/x-c", "a\n\n"),
        ("text/x-c", "{"),
        ("application/pdf", "%PDF-1.4\n1 0 obj<<"),
        ("application/pdf", "%PDF-1 1 0 obj "),
        ("application/pdf", "%PDF-1 1 0 obj[["),
    ] {
        let text = repeated(part);
        let now = std::time::Instant::now();
        drop(read(kind, "x", text.as_bytes()));
        assert!(now.elapsed().as_secs() < 10, "{kind} of {part:?}: {:?}", now.elapsed());
    }
    println!("{:?} for all", begun.elapsed());
}
