//! A request that two readers could understand differently is refused, and the bytes
//! after it are not read as a request.

use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::EXAMPLE;
use crate::support::host::{Host, Setup};
use crate::support::ledger::all_events;
use crate::support::notifications::Notification;
use crate::support::random::Random;

/// The header fields of a request without `Host`, and the bytes after the head.
struct Mutation {
    what: &'static str,
    fields: String,
    rest: String,
}

/// Returns another complete notification, which must not be read as a request.
fn smuggled() -> String {
    let body = Notification::numbered(7).body();
    format!(
        "POST /notifications HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn chunked(body: &str) -> String {
    format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
}

/// Returns requests whose length two readers could understand differently. `L` stands
/// for the true length of the body.
fn mutations() -> Vec<Mutation> {
    let length = EXAMPLE.len();
    let whole = format!("{EXAMPLE}{}", smuggled());
    let mut all = Vec::new();
    let mut add = |what, fields: &str, rest: String| {
        let fields = fields.replace('L', &length.to_string());
        all.push(Mutation { what, fields, rest });
    };
    for (what, fields) in [
        (
            "two lengths, the lesser first",
            "content-length: 5\r\ncontent-length: L\r\n",
        ),
        (
            "two lengths, the lesser last",
            "content-length: L\r\ncontent-length: 5\r\n",
        ),
        ("a list of two lengths", "content-length: L, 5\r\n"),
        ("a length with a plus", "content-length: +L\r\n"),
        ("a length with a minus", "content-length: -L\r\n"),
        ("a hexadecimal length", "content-length: 0x10\r\n"),
        ("a length with a fraction", "content-length: L.0\r\n"),
        ("a length with an exponent", "content-length: 1e2\r\n"),
        ("a length with a space in it", "content-length: 1 6\r\n"),
        ("an empty length", "content-length: \r\n"),
        ("a length of letters", "content-length: many\r\n"),
        ("a length with an underscore", "content-length: 1_0\r\n"),
        (
            "a length beyond 64 bits",
            "content-length: 18446744073709551617\r\n",
        ),
        ("a length in quotes", "content-length: \"L\"\r\n"),
        (
            "a length in other digits",
            "content-length: \u{ff11}\u{ff16}\r\n",
        ),
        ("a space before the colon", "content-length : L\r\n"),
        ("a tab before the colon", "content-length\t: L\r\n"),
        ("a length with a NUL", "content-length: L\0\r\n"),
        ("a NUL in a name", "content-le\0ngth: L\r\n"),
        ("a space before a name", " content-length: L\r\n"),
        ("a folded field", "x: y\r\n content-length: L\r\n"),
        ("a folded length", "content-length:\r\n L\r\n"),
        ("a CR in a value", "x: y\rcontent-length: L\r\n"),
        ("a CR before the end", "content-length: L\r\r\n"),
        ("a line without a colon", "content-length L\r\n"),
        ("an empty name", ": L\r\n"),
    ] {
        add(what, fields, whole.clone());
    }
    for (what, fields) in [
        ("a coding that is none", "transfer-encoding: xchunked\r\n"),
        (
            "chunks within chunks, and identity last",
            "transfer-encoding: chunked, identity\r\n",
        ),
        ("identity alone", "transfer-encoding: identity\r\n"),
        (
            "two codings",
            "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
        ),
        (
            "a length and gzip",
            "content-length: L\r\ntransfer-encoding: gzip\r\n",
        ),
        (
            "a space before the colon of the coding",
            "transfer-encoding : chunked\r\n",
        ),
        ("a coding with a NUL", "transfer-encoding: chunked\0\r\n"),
        (
            "a coding with a vertical tab",
            "transfer-encoding: \x0bchunked\r\n",
        ),
        ("a coding in quotes", "transfer-encoding: \"chunked\"\r\n"),
        (
            "a coding with a parameter",
            "transfer-encoding: chunked;q=1\r\n",
        ),
        ("an empty coding", "transfer-encoding:\r\n"),
        ("a folded coding", "transfer-encoding:\r\n chunked\r\n"),
        (
            "a name that only looks so",
            "transfer\u{2010}encoding: chunked\r\n",
        ),
        (
            "a CR before the coding",
            "x: y\rtransfer-encoding: chunked\r\n",
        ),
    ] {
        add(what, fields, format!("{}{}", chunked(EXAMPLE), smuggled()));
    }
    let one = format!("{length:x}\r\n{EXAMPLE}\r\n");
    for (what, rest) in [
        (
            "a chunk size with a minus",
            format!("-{}", chunked(EXAMPLE)),
        ),
        ("a chunk size with a plus", format!("+{}", chunked(EXAMPLE))),
        ("a chunk size with 0x", format!("0x{}", chunked(EXAMPLE))),
        (
            "a chunk size beyond 64 bits",
            format!("10000000000000000{}", chunked(EXAMPLE)),
        ),
        ("an empty chunk size", format!("\r\n{EXAMPLE}\r\n0\r\n\r\n")),
        (
            "a chunk size of letters",
            format!("many\r\n{EXAMPLE}\r\n0\r\n\r\n"),
        ),
        (
            "a space before a chunk size",
            format!(" {}", chunked(EXAMPLE)),
        ),
        (
            "a chunk that is longer than it says",
            format!("5\r\n{EXAMPLE}\r\n0\r\n\r\n"),
        ),
        (
            "a chunk that ends in LF",
            format!("{length:x}\r\n{EXAMPLE}\n0\r\n\r\n"),
        ),
        (
            "a chunk size that ends in LF",
            format!("{length:x}\n{EXAMPLE}\r\n0\r\n\r\n"),
        ),
        (
            "a chunk size that ends in CR",
            format!("{length:x}\r{EXAMPLE}\r\n0\r\n\r\n"),
        ),
        (
            "an extension that ends in LF",
            format!("{length:x};a\nb\r\n{EXAMPLE}\r\n0\r\n\r\n"),
        ),
        ("chunks whose last ends in LF", format!("{one}0\n\n")),
        (
            "a space after a chunk size",
            format!("{length:x} \r\n{EXAMPLE}\r\n0\r\n\r\n"),
        ),
        ("a space after the last size", format!("{one}0 \r\n\r\n")),
        (
            "an extension with a CR",
            format!("{length:x};a\rb\r\n{EXAMPLE}\r\n0\r\n\r\n"),
        ),
        (
            "an extension with a NUL",
            format!("{length:x};a\0b\r\n{EXAMPLE}\r\n0\r\n\r\n"),
        ),
        (
            "a chunk size of 17 digits",
            format!("{length:017x}\r\n{EXAMPLE}\r\n0\r\n\r\n"),
        ),
        ("a trailer that ends in LF", format!("{one}0\r\nx: y\n\r\n")),
        ("trailers that end in LF", format!("{one}0\r\n\n\r\n\r\n")),
        ("a folded trailer", format!("{one}0\r\nx: y\r\n z\r\n\r\n")),
        ("a trailer without a colon", format!("{one}0\r\nx\r\n\r\n")),
        ("a trailer with a CR", format!("{one}0\r\nx: a\rb\r\n\r\n")),
        (
            "chunks whose last is no chunk",
            format!("{one}zero\r\n\r\n"),
        ),
    ] {
        add(what, "transfer-encoding: chunked\r\n", rest + &smuggled());
    }
    all
}

/// Sets up a host that soon ends a silent connection. The tests do not close
/// connections themselves, because that would also end a request that waits for a
/// commit.
fn impatient(folder: &Path) -> Setup {
    let setup = Setup::in_folder(folder).with_admin();
    let options = ["--header-seconds", "--idle-seconds", "--body-seconds"];
    options
        .iter()
        .fold(setup, |setup, option| setup.argument(*option).argument("1"))
}

/// Sends bytes, and reads to the end of the connection.
async fn send(host: &Host, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(host.address()).await.unwrap();
    // The host may close before it has read everything.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

async fn requests(host: &Host) -> f64 {
    host.metrics().await.sum("batchtask_requests_total")
}

#[tokio::test]
async fn a_request_with_a_doubtful_length_is_refused_with_everything_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let host = impatient(folder.path()).start();
    let mutations = mutations();
    for Mutation { what, fields, rest } in &mutations {
        let before = requests(&host).await;
        let request = format!("POST /notifications HTTP/1.1\r\nhost: h\r\n{fields}\r\n{rest}");
        let answer = send(&host, request.as_bytes()).await;
        eprintln!("{what}: {:?}", answer.lines().next());
        assert!(!answer.contains("HTTP/1.1 2"), "{what}: {answer}");
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{what}: {answer}");
        let seen = requests(&host).await - before;
        assert!(seen <= 1.0, "{what}: {seen} requests");
    }
    assert_eq!(all_events(&mut host.client()).await.len(), 0);
    eprintln!("{} mutations", mutations.len());
    // The host still works, and accepts the same requests with a clear length.
    let plain = format!("content-length: {}\r\n\r\n{EXAMPLE}", EXAMPLE.len());
    let chunks = format!("Transfer-Encoding: chunked\r\n\r\n{}", chunked(EXAMPLE));
    for rest in [plain, chunks] {
        let request =
            format!("POST /notifications HTTP/1.1\r\nhost: h\r\nconnection: close\r\n{rest}");
        let answer = send(&host, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
}

/// Header fields with both a length and a transfer coding.
const DOUBTFUL: [&str; 7] = [
    "content-length: 5\r\ntransfer-encoding: chunked\r\n",
    "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
    "Transfer-Encoding:chunked\r\nx: y\r\nCONTENT-LENGTH:\t5 \r\nconnection: keep-alive\r\n",
    "transfer-encoding: chunked\ncontent-length: 5\n",
    "transfer-encoding: chunked\r\ncontent-length: nonsense\r\n",
    "content-length: 0\r\ntransfer-encoding: gzip, chunked\r\n",
    "content-length: 5\r\ntransfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n",
];

fn doubtful(fields: &str) -> String {
    let body = chunked(EXAMPLE);
    format!("POST /notifications HTTP/1.1\r\nhost: h\r\n{fields}\r\n{body}")
}

/// Returns requests whose length is clear, although some look suspicious, each with
/// the status of its answer. Requests with a body go to a path where the body is read,
/// because otherwise the connection would end.
fn plain() -> Vec<(String, &'static str)> {
    let look = "\r\n\r\nPOST / HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n";
    let head = "POST /notifications HTTP/1.1\r\nhost: h\r\n";
    let length = look.len();
    let gets = [
        "GET /nowhere HTTP/1.1\r\nhost: h\r\n\r\n",
        "\r\n\r\nGET /nowhere HTTP/1.1\r\nhost: h\r\nx-content-length: 1\r\n\r\n",
    ];
    let posts = [
        format!("{head}content-length: {length}\r\n\r\n{look}"),
        format!("{head}content-length:  {length}\r\nContent-Length: 0{length} \r\n\r\n{look}"),
        format!("{head}content-length: 0\r\n\r\n"),
        format!(
            "{head}transfer-encoding: chunked\r\n\r\n\
             {length:X} ;q=\"content-length: 1\"\r\n{look}\r\n\
             00{length:x}\r\n{look}\r\n0\r\nContent-Length: 1\r\nx: y\r\n\r\n"
        ),
        format!("{head}transfer-encoding: chunked\r\n\r\n000\r\n\r\n"),
    ];
    let gets = gets.map(|get| (get.to_owned(), "404"));
    let posts = posts.map(|post| (post, "400"));
    gets.into_iter().chain(posts).collect()
}

/// Neither such a request nor the bytes after it are stored.
#[tokio::test]
async fn a_length_with_a_transfer_coding_is_a_400_and_ends_the_connection() {
    let folder = tempfile::tempdir().unwrap();
    let host = impatient(folder.path()).start();
    for fields in DOUBTFUL {
        let request = doubtful(fields) + &smuggled();
        let answer = send(&host, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{fields}: {answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    }
    assert_eq!(all_events(&mut host.client()).await.len(), 0);
    host.client().post(EXAMPLE).await.expect(200, "recorded");
}

/// Returns complete notifications with an ambiguous head.
fn ambiguous() -> Vec<(&'static str, String)> {
    let line = "POST /notifications HTTP/1.1\r\n";
    let length = format!("content-length: {}\r\n\r\n{EXAMPLE}", EXAMPLE.len());
    let mut all = Vec::new();
    for (what, coding) in [
        ("a coding twice", "chunked\r\ntransfer-encoding: chunked"),
        ("chunked twice", "chunked, chunked"),
        ("another coding before", "gzip, chunked"),
        ("another coding after", "chunked, gzip"),
        ("another coding alone", "gzip"),
        ("identity", "identity"),
        ("identity before", "identity, chunked"),
        ("an empty coding after", "chunked,"),
        ("an empty coding line", "chunked\r\ntransfer-encoding:"),
    ] {
        let fields = format!("host: h\r\ntransfer-encoding: {coding}\r\n\r\n");
        all.push((what, format!("{line}{fields}{}", chunked(EXAMPLE))));
    }
    for (what, head) in [
        ("no host", line.to_owned()),
        ("the host twice", format!("{line}host: h\r\nHost: h\r\n")),
        ("two hosts", format!("{line}host: h\r\nx: y\r\nhost: i\r\n")),
        ("a list of hosts", format!("{line}host: h, i\r\n")),
        ("a URL as the host", format!("{line}host: http://h/\r\n")),
        ("a user in the host", format!("{line}host: u@h\r\n")),
        ("a line that ends in LF", format!("{line}host: h\nx: y\r\n")),
        (
            "a request line that ends in LF",
            "POST /notifications HTTP/1.1\nhost: h\r\n".into(),
        ),
        ("LF before the request", format!("\n{line}host: h\r\n")),
        ("a folded line", format!("{line}host: h\r\nx: y\r\n z\r\n")),
        ("a CR in a line", format!("{line}host: h\r\nx: y\rz\r\n")),
        ("a NUL in a line", format!("{line}host: h\r\nx: y\0\r\n")),
        (
            "a space before a colon",
            format!("{line}host: h\r\nx : y\r\n"),
        ),
    ] {
        all.push((what, format!("{head}{length}")));
    }
    for (what, target) in [
        ("a fragment", "/notifications#x"),
        ("a fragment in a URL", "http://h/notifications#x"),
        ("another scheme", "ftp://h/notifications"),
        ("a scheme of WebSocket", "ws://h/notifications"),
        ("a user in a URL", "http://u@h/notifications"),
        ("an authority alone", "h:80"),
    ] {
        let request = format!("POST {target} HTTP/1.1\r\nhost: h\r\n{length}");
        all.push((what, request));
    }
    let http10 = "POST /notifications HTTP/1.0\r\n";
    let coding = format!("transfer-encoding: chunked\r\n\r\n{}", chunked(EXAMPLE));
    all.push(("a coding in HTTP/1.0", format!("{http10}{coding}")));
    let hosts = format!("{http10}host: h\r\nhost: h\r\n{length}");
    all.push(("two hosts in HTTP/1.0", hosts));
    all
}

/// Returns the statuses of the answers on a connection.
fn statuses(answers: &str) -> Vec<&str> {
    let answers = answers.split("HTTP/1.").skip(1);
    answers.map(|answer| &answer[2..5]).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ambiguous_head_is_a_400_and_ends_the_connection() {
    let folder = tempfile::tempdir().unwrap();
    let host = impatient(folder.path()).start();
    let before = "GET /nowhere HTTP/1.1\r\nhost: h\r\n\r\n";
    for (what, request) in ambiguous() {
        let answer = send(&host, (request.clone() + &smuggled()).as_bytes()).await;
        assert_eq!(statuses(&answer), ["400"], "{what}: {answer}");
        assert!(
            answer.contains("\r\nconnection: close\r\n"),
            "{what}: {answer}"
        );
        let answer = send(&host, format!("{before}{request}{}", smuggled()).as_bytes()).await;
        assert_eq!(statuses(&answer), ["404", "400"], "{what}: {answer}");
    }
    assert_eq!(all_events(&mut host.client()).await.len(), 0);
}

/// Unusual requests that all readers understand in the same way.
#[tokio::test]
async fn clear_requests_are_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let host = impatient(folder.path()).start();
    let length = format!("content-length: {}\r\n\r\n{EXAMPLE}", EXAMPLE.len());
    for head in [
        "POST http://receiver.example.com/notifications HTTP/1.1\r\nhost: other\r\n",
        "POST HTTPS://receiver.example.com:443/notifications HTTP/1.1\r\nhost:\r\n",
        "\r\nPOST /notifications HTTP/1.1\r\nhost: [::1]:443\r\n",
        "POST /notifications HTTP/1.0\r\n",
        "POST /notifications HTTP/1.0\r\nhost: h\r\n",
    ] {
        let answer = send(
            &host,
            format!("{head}connection: close\r\n{length}").as_bytes(),
        )
        .await;
        let line = answer.lines().next().unwrap_or_default();
        assert!(line.ends_with(" 200 OK"), "{head}: {answer}");
    }
    // Checks of load balancers reach the receiver, whatever it answers.
    for line in [
        "OPTIONS / HTTP/1.0",
        "GET /health HTTP/1.0",
        "GET / HTTP/1.0",
    ] {
        let before = requests(&host).await;
        let answer = send(&host, format!("{line}\r\n\r\n").as_bytes()).await;
        assert!(!answer.contains(" 400 "), "{line}: {answer}");
        assert_eq!(requests(&host).await, before + 1.0, "{line}: {answer}");
    }
}

/// With any requests before it, and in pieces of any size: each clear request has its
/// answer, and the ambiguous request is the last one that is answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ambiguous_request_is_found_after_other_requests_and_in_pieces() {
    let folder = tempfile::tempdir().unwrap();
    let host = impatient(folder.path()).start();
    let mut random = Random::new(9);
    let plain = plain();
    for round in 0..60 {
        let before = random.below(5);
        let before: Vec<_> = (0..before)
            .map(|_| &plain[random.below(plain.len())])
            .collect();
        let mut bytes: String = before.iter().map(|(request, _)| request.as_str()).collect();
        bytes += &doubtful(random.one_of(&DOUBTFUL));
        bytes += &smuggled();
        let largest = [1 << 20, 1, 7, 100][round % 4];
        let answer = send_in_pieces(&host, bytes.as_bytes(), largest, &mut random).await;
        let mut expected: Vec<_> = before.iter().map(|(_, status)| *status).collect();
        expected.push("400");
        assert_eq!(
            statuses(&answer),
            expected,
            "in pieces of {largest}: {bytes}"
        );
    }
    assert_eq!(all_events(&mut host.client()).await.len(), 0);
}

/// Sends bytes in random pieces, each in its own packet.
async fn send_in_pieces(
    host: &Host,
    mut bytes: &[u8],
    largest: usize,
    random: &mut Random,
) -> String {
    let mut stream = TcpStream::connect(host.address()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut reading, mut writing) = stream.split();
    let mut answer = Vec::new();
    let write = async {
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at(bytes.len().min(1 + random.below(largest)));
            // The host may close before it has read everything.
            if writing.write_all(piece).await.is_err() {
                break;
            }
            bytes = rest;
            tokio::task::yield_now().await;
        }
    };
    let _ = tokio::join!(write, reading.read_to_end(&mut answer));
    String::from_utf8_lossy(&answer).into_owned()
}

/// Invalid request lines.
#[tokio::test]
async fn invalid_requests_are_not_answered_with_success() {
    let folder = tempfile::tempdir().unwrap();
    let host = impatient(folder.path()).start();
    let rest = format!(
        "host: h\r\ncontent-length: {}\r\n\r\n{EXAMPLE}",
        EXAMPLE.len()
    );
    let before = requests(&host).await;
    for line in [
        "POST /notifications HTTP/1.2\r\n",
        "POST /notifications HTTP/2.0\r\n",
        "POST /notifications HTTP/0.9\r\n",
        "POST /notifications HTTP/11\r\n",
        "POST /notifications\r\n",
        "POST  /notifications HTTP/1.1 x\r\n",
        "POST\t/notifications\tHTTP/1.1\r\n",
        "PO ST /notifications HTTP/1.1\r\n",
        "POST /notifi\0cations HTTP/1.1\r\n",
        "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let answer = send(&host, format!("{line}{rest}").as_bytes()).await;
        assert!(!answer.contains("HTTP/1.1 2"), "{line:?}: {answer}");
        assert!(
            answer.matches("HTTP/1.1 ").count() <= 1,
            "{line:?}: {answer}"
        );
    }
    assert_eq!(requests(&host).await, before);
    assert_eq!(all_events(&mut host.client()).await.len(), 0);
}
