//! A server for tests that writes exact bytes: what it does wrong, it does wrong on purpose.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};
use url::Url;

use crate::target::UrlTarget;

/// A request as it stood on the wire.
#[derive(Debug, Clone)]
pub(in crate::transport) struct SeenRequest {
    /// Request line and fields.
    pub(in crate::transport) head: String,
    /// The body.
    pub(in crate::transport) body: String,
    /// Which connection brought it, counted from zero.
    pub(in crate::transport) connection: usize,
}

/// What the server does in turn.
pub(in crate::transport) enum Step {
    /// Writes bytes.
    Write(Vec<u8>),
    /// Writes bytes one at a time, each in a packet of its own.
    Trickle(Vec<u8>),
    /// Writes the same bytes until the client goes.
    Endless(Vec<u8>),
    /// Writes what the test pushes, until the test says that it is over.
    Follow,
    /// Does nothing until the client goes.
    Hang,
    /// Ends the connection in good order.
    Close,
    /// Ends the connection with a reset.
    Reset,
}

type Answer = Rc<dyn Fn(&SeenRequest) -> Vec<Step>>;

/// The server. It lives as long as the local task set that it was started in.
pub(in crate::transport) struct TestServer {
    pub(in crate::transport) url: Url,
    seen: Rc<RefCell<Vec<SeenRequest>>>,
    pushes: RefCell<Option<mpsc::UnboundedSender<Vec<u8>>>>,
}

type Pushed = Rc<Mutex<mpsc::UnboundedReceiver<Vec<u8>>>>;

impl SeenRequest {
    pub(in crate::transport) fn method(&self) -> &str {
        self.head.split(' ').next().unwrap()
    }

    pub(in crate::transport) fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }

    /// The value of a field whose name is spelled exactly so.
    pub(in crate::transport) fn field(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

impl TestServer {
    /// Listens on a free port of the loopback address, path `/mcp`.
    pub(in crate::transport) async fn start(answer: impl Fn(&SeenRequest) -> Vec<Step> + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let seen: Rc<RefCell<Vec<SeenRequest>>> = Rc::default();
        let (pushes, pushed) = mpsc::unbounded_channel();
        let pushed = Rc::new(Mutex::new(pushed));
        let answer: Answer = Rc::new(answer);
        let accepting = Rc::clone(&seen);
        tokio::task::spawn_local(async move {
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let serving = serve(
                    BufReader::new(stream),
                    connection,
                    Rc::clone(&accepting),
                    Rc::clone(&answer),
                    Rc::clone(&pushed),
                );
                tokio::task::spawn_local(serving);
            }
        });
        Self {
            url,
            seen,
            pushes: RefCell::new(Some(pushes)),
        }
    }

    /// Answers every request with the same bytes.
    pub(in crate::transport) async fn fixed(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::start(move |_| vec![Step::Write(bytes.clone())]).await
    }

    pub(in crate::transport) fn target(&self) -> UrlTarget {
        UrlTarget {
            url: self.url.clone(),
            headers: Vec::new(),
            transport: None,
        }
    }

    pub(in crate::transport) fn seen(&self) -> Vec<SeenRequest> {
        self.seen.borrow().clone()
    }

    /// Methods and paths of the requests so far.
    pub(in crate::transport) fn requests(&self) -> Vec<String> {
        self.seen
            .borrow()
            .iter()
            .map(|request| format!("{} {}", request.method(), request.path()))
            .collect()
    }

    /// Bytes for whoever follows.
    pub(in crate::transport) fn push(&self, bytes: impl Into<Vec<u8>>) {
        self.pushes.borrow().as_ref().unwrap().send(bytes.into()).unwrap();
    }

    /// Ends the following.
    pub(in crate::transport) fn end_pushes(&self) {
        *self.pushes.borrow_mut() = None;
    }
}

/// Runs a test as the harness runs a session, and fails it rather than hang.
pub(in crate::transport) fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let set = tokio::task::LocalSet::new();
    let limited = async { tokio::time::timeout(Duration::from_secs(30), test).await };
    set.block_on(&runtime, limited).expect("the test ends within its time")
}

/// A response with these status, fields and body, and a length.
pub(in crate::transport) fn response(status: &str, fields: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A 200 response with a JSON body.
pub(in crate::transport) fn json(body: &str) -> Vec<u8> {
    response("200 OK", "Content-Type: application/json\r\n", body)
}

/// The head of an event stream that ends with the connection.
pub(in crate::transport) const STREAM_HEAD: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";

/// An event stream with these bytes, which ends with the connection.
pub(in crate::transport) fn stream(events: &str) -> Vec<Step> {
    vec![Step::Write(format!("{STREAM_HEAD}{events}").into_bytes()), Step::Close]
}

async fn serve(
    mut stream: BufReader<TcpStream>,
    connection: usize,
    seen: Rc<RefCell<Vec<SeenRequest>>>,
    answer: Answer,
    pushed: Pushed,
) {
    while let Some(request) = read_request(&mut stream, connection).await {
        seen.borrow_mut().push(request.clone());
        for step in answer(&request) {
            if !take(&mut stream, step, &pushed).await {
                return;
            }
        }
    }
}

/// Whether the connection goes on.
async fn take(stream: &mut BufReader<TcpStream>, step: Step, pushed: &Pushed) -> bool {
    match step {
        Step::Write(bytes) => stream.write_all(&bytes).await.is_ok(),
        Step::Trickle(bytes) => {
            for byte in bytes {
                if stream.write_all(&[byte]).await.is_err() {
                    return false;
                }
                tokio::task::yield_now().await;
            }
            true
        }
        Step::Endless(bytes) => {
            while stream.write_all(&bytes).await.is_ok() {
                tokio::task::yield_now().await;
            }
            false
        }
        Step::Follow => {
            let mut pushed = pushed.lock().await;
            while let Some(bytes) = pushed.recv().await {
                if stream.write_all(&bytes).await.is_err() {
                    return false;
                }
            }
            false
        }
        Step::Hang => {
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            false
        }
        Step::Close => false,
        Step::Reset => {
            stream.get_ref().set_zero_linger().unwrap();
            false
        }
    }
}

async fn read_request(stream: &mut BufReader<TcpStream>, connection: usize) -> Option<SeenRequest> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(bytes).unwrap();
    let mut request = SeenRequest {
        head,
        body: String::new(),
        connection,
    };
    let length = request
        .field("Content-Length")
        .or(request.field("content-length"))
        .map_or(0, |text| text.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    request.body = String::from_utf8_lossy(&body).into_owned();
    Some(request)
}
