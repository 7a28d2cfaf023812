//! Answers requests.

use std::borrow::Cow;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use batchtask_guest::journal::Source;
use batchtask_guest::outcomes::Refusal;
use batchtask_guest::receiver::kind;
use http::{HeaderMap, HeaderValue, Method, Version, header};
use hyper::body::Incoming;
use tokio::sync::SemaphorePermit;

use super::answers::{Answer, closing, http_response};
use super::body::{Body, Unreadable};
use super::crowd::{Hold, Member, Peer};
use super::drain::Watcher;
use super::operate::Operation;
use super::room::RoomPermit;
use super::streams::Stream;
use super::{Audience, Server, forwarded, live};
use crate::component::{Kind, Request, Response};
use crate::intake::{Caller, Trace, method_label, refusal};
use crate::operations::is_operation;
use crate::reads::Read;

/// The sender of a connection's requests.
#[derive(Clone)]
pub(super) struct Sender {
    /// The client's address.
    pub(super) peer: Option<SocketAddr>,
    /// Whether a client certificate was verified.
    pub(super) is_proven: bool,
    /// Whether the client used https.
    pub(super) over_https: bool,
    /// The connection's place in the crowd.
    pub(super) connection: Arc<Connection>,
    /// The requests that the listener serves.
    pub(super) audience: Audience,
    /// The phase of the listener.
    pub(super) watcher: Watcher,
}

impl Sender {
    fn ip(&self) -> Option<IpAddr> {
        self.peer.map(|peer| peer.ip())
    }
}

/// The place of a connection in the crowd of connections.
pub(super) struct Connection {
    member: Member,
    hold: OnceLock<Hold>,
}

impl Connection {
    pub(super) fn new(member: Member) -> Self {
        let hold = OnceLock::new();
        Self { member, hold }
    }

    pub(super) fn member(&self) -> &Member {
        &self.member
    }

    /// Protects the connection from eviction until it ends, because its sender has
    /// passed the checks.
    pub(super) fn keep(&self) {
        self.hold.get_or_init(|| self.member.hold());
    }
}

/// The place of an unfinished request in the crowd of such requests.
enum Place {
    /// Over HTTP/1.1: the request's own place.
    Own(Member),
    /// Over HTTP/2: the stream's place, from the head to the end of the answer.
    Stream(Arc<Stream>),
}

impl Place {
    fn member(&self) -> &Member {
        match self {
            Self::Own(member) => member,
            Self::Stream(stream) => stream.member(),
        }
    }
}

/// A complete request that may now be answered.
struct Complete<'a> {
    /// When the answer is due.
    deadline: Instant,
    _turn: SemaphorePermit<'a>,
    _held: Holds,
}

/// What a complete request holds until its response is known.
struct Holds {
    _connection: Hold,
    _place: Option<Hold>,
    _room: Option<RoomPermit>,
}

impl Holds {
    fn new(sender: &Sender, place: Option<&Member>, room: Option<RoomPermit>) -> Self {
        Self {
            _connection: sender.connection.member().hold(),
            _place: place.map(Member::hold),
            _room: room,
        }
    }
}

impl Server {
    pub(super) async fn answer(
        &self,
        request: http::Request<Incoming>,
        sender: &Sender,
    ) -> http::Response<Answer> {
        let (head, body) = request.into_parts();
        let mut request = http::Request::from_parts(head, ());
        let expects_continue = request.headers().contains_key(header::EXPECT);
        let mut body = Body::new(body, self.max_body_bytes, expects_continue);
        let sender = &self.through_proxies(sender, request.headers());
        let version = request.version();
        let target = request.uri().path_and_query();
        let caller = Caller {
            method: method_label(request.method().as_str()),
            kind: kind(target.map_or("/", |target| target.as_str())),
            peer: sender.peer,
            is_proven: sender.is_proven,
            source: Source::Push,
        };
        let is_served = sender.audience.includes(&request, caller.kind);
        let origins = self.allowed_origins();
        let origin = origins.allowed(request.headers());
        let live = live::requested(&request).filter(|_| is_served);
        if let Some(after) = live {
            *request.uri_mut() = live::check_target(after);
        }
        let trace = Trace::of_http(self.intake.tracer(), &caller, &request);
        let (response, read) = self
            .intake
            .observe(&caller, trace, async |deadline, trace: &mut Trace| {
                if !is_served {
                    return (refusal(Refusal::NotFound, None), None);
                }
                let is_login = is_login(&request);
                if is_login && !self.logins.admit(sender.ip()) {
                    return (refusal(Refusal::TooManyLogins, None), None);
                }
                let exchanged = self.exchange(request, &mut body, sender, deadline, trace);
                let (response, read) = exchanged.await;
                if is_login && response.status == 401 {
                    self.logins.failed(sender.ip());
                }
                (response, read)
            })
            .await;
        let status = response.status;
        // Slow clients were given their time, and an overloaded host has none.
        if !matches!(status, 408 | 503) {
            body.discard().await;
        }
        let mut answer = match live {
            Some(after) if status == 200 => self.live(after, sender),
            _ => http_response(response, read),
        };
        // A wrong path of the webhook must look like any unknown path.
        if caller.kind == Kind::Read || status == 404 {
            answer
                .headers_mut()
                .append(header::VARY, HeaderValue::from_static("accept-encoding"));
            origins.mark(origin, answer.headers_mut());
        }
        if !body.is_whole() && version < Version::HTTP_2 {
            // The rest of the body would be read as the next request, so close the
            // connection and say so.
            answer = closing(answer);
        }
        answer
    }

    /// Begins a live stream of the feed, for a sender who may read it.
    fn live(&self, after: u64, sender: &Sender) -> http::Response<Answer> {
        let Some(place) = self.live.enter() else {
            return http_response(refusal(Refusal::Overloaded, None), None);
        };
        let journal = self.intake.journal().clone();
        let watcher = sender.watcher.clone();
        live::answer(journal, after, place, watcher, self.limits.write_time())
    }

    /// Returns the sender of a request, with the address that trusted proxies report.
    fn through_proxies<'a>(&self, sender: &'a Sender, headers: &HeaderMap) -> Cow<'a, Sender> {
        let Some(proxies) = &self.trusted().forwarders else {
            return Cow::Borrowed(sender);
        };
        let over_https = forwarded::over_https(headers, proxies, sender.peer);
        Cow::Owned(Sender {
            peer: forwarded::client(headers, proxies, sender.peer),
            over_https: over_https.unwrap_or(sender.over_https),
            ..sender.clone()
        })
    }

    /// Answers a request. Returns the response, and the read slot that it holds.
    async fn exchange(
        &self,
        request: http::Request<()>,
        body: &mut Body,
        sender: &Sender,
        deadline: Instant,
        trace: &mut Trace,
    ) -> (Response, Option<Read>) {
        let (head, ()) = request.into_parts();
        let mut request = wire_request(&head, sender);
        if let Some(operation) = Operation::of(&head.method, head.uri.path()) {
            // Boxed, so that the futures of other requests are small.
            let response = Box::pin(self.operate(operation, &request)).await;
            return (response, None);
        }
        if let Some(operations) = &self.operations
            && is_operation(&request.method, &request.target)
            && let Some(response) = operations.answer(&request).await
        {
            return (response, None);
        }
        match self.complete(&mut request, body, sender, deadline).await {
            Ok(complete) => {
                // Boxed, so that a request whose body is arriving is small.
                let answered = Box::pin(self.intake.answer(request, complete.deadline, trace));
                let (response, read) = answered.await;
                if is_let_in(&response) {
                    sender.connection.keep();
                    if let Some(stream) = Stream::current() {
                        stream.keep();
                    }
                }
                (response, read)
            }
            Err(response) => (*response, None),
        }
    }

    /// Reads the body of a request, unless its head is refused, and waits for
    /// its turn to be answered.
    async fn complete<'a>(
        &'a self,
        request: &mut Request,
        body: &mut Body,
        sender: &'a Sender,
        deadline: Instant,
    ) -> Result<Complete<'a>, Box<Response>> {
        // Wait before reading the body, so that waiting requests hold no bodies.
        let turn = self.intake.turn(deadline).await?;
        // If the body has arrived with the head, no separate check of the head is
        // needed.
        if let Some(read) = body.read_at_once().await {
            read.map_err(unreadable)?;
            request.body = body.take();
            let stream = Stream::current();
            let place = stream.as_deref().map(Stream::member);
            let held = Holds::new(sender, place, None);
            return Ok(Complete {
                deadline,
                _turn: turn,
                _held: held,
            });
        }
        // A request whose body is still arriving must not delay complete ones.
        drop(turn);
        let mut arriving = Arriving::new(self, sender, deadline)?;
        let admitted = Box::pin(self.intake.head(request, deadline)).await;
        if let Some(admission) = admitted? {
            if admission.max_body_bytes == 0 {
                return arriving.complete().await;
            }
            body.limit_to(usize::try_from(admission.max_body_bytes).unwrap_or(usize::MAX));
            if admission.sender_proven {
                arriving.sender_is_proven();
            }
        }
        arriving.read(body).await?;
        request.body = body.take();
        arriving.complete().await
    }
}

/// A request whose body is arriving.
struct Arriving<'a> {
    server: &'a Server,
    sender: &'a Sender,
    place: Place,
    is_proven: bool,
    /// Protects the place from eviction.
    hold: Option<Hold>,
    room: Option<RoomPermit>,
    /// The latest time at which the request can be answered.
    end: Instant,
}

impl<'a> Arriving<'a> {
    fn new(
        server: &'a Server,
        sender: &'a Sender,
        deadline: Instant,
    ) -> Result<Self, Box<Response>> {
        let place = match Stream::current() {
            Some(stream) => Place::Stream(stream),
            None => {
                let member = server.unfinished.enter(Peer::at(sender.ip()));
                Place::Own(member.ok_or_else(|| refusal(Refusal::Overloaded, None))?)
            }
        };
        Ok(Self {
            server,
            sender,
            place,
            is_proven: false,
            hold: None,
            room: None,
            end: deadline + server.limits.body_time(),
        })
    }

    /// Records that the sender is proven, so the request is never evicted.
    fn sender_is_proven(&mut self) {
        self.is_proven = true;
        self.hold = Some(self.place.member().hold());
        self.sender.connection.keep();
    }

    /// Reads the body. If it is long, waits for room first.
    async fn read(&mut self, body: &mut Body) -> Result<(), Box<Response>> {
        self.read_on(body).await?;
        if !body.is_whole() {
            let room = self.take_room(body.longest());
            self.room = Some(self.wait_for(self.end, Refusal::Slow, room).await?);
            body.give_room();
            self.read_on(body).await?;
        }
        Ok(())
    }

    async fn read_on(&self, body: &mut Body) -> Result<(), Box<Response>> {
        let until = Instant::now() + self.server.limits.body_time();
        let read = self.wait_for(until.min(self.end), Refusal::BodyTimeout, body.read());
        read.await?.map_err(unreadable)
    }

    async fn take_room(&self, bytes: usize) -> RoomPermit {
        let room = &self.server.room;
        if self.is_proven {
            room.take_proven(bytes).await
        } else {
            room.take_unproven(bytes, self.peer()).await
        }
    }

    fn peer(&self) -> Peer {
        self.place.member().peer()
    }

    /// Waits for `work`. Returns a refusal if the time `until` passes, or this
    /// request is evicted.
    async fn wait_for<T>(
        &self,
        until: Instant,
        late: Refusal,
        work: impl Future<Output = T>,
    ) -> Result<T, Box<Response>> {
        tokio::select! {
            done = work => Ok(done),
            () = self.evicted() => {
                self.server.evictions.requests.inc();
                let reason = "it was cut off to make room for other requests".to_owned();
                Err(refusal(Refusal::BodyTimeout, Some(reason)).into())
            }
            () = tokio::time::sleep_until(until.into()) => Err(refusal(late, None).into()),
        }
    }

    async fn evicted(&self) {
        let room = async {
            match &self.room {
                Some(room) => room.evicted().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.place.member().evicted() => {}
            () = room => {}
        }
    }

    /// Waits until the request, whose body has arrived, may be answered.
    async fn complete(mut self) -> Result<Complete<'a>, Box<Response>> {
        if let Some(room) = &mut self.room {
            room.keep();
        }
        let held = Holds::new(self.sender, Some(self.place.member()), self.room);
        let due = Instant::now() + self.server.limits.request_time();
        let deadline = due.min(self.end);
        Ok(Complete {
            deadline,
            _turn: self.server.intake.turn(deadline).await?,
            _held: held,
        })
    }
}

fn wire_request(head: &http::request::Parts, sender: &Sender) -> Request {
    Request {
        sender_proven: sender.is_proven,
        over_https: sender.over_https,
        ..request_of(head)
    }
}

/// Converts the head of a request into the component's type. The body is empty, and
/// nothing is known of the sender.
pub(crate) fn request_of(head: &http::request::Parts) -> Request {
    let target = head.uri.path_and_query();
    let headers = head.headers.iter();
    Request {
        method: head.method.as_str().to_owned(),
        target: target.map_or("/", |target| target.as_str()).to_owned(),
        headers: headers
            .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
            .collect(),
        sender_proven: false,
        over_https: false,
        body: Vec::new(),
    }
}

/// Whether a request is a login with a token.
fn is_login<B>(request: &http::Request<B>) -> bool {
    request.method() == Method::POST && request.uri().path().ends_with("/login")
}

fn unreadable(reason: Unreadable) -> Box<Response> {
    refusal(reason.refusal, reason.detail).into()
}

/// Whether the sender of a request passed the receiver's checks.
fn is_let_in(response: &Response) -> bool {
    response.status == 200 && matches!(response.report.kind, Kind::Push | Kind::Read)
}
