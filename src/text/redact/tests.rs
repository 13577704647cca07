use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};

const SECRET: &str = "p@ss/w\"ö rd+1";

fn redactor() -> Redactor {
    Redactor::new([SECRET])
}

#[test]
fn a_secret_is_hidden_in_every_form() {
    let percent = |keep: fn(char) -> bool, upper: bool| -> String {
        let byte = |byte: u8| if upper { format!("%{byte:02X}") } else { format!("%{byte:02x}") };
        let escaped = |c: char| c.to_string().bytes().map(byte).collect::<String>();
        SECRET.chars().map(|c| if keep(c) { c.to_string() } else { escaped(c) }).collect()
    };
    let json = serde_json::to_string(SECRET).expect("a text");
    let ascii: String =
        json.chars().map(|c| if c.is_ascii() { c.to_string() } else { format!("\\u{:04x}", c as u32) }).collect();
    let forms = [
        SECRET.to_owned(),
        percent(|c| c.is_ascii_alphanumeric(), true),
        percent(|c| c.is_ascii_alphanumeric() || c == '+', false),
        percent(|_| false, true),
        percent(|c| c.is_ascii_alphanumeric() || c == ' ', true).replace(' ', "+"),
        percent(|c| c.is_ascii_alphanumeric(), true).replace('%', "%25"),
        json.trim_matches('"').to_owned(),
        ascii.trim_matches('"').to_owned(),
        serde_json::to_string(json.trim_matches('"')).expect("a text").trim_matches('"').to_owned(),
        format!("{SECRET:?}").trim_matches('"').to_owned(),
        SECRET.replace('"', "&quot;").replace('ö', "&#246;").replace('/', "&#x2F;"),
        STANDARD.encode(SECRET),
        STANDARD.encode(format!("user:{SECRET}")),
        STANDARD.encode(format!("us:{SECRET}:more")),
        URL_SAFE_NO_PAD.encode(format!("u:{SECRET}")),
        SECRET.bytes().map(|byte| format!("{byte:02x}")).collect(),
        format!("{}\n{}", &SECRET[..4], &SECRET[4..]),
        format!("{}\r\n   {}", &SECRET[..6], &SECRET[6..]),
        {
            let encoded = STANDARD.encode(SECRET);
            format!("{}\n{}", &encoded[..5], &encoded[5..])
        },
        serde_json::to_string(&[&SECRET[..7], &SECRET[7..]]).expect("texts"),
        format!("'{}', '{}'", &SECRET[..4], &SECRET[4..]),
    ];
    for form in forms {
        let shown = redactor().text(&format!("before {form} after")).into_owned();
        assert!(shown.contains(HIDDEN), "{form} is shown as {shown}");
        assert!(redactor().is_in(format!("before {form} after").as_bytes()), "{form}");
        for part in ["ss/w", "rd+1", "cEBz", "7040", "rd%2B"] {
            assert!(!shown.contains(part), "{form} is shown as {shown}");
        }
        assert!(shown.starts_with("before ") && shown.ends_with(" after") || !form.is_ascii(), "{form}: {shown}");
    }
    for (cut, shown) in [
        ("token p@ss/w\"ö rd…", "token ***…"),
        ("`p%40ss%2f…`, then p@ss/w\"\u{fffd}… and so on", "`***…`, then ***\u{fffd}… and so on"),
        ("p@s… is any text, and so is p@ss/w", "p@s… is any text, and so is p@ss/w"),
        ("it says:\n  …\n  w\"ö rd+1\nthe end", "it says:\n  …\n  ***\nthe end"),
        ("…rd%2B1 and …rd+1, not …d+1", "…*** and …***, not …d+1"),
    ] {
        assert_eq!(redactor().text(cut), shown);
    }
    let innocent = "nothing 50% \\n &amp; here, and a Zm9v";
    assert_eq!(redactor().text(innocent), innocent);
    assert!(!redactor().is_in(innocent.as_bytes()) && !Redactor::default().is_in(SECRET.as_bytes()));
}

#[test]
fn overlapping_secrets_leave_nothing_and_places_stay() {
    let redactor = Redactor::new(["abcdef", "defghi", ""]);
    assert_eq!(redactor.text("xabcdefghiy"), "x***y");
    assert_eq!(redactor.blanked("é abc\ndef z"), "é ***\n*** z");
    let (mut first, mut second, mut third) = ("x abc".to_owned(), "def y".to_owned(), "fine".to_owned());
    redactor.lines(&mut [&mut first, &mut second, &mut third]);
    assert_eq!([first, second, third], ["x ***", "*** y", "fine"]);
    let key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n-----END KEY-----\n";
    assert_eq!(Redactor::new([key]).text("log: kqhkiG9w0BAQEF -----END KEY-----"), "log: *** -----END KEY-----");
}

#[test]
fn the_last_lines_of_a_text_hold_no_end_of_a_secret() {
    let secret = "hunter2-zebra-quartz-9";
    let redactor = Redactor::new([secret]);
    for form in [secret.to_owned(), secret.bytes().map(|byte| format!("{byte:02x}")).collect()] {
        let characters: Vec<char> = form.chars().collect();
        let folded: Vec<String> = characters.chunks(3).map(|chunk| chunk.iter().collect()).collect();
        for count in 2..folded.len() {
            let told = redactor.tail(&(folded.join("\n") + "\nend"), count + 1);
            assert_eq!(told, [vec!["***".to_owned(); count], vec!["end".to_owned()]].concat(), "{form} {count}");
            let mut lines = [&folded[folded.len() - count..], &["end".to_owned()][..]].concat();
            redactor.last_lines(&mut lines.iter_mut().collect::<Vec<_>>());
            assert!(lines[..count].iter().all(|line| line == "***") && lines[count] == "end", "{form} {lines:?}");
        }
    }
    let mut innocent = ["zebra".to_owned(), "quartz".to_owned()];
    redactor.last_lines(&mut innocent.iter_mut().collect::<Vec<_>>());
    assert_eq!(innocent, ["zebra", "quartz"]);
}

#[test]
fn an_ordinary_word_is_hidden_where_it_is_a_password() {
    let redactor = Redactor::default().and_passwords(["postgres"]);
    assert_eq!(
        redactor.text("postgres://postgres:postgres@postgres/postgres?password=postgres"),
        "postgres://postgres:***@postgres/postgres?password=***"
    );
}

/// The secret that dumps show: as long as more than one of their lines.
const DUMPED: &str = "hunter2 zebra quartz-9";

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Lines of 16 bytes, each with its offset and its groups, as `show` shows them.
fn dump(text: &str, show: impl Fn(usize, &[u8]) -> String) -> String {
    text.as_bytes().chunks(16).enumerate().map(|(line, bytes)| show(line * 16, bytes) + "\n").collect()
}

fn grouped(bytes: &[u8], size: usize) -> String {
    bytes.chunks(size).map(hexadecimal).collect::<Vec<_>>().join(" ")
}

fn characters(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_secret_is_hidden_in_a_dump() {
    let redactor = Redactor::new([DUMPED]);
    let text = format!("x {DUMPED} y");
    let words =
        |bytes: &[u8]| grouped(&bytes.chunks(2).flat_map(|pair| pair.iter().rev().copied()).collect::<Vec<_>>(), 2);
    let numbers: Vec<String> = text.bytes().map(|byte| byte.to_string()).collect();
    for dump in [
        dump(&text, |at, bytes| format!("{at:07o} {}", grouped(bytes, 1))),
        dump(&text, |_, bytes| format!(" {}", grouped(bytes, 1).to_uppercase())),
        dump(&text, |at, bytes| format!("{at:08x}: {:<39}  {}", grouped(bytes, 2), characters(bytes))),
        dump(&text, |at, bytes| format!("{at:08x}  {:<48} |{}|", grouped(bytes, 1), characters(bytes))),
        dump(&text, |at, bytes| format!("{at:07o} {}", words(bytes))),
        dump(&text, |at, bytes| {
            let octal: Vec<String> = bytes.iter().map(|byte| format!("{byte:03o}")).collect();
            format!("{at:07o} {}", octal.join(" "))
        }),
        text.as_bytes().chunks(1).map(hexadecimal).collect::<Vec<_>>().join(":"),
        format!("[{}]", numbers.join(", ")),
    ] {
        let shown = redactor.text(&dump).into_owned();
        assert!(shown.contains(HIDDEN) && redactor.is_in(dump.as_bytes()), "{dump}is shown as\n{shown}");
        for part in
            ["hunter", "zebra", "quartz", "unte", "6e74", "6e 74", "6E 74", "746e", "165 156", "117, 110", "6e:74"]
        {
            assert!(!shown.contains(part), "{dump}is shown as\n{shown}");
        }
        // The same as lines of a log.
        let mut lines: Vec<String> = dump.lines().map(str::to_owned).collect();
        redactor.lines(&mut lines.iter_mut().collect::<Vec<_>>());
        assert_eq!(lines.join("\n"), shown.trim_end(), "{dump}");
    }
    let mut innocent = vec!["00000000: 6875 6e74".to_owned(), "nothing else".to_owned()];
    redactor.lines(&mut innocent.iter_mut().collect::<Vec<_>>());
    assert_eq!(innocent, ["00000000: 6875 6e74", "nothing else"]);
}

#[test]
fn a_secret_is_hidden_in_an_encoding_of_an_encoding_and_in_upper_and_lower_case() {
    let redactor = Redactor::new([DUMPED]);
    let once = [
        STANDARD.encode(DUMPED),
        STANDARD.encode(format!("user:{DUMPED}")),
        URL_SAFE.encode(format!("us:{DUMPED}:x")),
        hexadecimal(DUMPED.as_bytes()),
        hexadecimal(DUMPED.as_bytes()).to_uppercase(),
    ];
    let twice = once.iter().flat_map(|once| {
        [
            STANDARD.encode(once),
            STANDARD.encode(format!("{once}\n")),
            STANDARD.encode(format!("a {once}")),
            hexadecimal(once.as_bytes()),
        ]
    });
    let mixed = |text: &str| -> String {
        let each = text.chars().enumerate();
        each.map(|(at, c)| if at % 2 == 0 { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }).collect()
    };
    let percent: String = DUMPED.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let cases = [
        mixed(&once[3]),
        mixed(&percent),
        DUMPED.to_uppercase(),
        mixed(DUMPED),
        "\\150\\165nter2 zebra quartz\\055".to_owned() + "9",
    ];
    for form in twice.chain(cases) {
        let shown = redactor.text(&format!("before {form} after")).into_owned();
        assert!(redactor.is_in(form.as_bytes()), "{form}");
        let left = shown.trim_start_matches("before ").trim_end_matches(" after").replace(HIDDEN, "");
        assert!(shown.contains(HIDDEN) && left.len() <= 20, "{form} is shown as {shown}");
    }
}

#[test]
fn a_large_text_is_looked_through_in_little_memory() {
    // As many views as there are, over a text that each of them changes.
    let text = "%41\\n&amp;\"a\", \"b\" 68 75 6e 74\n".repeat(20_000) + SECRET;
    assert!(redactor().is_in(text.as_bytes()));
    assert!(redactor().text(&text).ends_with(HIDDEN));
}

#[test]
fn many_long_secrets_take_little_memory() {
    // Letters that repeat in none of them.
    let secret = |number: u64| -> String {
        let mut state = number + 1;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b"abcdefghijklmnopqrstuvwxyzABCDEF"[(state >> 59) as usize])
        };
        (0..512).map(|_| next()).collect()
    };
    let secrets: Vec<String> = (0..100).map(secret).collect();
    let redactor = Redactor::new(secrets.iter().map(String::as_str));
    let search = redactor.search.as_ref().expect("there are secrets");
    let forms: usize = search.forms().iter().map(|form| form.bytes.len()).sum();
    assert!(forms < 32 << 20, "{forms} bytes of forms");
    assert!(search.memory() < 32 << 20, "{} bytes of automaton", search.memory());
    for secret in [&secrets[0], &secrets[99]] {
        let twice = STANDARD.encode(hexadecimal(secret.as_bytes()));
        let shown = redactor.text(&twice).into_owned();
        assert!(shown.starts_with("***") && shown.len() < 12, "{shown}");
        assert_eq!(redactor.text(&format!("{}…", &secret[..100])), "***…");
        assert_eq!(redactor.text(&secret[..400]), secret[..400], "a part alone is no secret");
    }
    let clone = redactor.clone();
    assert!(Arc::ptr_eq(clone.search.as_ref().expect("the same"), search), "nothing is built twice");
}

/// Titles are put on one line before they are searched, and a shell cuts the line break at the end of what it reads.
#[test]
fn a_secret_is_hidden_also_without_its_white_space() {
    let redactor = Redactor::new(["cat 1\n\n  dog\t2\n"]);
    for form in ["cat 1    dog\t2", "cat 1 dog 2", "cat 1    dog\t2 "] {
        assert_eq!(redactor.text(&format!("x{form}y")), "x***y", "{form:?}");
    }
    let redactor = Redactor::new(["content-hunter\n", " a "]);
    let encoded = STANDARD.encode("content-hunter");
    for form in ["content-hunter", encoded.as_str(), "Y29udGVudC1odW50ZXIK", "636f6e74656e742d68756e746572"] {
        let shown = redactor.text(&format!("before {form} after")).into_owned();
        assert!(
            shown.contains(HIDDEN) && !shown.contains("nter") && !shown.contains("Y29u"),
            "{form} is shown as {shown}"
        );
    }
    // What is left of others without their white space could be any text.
    assert_eq!(redactor.text("a b"), "a b");
}

#[test]
fn a_secret_is_hidden_in_utf_16() {
    let redactor = Redactor::new(["wide-hunter"]);
    for bytes in [u16::to_le_bytes as fn(u16) -> [u8; 2], u16::to_be_bytes] {
        let wide: Vec<u8> = "x wide-hunter y".encode_utf16().flat_map(bytes).collect();
        let text = String::from_utf8_lossy(&wide).into_owned();
        assert!(!redactor.text(&text).contains("h\0u"), "{text:?}");
        let encoded = STANDARD.encode(&wide);
        assert!(redactor.text(&encoded).contains(HIDDEN), "{encoded}");
    }
}
