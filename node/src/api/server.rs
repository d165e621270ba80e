//! The server: bounded connections, and no patience with those who dawdle.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Sleep, sleep};
use tower::ServiceExt;
use tower_http::timeout::RequestBodyTimeoutLayer;
use tracing::{debug, warn};

/// Most connections at once; others wait to be accepted.
const MAX_CONNECTIONS: usize = 1024;

/// How long a client may take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may pause while sending a request's body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may go without taking anything of what it is sent.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Most streams that one client may have open.
const MAX_CLIENT_STREAMS: usize = 64;

/// Longest head that is read.
const MAX_HEAD: usize = 16 * 1024;

/// Serves until told to stop.
pub async fn serve(listener: TcpListener, router: Router, mut stop: watch::Receiver<bool>) {
    let router = router.layer(RequestBodyTimeoutLayer::new(BODY_TIMEOUT));
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let streams = Arc::new(OpenStreams::default());
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, most likely: others have to finish first.
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            _ = stop.changed() => return,
        };
        let _ = stream.set_nodelay(true);
        let router = router.clone();
        let client = Client { network: network_of(peer.ip()), streams: Arc::clone(&streams) };
        tokio::spawn(async move {
            let _permit = permit;
            one(Impatient::new(stream, WRITE_TIMEOUT), peer, client, router).await;
        });
    }
}

/// Who sent a request: an address, or the network that one client usually has of IPv6.
#[derive(Clone)]
pub struct Client {
    network: IpAddr,
    streams: Arc<OpenStreams>,
}

impl Client {
    /// Room for one more stream of the client, or `None` if it has too many.
    pub fn open_stream(&self) -> Option<OpenStream> {
        let mut open = self.streams.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(self.network).or_default();
        if *count >= MAX_CLIENT_STREAMS {
            return None;
        }
        *count += 1;
        drop(open);
        Some(OpenStream(self.clone()))
    }
}

/// How many streams clients have open; none is listed that has none.
#[derive(Default)]
struct OpenStreams(Mutex<BTreeMap<IpAddr, usize>>);

/// A stream that is open until this is dropped.
pub struct OpenStream(Client);

impl Drop for OpenStream {
    fn drop(&mut self) {
        let Client { network, streams } = &self.0;
        let mut open = streams.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(network) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(network);
            }
        }
    }
}

fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

async fn one<S>(stream: Impatient<S>, peer: SocketAddr, client: Client, router: Router)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(client.clone());
        router.clone().oneshot(request.map(axum::body::Body::new))
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        debug!(%peer, %error, "connection ended");
    }
}

/// A connection that fails when the other end takes nothing for too long.
struct Impatient<S> {
    stream: S,
    patience: Duration,
    /// Runs while the other end takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Impatient<S> {
    fn new(stream: S, patience: Duration) -> Self {
        Self { stream, patience, stalled: None }
    }

    /// What came of a write, unless it has been waiting for too long.
    fn judge<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let patience = self.patience;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(patience)));
        match stalled.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.judge(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.judge(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.judge(context, shut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    const PATIENCE: Duration = Duration::from_millis(200);

    #[tokio::test]
    async fn who_takes_nothing_is_given_up() {
        let (ours, theirs) = duplex(64);
        let mut ours = Impatient::new(ours, PATIENCE);
        let stuck = ours.write_all(&[0; 65]).await;
        assert_eq!(stuck.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(theirs);
    }

    #[tokio::test]
    async fn who_takes_a_little_now_and_then_is_waited_for() {
        let (ours, mut theirs) = duplex(64);
        let reading = tokio::spawn(async move {
            let mut taken = 0;
            let mut some = [0; 16];
            while taken < 256 {
                sleep(PATIENCE / 10).await;
                taken += theirs.read(&mut some).await.unwrap();
            }
        });
        Impatient::new(ours, PATIENCE).write_all(&[0; 256]).await.unwrap();
        reading.await.unwrap();
    }

    #[test]
    fn a_client_has_so_many_streams_and_no_more() {
        let streams = Arc::new(OpenStreams::default());
        let client = |address: &str| Client {
            network: network_of(address.parse().unwrap()),
            streams: Arc::clone(&streams),
        };
        let one = client("2001:db8:1:2::3");
        let mut open: Vec<OpenStream> =
            (0..MAX_CLIENT_STREAMS).map(|_| one.open_stream().unwrap()).collect();
        assert!(one.open_stream().is_none());
        assert!(client("2001:db8:1:2:ffff::").open_stream().is_none(), "of the same network");
        assert!(client("2001:db8:1:3::3").open_stream().is_some());
        assert!(client("::ffff:10.0.0.1").open_stream().is_some());
        open.pop();
        open.push(one.open_stream().unwrap());
        assert!(one.open_stream().is_none());
        open.clear();
        assert!(streams.0.lock().unwrap().is_empty(), "nothing is remembered of who has left");
    }
}
