//! A sink component for tests. Its setting `BEHAVIOUR` says what it does.

wit_bindgen::generate!({
    path: "../../../../wit",
    world: "batchtask:receiver/sink",
    generate_all,
});

use std::net::TcpStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use batchtask::receiver::settings;
use exports::batchtask::receiver::delivery::{Failure, Guest, Message, Unavailable};
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{Fields, Method, OutgoingBody, OutgoingRequest, Scheme};
use wasip2::io::poll::poll;

struct Hostile;

export!(Hostile);

/// Remains from one call to the next if the instance does.
static CALLS: AtomicU32 = AtomicU32::new(0);

impl Guest for Hostile {
    fn deliver(message: Message) -> Result<(), Failure> {
        let behaviour = setting("BEHAVIOUR");
        match behaviour.as_str() {
            "post" => report(post(&setting("URL"), message.cloud_event.as_bytes())),
            "loop" => loop {
                std::hint::spin_loop();
            },
            "sleep" => loop {
                std::thread::sleep(Duration::from_secs(3600));
            },
            "memory" => {
                let mut all = Vec::new();
                loop {
                    all.push(vec![1_u8; 1 << 20]);
                }
            }
            "panic" => panic!("it gave up on {}", message.id),
            "write" => {
                for _ in 0..10_000 {
                    println!("{}", "x".repeat(1000));
                }
                Ok(())
            }
            "many" => {
                let sent = (0..10_000).filter(|_| post(&setting("URL"), b"{}").is_ok());
                Err(Failure::Refused(format!("{} answers", sent.count())))
            }
            "long" => report(post(&setting("URL"), &vec![b'x'; 16 << 20])),
            "later" => Err(Failure::Unavailable(Unavailable {
                reason: "later\nplease".into(),
                retry_after_s: Some(7),
            })),
            "calls" => Err(Failure::Refused(
                CALLS.fetch_add(1, Ordering::Relaxed).to_string(),
            )),
            "look" => Err(Failure::Refused(look())),
            other => panic!("unknown behaviour `{other}`"),
        }
    }
}

/// Tries to reach what a sink must not reach. Returns what it found.
fn look() -> String {
    let mut found = Vec::new();
    found.extend(std::env::vars().map(|(name, _)| name));
    found.extend(std::env::args());
    found.extend(std::fs::read_dir("/").is_ok().then(|| "files".into()));
    let connected = TcpStream::connect(setting("ADDRESS")).is_ok();
    found.extend(connected.then(|| "sockets".into()));
    found.join(", ")
}

fn report(sent: Result<u16, String>) -> Result<(), Failure> {
    match sent {
        Ok(200) => Ok(()),
        Ok(status) => Err(Failure::Refused(status.to_string())),
        Err(reason) => Err(Failure::Unavailable(Unavailable {
            reason,
            retry_after_s: None,
        })),
    }
}

fn setting(wanted: &str) -> String {
    let mut all = settings::all().into_iter();
    let found = all.find(|(name, _)| name == wanted);
    found.map(|(_, value)| value).unwrap_or_default()
}

fn post(url: &str, body: &[u8]) -> Result<u16, String> {
    let (_, rest) = url.split_once("://").expect("a URL");
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let request = OutgoingRequest::new(Fields::from_list(&[]).expect("no fields"));
    request.set_method(&Method::Post).expect("a method");
    request.set_scheme(Some(&Scheme::Http)).expect("a scheme");
    request
        .set_authority(Some(authority))
        .expect("an authority");
    request.set_path_with_query(Some(path)).expect("a path");
    let outgoing = request.body().expect("a body");
    let response = handle(request, None).map_err(|error| error.to_string())?;
    let stream = outgoing.write().expect("a stream");
    for part in body.chunks(4096) {
        if stream.blocking_write_and_flush(part).is_err() {
            break;
        }
    }
    drop(stream);
    let _ = OutgoingBody::finish(outgoing, None);
    poll(&[&response.subscribe()]);
    match response.get() {
        Some(Ok(Ok(response))) => Ok(response.status()),
        Some(Ok(Err(error))) => Err(error.to_string()),
        _ => Err("there is no answer".into()),
    }
}
