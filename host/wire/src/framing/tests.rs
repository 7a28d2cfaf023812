use super::*;

const GET: &str = "GET / HTTP/1.1\r\nhost: h\r\n\r\n";
const TWO_LENGTHS: &str =
    "POST / HTTP/1.1\r\nContent-Length:5\r\nTRANSFER-encoding: chunked\r\n\r\n0\r\n\r\n";

/// Follows a text in pieces of several lengths, which must make no difference.
/// Returns the number of the first ambiguous request with the reason, and how many
/// bytes may be read.
fn follow(text: &str) -> (Option<(u64, Ambiguity)>, usize) {
    let found = |piece: usize| {
        let requests = Requests::default();
        let mut framing = Framing::new(requests.clone());
        let bytes = text.as_bytes().chunks(piece);
        let readable = bytes.map(|piece| framing.follow(piece)).sum::<usize>();
        (requests.0.ambiguous.get().copied(), readable)
    };
    let whole = found(text.len());
    for piece in 1..40 {
        let (ambiguous, readable) = found(piece);
        assert_eq!(ambiguous, whole.0, "in pieces of {piece}: {text}");
        let is_all = |readable| readable == text.len();
        assert_eq!(
            is_all(readable),
            is_all(whole.1),
            "in pieces of {piece}: {text}"
        );
    }
    whole
}

fn ambiguous(text: &str) -> Option<(u64, Ambiguity)> {
    let (ambiguous, readable) = follow(text);
    assert_eq!(readable, text.len(), "{text}");
    ambiguous
}

#[test]
fn an_ambiguous_request_is_found_with_its_number() {
    let two = |number| Some((number, Ambiguity::TwoLengths));
    assert_eq!(ambiguous(TWO_LENGTHS), two(1));
    let bytes = [GET, GET, TWO_LENGTHS, TWO_LENGTHS].concat();
    assert_eq!(ambiguous(&bytes), two(3));
    assert_eq!(ambiguous(&GET.repeat(3)), None);
}

#[test]
fn bodies_are_skipped() {
    let length = TWO_LENGTHS.len();
    let head = "POST / HTTP/1.1\r\n";
    let second = Some((2, Ambiguity::TwoLengths));
    let sized = format!("{head}content-length: {length}\r\n\r\n{TWO_LENGTHS}");
    assert_eq!(ambiguous(&sized), None);
    assert_eq!(ambiguous(&(sized + TWO_LENGTHS)), second);
    let chunk = format!("{length:X};content-length: 1\r\n{TWO_LENGTHS}\r\n");
    let chunks = format!("{head}transfer-encoding: chunked\r\n\r\n{chunk}{chunk}");
    for end in ["0\r\n\r\n", "00;x\r\ncontent-length: 1\r\n\r\n"] {
        assert_eq!(ambiguous(&format!("{chunks}{end}")), None);
        assert_eq!(
            ambiguous(&format!("{chunks}{end}{TWO_LENGTHS}")),
            second,
            "{end:?}"
        );
    }
    for end in [
        "0\r\n\n\r\n",
        "0\r\nx: y\n\n",
        "0\n\r\n",
        "5 \r\nabcde\r\n0\r\n\r\n",
        "5;a\rb\r\nabcde\r\n0\r\n\r\n",
        "0\r\nx: a\rb\r\n\r\n",
        "0\r\nx: y\r\n z\r\n\r\n",
    ] {
        let (ambiguous, readable) = follow(&format!("{chunks}{end}{TWO_LENGTHS}"));
        assert_eq!(ambiguous, None, "{end:?}: nothing after it is a request");
        assert!(readable < chunks.len() + end.len(), "{end:?}");
    }
}

#[test]
fn lines_of_a_head_end_in_cr_and_lf() {
    for head in [
        "GET / HTTP/1.1\nhost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: h\n\r\n",
        "GET / HTTP/1.1\r\nhost: h\r\n\n",
        "\nGET / HTTP/1.1\r\nhost: h\r\n\r\n",
    ] {
        let found = ambiguous(&[GET, head, GET].concat());
        assert_eq!(found, Some((2, Ambiguity::BareLf)), "{head:?}");
    }
    assert_eq!(ambiguous(&["\r\n\r\n", GET].concat()), None);
}

#[test]
fn a_target_has_no_fragment() {
    let fragment = "GET /a#b HTTP/1.1\r\nhost: h\r\n\r\n";
    let found = ambiguous(&[GET, fragment].concat());
    assert_eq!(found, Some((2, Ambiguity::Fragment)));
    assert_eq!(ambiguous("GET /a HTTP/1.1\r\nx: #\r\n\r\n"), None);
}

#[test]
fn a_request_and_all_after_it_are_answered_as_ambiguous() {
    let requests = Requests::default();
    Framing::new(requests.clone()).follow([GET, TWO_LENGTHS, GET].concat().as_bytes());
    let answered = [(); 3].map(|()| requests.next_ambiguity().is_some());
    assert_eq!(answered, [false, true, true]);
}
