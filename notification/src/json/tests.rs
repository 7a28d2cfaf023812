use super::walk::behind_value;
use super::*;
use std::string::ToString;
use std::vec;
use std::vec::Vec;

fn offset_of(body: impl AsRef<[u8]>) -> usize {
    match document(body.as_ref()).err().map(|error| *error) {
        Some(ParseError::NotJson { offset, .. }) => offset,
        other => panic!("{other:?}"),
    }
}

#[test]
fn json_is_what_rfc_8259_says() {
    for text in [
        "{}",
        "[]",
        "\"\"",
        "0",
        "-0",
        "1e400",
        "-1E+9",
        "0.5e-7",
        "true",
        "false",
        "null",
        " \t\r\n[ ] ",
        "[1,2]",
        "\"\u{7f}\"",
        "\"\u{10ffff}\"",
        r#""\"\\\/\b\f\n\r\t\u0000""#,
        r#""\ud83d\ude00""#,
        r#"{"\uD83D\uDE00":1}"#,
        r#"{"":{"":[]}}"#,
        r#"{"a":1,"a":2}"#,
        "123456789012345678901234567890123456789012345678901234567890",
    ] {
        assert!(document(text.as_bytes()).is_ok(), "{text}");
    }
    for text in [
        "",
        " ",
        "{",
        "[",
        "\"",
        "]",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{1:1}",
        "{'a':1}",
        "[1]]",
        "{}{}",
        "1 2",
        "01",
        "+1",
        "-",
        "1.",
        ".5",
        "1e",
        "0x1",
        "NaN",
        "Infinity",
        "tru",
        "True",
        "nul",
        "nullx",
        "[1//c\n]",
        "\u{b}[]",
        "\u{a0}[]",
        "\"\t\"",
        "\"\n\"",
        "\"\0\"",
        r#""\x""#,
        r#""\u00g0""#,
        r#""\u12""#,
        r#""\"#,
        "[]\0",
    ] {
        offset_of(text);
    }
}

#[test]
fn offsets_are_those_of_the_errors() {
    assert_eq!(offset_of(""), 0);
    assert_eq!(offset_of("x"), 0);
    assert_eq!(offset_of("[1, x]"), 4);
    assert_eq!(offset_of("[1,\n 2,\n  x]"), 10);
    assert_eq!(offset_of("{} {}"), 3);
    assert_eq!(offset_of("[tru]"), 4);
    assert_eq!(offset_of("[1,"), 3);
    assert_eq!(offset_of("[1,\n"), 4);
    assert_eq!(offset_of("\"abc"), 4);
    assert_eq!(offset_of("\u{feff}[x]"), 4);
    assert_eq!(offset_of(b"[\"\xff\"]"), 2);
    assert_eq!(offset_of(b"\xef\xbb\xbf\"\xff\""), 4);
    assert_eq!(offset_of(r#"["\ud800"]"#), 2);
}

#[test]
fn one_byte_order_mark_is_ignored() {
    assert!(document("\u{feff}{}".as_bytes()).is_ok());
    assert_eq!(offset_of("\u{feff}\u{feff}{}"), 3);
    assert_eq!(offset_of("\u{feff}"), 3);
    assert_eq!(offset_of(" \u{feff}{}"), 1);
}

#[test]
fn half_a_surrogate_pair_is_refused_everywhere() {
    for text in [
        r#""\ud800""#,
        r#""\uDC00""#,
        r#""\ud800\ud800""#,
        // After an escaped quote, and after a string.
        r#""\"\ud800""#,
        r#"["\"","\ud800"]"#,
        // The low one is not an escape.
        r#""\ud800dc00""#,
        r#""\ud800x\udc00""#,
        r#""\ud800\n""#,
        r#""\ud800\\udc00""#,
        r#""\udc00\ud800""#,
        r#""\ud83d\ude00\ude00""#,
        r#"{"\ud800":1}"#,
        r#"{"a":{"b":["\udfff"]}}"#,
        r#""\ud800"#,
    ] {
        offset_of(text);
    }
    // These only look like escapes of surrogates.
    for text in [
        r#""\\ud800""#,
        r#""\\\\udc00""#,
        r#""\ud7ff\ue000""#,
        r#""\u0d800""#,
    ] {
        assert!(document(text.as_bytes()).is_ok(), "{text}");
    }
}

#[test]
fn refusals_name_the_limits() {
    assert_eq!((MAX_DEPTH, MAX_VALUES), (64, 100_000), "in the texts too");
}

#[test]
fn depth_is_bounded() {
    let nested = |levels| "[".repeat(levels) + &"]".repeat(levels);
    assert!(document(nested(MAX_DEPTH).as_bytes()).is_ok());
    let error = document(nested(MAX_DEPTH + 1).as_bytes())
        .err()
        .map(|error| *error);
    let expected = ParseError::TooComplex {
        offset: MAX_DEPTH,
        reason: "more than 64 levels of arrays and objects",
    };
    assert_eq!(error, Some(expected));

    let beside = "[".to_string() + &"{},".repeat(1000) + "{}]";
    assert!(document(beside.as_bytes()).is_ok());
    let behind_a_string = "[\"\\\"\",".to_string() + &nested(MAX_DEPTH) + "]";
    assert!(document(behind_a_string.as_bytes()).is_err());
    let in_a_string = "\"\\\"".to_string() + &"[".repeat(1000) + "\"";
    assert!(document(in_a_string.as_bytes()).is_ok());
}

#[test]
fn the_number_of_values_is_bounded() {
    let list = |values: usize| "[".to_string() + &vec!["0"; values].join(",") + "]";
    assert!(document(list(MAX_VALUES).as_bytes()).is_ok());
    let error = document(list(MAX_VALUES + 1).as_bytes())
        .err()
        .map(|error| *error);
    let expected = ParseError::TooComplex {
        offset: 2 * MAX_VALUES,
        reason: "more than 100000 values",
    };
    assert_eq!(error, Some(expected));
}

#[test]
fn a_small_stack_is_enough() {
    let deep = "[".repeat(1 << 20);
    let long = "{\"a\":".repeat(MAX_DEPTH) + "\"" + &"a".repeat(1 << 20);
    let refused = move || document(deep.as_bytes()).is_err() && document(long.as_bytes()).is_err();
    let thread = std::thread::Builder::new()
        .stack_size(64 << 10)
        .spawn(refused);
    assert!(thread.unwrap().join().unwrap());
}

/// The text of a value, without the text after it.
fn value_text(value: Value<'_>) -> &str {
    value.0.strip_suffix(behind_value(value.0)).unwrap()
}

/// The members `a` and `b` of an object, as JSON, and whether it has others.
fn a_and_b(text: &str) -> Result<([Option<&str>; 2], bool), ParseError> {
    let value = document(text.as_bytes()).map_err(|error| *error)?;
    let found = value.members("/o", ["/o/a", "/o/b"]);
    let (members, others) = found.map_err(|error| *error)?;
    Ok((members.map(|m| m.value.map(value_text)), others))
}

#[test]
fn members_are_found_by_their_unescaped_names() {
    assert_eq!(a_and_b("{}"), Ok(([None, None], false)));
    assert_eq!(
        a_and_b(r#"{"b": 1e400 }"#),
        Ok(([None, Some("1e400")], false))
    );
    assert_eq!(
        a_and_b(r#"{"\u0061":null}"#),
        Ok(([Some("null"), None], false))
    );
    assert_eq!(
        a_and_b(r#" { "b":[ ], "a" : "x" } "#),
        Ok(([Some("\"x\""), Some("[ ]")], false))
    );
    for others in [
        r#"{"A":1}"#,
        r#"{"":1}"#,
        r#"{"o/a":1}"#,
        r#"{"/o/a":1}"#,
        r#"{"a\u0000":1}"#,
    ] {
        assert_eq!(a_and_b(others), Ok(([None, None], true)), "{others}");
    }
}

#[test]
fn members_after_any_value_are_found() {
    for value in [
        "0",
        "-1.5e+9",
        "1E-9",
        "true",
        "false",
        "null",
        "[]",
        "{}",
        r#""""#,
        r#""\\""#,
        r#""\"}""#,
        r#""\\\",""#,
        r#"["]",{"b":"}"},[1e+5 , "\"]"]]"#,
        r#"{"b":{"b":[]}}"#,
        "\"\u{e9}\u{1f600}\"",
    ] {
        for space in ["", " ", "\r\n\t"] {
            let text = ["{\"x\":", value, ",\"b\":2,\"a\":", value, "}"].join(space);
            assert_eq!(
                a_and_b(&text),
                Ok(([Some(value), Some("2")], true)),
                "{text}"
            );
        }
    }
}

#[test]
fn the_last_value_of_a_repeated_optional_member_is_used() {
    assert_eq!(a_and_b(r#"{"c":1,"c":2}"#), Ok(([None, None], true)));
    assert_eq!(
        a_and_b(r#"{"b":{"a":1,"a":2}}"#),
        Ok(([None, Some(r#"{"a":1,"a":2}"#)], false))
    );
    for (text, last) in [
        (r#"{"b":1,"a":2,"b":"x"}"#, Some("x")),
        (r#"{"b":"x","b":[1, 2] ,"a":2}"#, Some("[1, 2]")),
        (r#"{"b":"x","\u0062":null}"#, None),
    ] {
        let value = document(text.as_bytes()).unwrap();
        let ([b], _) = value.members("/o", ["/o/b"]).unwrap();
        assert_eq!(b.verbatim(), (last.map(String::from), true), "{text}");
        let expected = ParseError::Invalid {
            pointer: "/o/b",
            expected: "one member of this name",
            found: Found::Duplicate,
        };
        for refused in [b.string(), b.non_empty_string()] {
            assert_eq!(*refused.unwrap_err(), expected, "{text}");
        }
        assert!(b.is_some(), "{text}");
        assert!(b.members([""; 0]).is_err(), "{text}");
    }
}

#[test]
fn the_first_byte_shows_the_kind_of_a_value() {
    for (text, found) in [
        ("null", Found::Null),
        ("true", Found::Boolean),
        ("false", Found::Boolean),
        ("-1e999", Found::Number),
        ("7", Found::Number),
        (" [{}]", Found::Array),
        (" \"\\u0061\"", Found::Text("a".into())),
    ] {
        let value = document(text.as_bytes()).unwrap();
        assert_eq!(value.found(), found);
        let error = value.members("/o", [""; 0]).err().map(|error| *error);
        let expected = ParseError::Invalid {
            pointer: "/o",
            expected: "an object",
            found,
        };
        assert_eq!(error, Some(expected));
    }
    assert_eq!(document(b"{}").unwrap().found(), Found::Object);
}

#[test]
fn strings() {
    let digits = document(br#""\u0041BC\ud83d\ude00DE""#).unwrap();
    assert_eq!(digits.text().as_deref(), Some("ABC😀DE"));
    let body = br#"{"a":"","b":"\ud83d\ude00\u0000\/","c":null,"d":[""]}"#;
    let (members, _) = document(body)
        .unwrap()
        .members("", ["/a", "/b", "/c", "/d", "/e"])
        .unwrap();
    let strings: Vec<_> = members.iter().map(|m| m.string().ok()).collect();
    assert_eq!(
        strings,
        [Some("".into()), Some("😀\0/".into()), None, None, None]
    );
    let full: Vec<_> = members
        .iter()
        .map(|m| m.non_empty_string().is_ok())
        .collect();
    assert_eq!(full, [false, true, false, false, false]);
    let verbatim: Vec<_> = members.iter().map(|m| m.verbatim()).collect();
    let present = |text: &str, irregular| (Some(text.to_string()), irregular);
    assert_eq!(
        verbatim,
        [
            present("", false),
            present("😀\0/", false),
            (None, false),
            present(r#"[""]"#, true),
            (None, false),
        ]
    );
}

#[test]
fn a_slash_in_a_name_does_not_match_a_pointer() {
    let value = document(br#"{"of/it":1,"it":2}"#).ok().unwrap();
    let found = value.members("/of", ["/of/it"]);
    let ([member], others) = found.ok().unwrap();
    assert!(others);
    assert!(matches!(
        member.expected("").as_ref(),
        ParseError::Invalid {
            found: Found::Number,
            ..
        }
    ));
    let value = document(br#"{"of/it":1}"#).ok().unwrap();
    let ([member], _) = value.members("/of", ["/of/it"]).ok().unwrap();
    assert!(!member.is_present());
}
