//! HTTP/1.1 around a world: one thread for each connection, keep-alive, and a second origin for
//! logs. All threads end soon after the server is dropped.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::message::{Request, Response, Transport};
use crate::world::World;

const TICK: Duration = Duration::from_millis(20);
const HEAD_MAX: usize = 64 * 1024;
const BODY_MAX: usize = 16 * 1024 * 1024;

/// A running server.
#[derive(Debug)]
pub struct Server {
    /// Where the API is: `http://127.0.0.1:PORT`.
    pub url: String,
    /// Address of the API.
    pub addr: SocketAddr,
    /// Address of the origin that holds logs.
    pub blob_addr: SocketAddr,
    stop: Arc<AtomicBool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Api,
    Blob,
}

/// What the thread of a connection depends on.
#[derive(Clone)]
struct Shared {
    world: Arc<Mutex<World>>,
    stop: Arc<AtomicBool>,
    origin: Origin,
}

impl Server {
    /// Serves a world on a free port.
    ///
    /// # Errors
    ///
    /// When no port can be bound.
    pub fn start(world: Arc<Mutex<World>>) -> io::Result<Self> {
        Self::start_on(0, world)
    }

    /// Serves a world on a port; 0 takes a free one.
    ///
    /// # Errors
    ///
    /// When the port cannot be bound.
    pub fn start_on(port: u16, world: Arc<Mutex<World>>) -> io::Result<Self> {
        let api = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let blob = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let (addr, blob_addr) = (api.local_addr()?, blob.local_addr()?);
        lock(&world).options.blob_origin = Some(format!("http://{blob_addr}"));
        let stop = Arc::new(AtomicBool::new(false));
        for (listener, origin) in [(api, Origin::Api), (blob, Origin::Blob)] {
            let shared = Shared { world: Arc::clone(&world), stop: Arc::clone(&stop), origin };
            thread::spawn(move || shared.accept(&listener));
        }
        Ok(Self { url: format!("http://{addr}"), addr, blob_addr, stop })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // A connection wakes each listener, which then sees the stop flag.
        for addr in [self.addr, self.blob_addr] {
            drop(TcpStream::connect(addr));
        }
    }
}

fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn accept(&self, listener: &TcpListener) {
        for stream in listener.incoming() {
            if self.is_over() {
                return;
            }
            let Ok(stream) = stream else { continue };
            let shared = self.clone();
            // The client sees a failed connection as one that ends.
            thread::spawn(move || drop(shared.serve(stream)));
        }
    }

    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TICK))?;
        let mut buffer = Vec::new();
        while let Some(request) = self.read(&mut stream, &mut buffer)? {
            let is_graphql = request.path_and_query.ends_with("/graphql");
            let response = {
                let mut world = lock(&self.world);
                world.counters.enter(is_graphql);
                match self.origin {
                    Origin::Api => world.answer(&request),
                    Origin::Blob => world.answer_blob(&request),
                }
            };
            let outcome = self.write(&mut stream, &request, &response);
            lock(&self.world).counters.leave(is_graphql);
            let wants_close = |value: &str| value.eq_ignore_ascii_case("close");
            if !outcome? || request.header("connection").is_some_and(wants_close) {
                break;
            }
        }
        Ok(())
    }

    /// Waits, unless the server stops; returns false when it stops.
    fn wait(&self, duration: Duration) -> bool {
        let mut left = duration;
        while !left.is_zero() && !self.is_over() {
            let nap = left.min(TICK);
            thread::sleep(nap);
            left -= nap;
        }
        !self.is_over()
    }

    /// The next request; none when the client or the server has ended the connection.
    fn read(&self, stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<Request>> {
        let invalid = |text: &'static str| io::Error::new(ErrorKind::InvalidData, text);
        loop {
            if let Some((request, len)) = parse(buffer).map_err(invalid)? {
                buffer.drain(..len);
                return Ok(Some(request));
            }
            let mut chunk = [0; 16 * 1024];
            match stream.read(&mut chunk) {
                Ok(0) => return Ok(None),
                Ok(len) => buffer.extend_from_slice(&chunk[..len]),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => return Err(error),
            }
            if self.is_over() {
                return Ok(None);
            }
        }
    }

    /// Writes an answer; returns true if the connection can be reused.
    fn write(
        &self,
        stream: &mut TcpStream,
        request: &Request,
        response: &Response,
    ) -> io::Result<bool> {
        if !self.wait(Duration::from_millis(response.latency_ms)) {
            return Ok(false);
        }
        let body: &[u8] = if request.method == "HEAD" { &[] } else { &response.body };
        let half = body.len() / 2;
        match response.transport {
            None => {
                let mut whole = head(response, Some(body.len() as u64));
                whole.extend_from_slice(body);
                stream.write_all(&whole)?;
                return Ok(true);
            }
            Some(Transport::ResetBefore) => reset(stream, &[])?,
            Some(Transport::ResetMidBody) => {
                let mut part = head(response, Some(body.len() as u64));
                part.extend_from_slice(&body[..half]);
                reset(stream, &part)?;
            }
            Some(Transport::ShortBody) => {
                stream.write_all(&head(response, Some(body.len() as u64)))?;
                stream.write_all(&body[..half])?;
            }
            Some(Transport::ChunkedWithoutEnd) => {
                stream.write_all(&head(response, None))?;
                stream.write_all(format!("{:x}\r\n", body.len()).as_bytes())?;
                stream.write_all(body)?;
                stream.write_all(b"\r\n")?;
                self.linger(stream)?;
            }
            Some(Transport::Drip(ms)) => {
                stream.write_all(&head(response, Some(body.len() as u64)))?;
                for byte in body {
                    if !self.wait(Duration::from_millis(ms)) {
                        break;
                    }
                    stream.write_all(&[*byte])?;
                }
            }
            Some(Transport::Silence) => self.linger(stream)?,
            Some(Transport::Huge(len)) => self.huge(stream, response, len)?,
        }
        Ok(false)
    }

    fn huge(&self, stream: &mut TcpStream, response: &Response, len: u64) -> io::Result<()> {
        stream.write_all(&head(response, Some(len)))?;
        let line = b"2030-03-17T17:46:40.0000000Z one more line of a very long log\n";
        let block = line.repeat(1024);
        let mut left = len;
        while left > 0 && !self.is_over() {
            let part = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
            stream.write_all(&block[..part])?;
            left -= part as u64;
        }
        Ok(())
    }

    /// Keeps the connection open until the client closes it.
    fn linger(&self, stream: &mut TcpStream) -> io::Result<()> {
        while !self.is_over() {
            match stream.read(&mut [0; 64]) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Shuts a connection down after `part`.
fn reset(stream: &mut TcpStream, part: &[u8]) -> io::Result<()> {
    stream.write_all(part)?;
    stream.flush()?;
    stream.shutdown(Shutdown::Both)
}

fn head(response: &Response, len: Option<u64>) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {} {}\r\n", response.status, reason(response.status));
    for (name, value) in &response.headers {
        text += &format!("{name}: {value}\r\n");
    }
    match len {
        // A 304 has neither a body nor a length.
        Some(_) if response.status == 304 => {}
        Some(len) => text += &format!("content-length: {len}\r\n"),
        None => text += "transfer-encoding: chunked\r\n",
    }
    text += "\r\n";
    text.into_bytes()
}

const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        429 => "Too Many Requests",
        _ => "Status",
    }
}

/// The whole request at the start of `buffer`, and its length; none if it is incomplete.
fn parse(buffer: &[u8]) -> Result<Option<(Request, usize)>, &'static str> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut headers);
    let head = match parsed.parse(buffer) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) if buffer.len() < HEAD_MAX => return Ok(None),
        Ok(httparse::Status::Partial) => return Err("the head is too long"),
        Err(_) => return Err("this is not HTTP"),
    };
    let mut request = Request {
        method: parsed.method.unwrap_or("").to_owned(),
        path_and_query: parsed.path.unwrap_or("").to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
    };
    for header in parsed.headers {
        let value = String::from_utf8_lossy(header.value).into_owned();
        request.headers.push((header.name.to_lowercase(), value));
    }
    if request.header("transfer-encoding").is_some() {
        return Err("chunked requests are not understood");
    }
    let len = request.header("content-length").map_or(Ok(0), str::parse::<usize>);
    let len = len.ok().filter(|len| *len <= BODY_MAX).ok_or("the length is not good")?;
    if buffer.len() < head + len {
        return Ok(None);
    }
    request.body = buffer[head..head + len].to_vec();
    Ok(Some((request, head + len)))
}
