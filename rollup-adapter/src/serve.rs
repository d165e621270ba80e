//! Serving HTTP to anybody: so many connections, and no patience with those who dawdle.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep};

use crate::shutdown::Shutdown;

/// Most connections at once, WebSockets not counted; others wait to be accepted.
pub const MAX_CONNECTIONS: usize = 1024;
/// How long a client may take to send a request's head, and how long it may be silent before.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may take nothing of what is sent to it.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest head that is read.
const MAX_HEAD: usize = 16 * 1024;
/// How long to wait if no connection can be accepted, most likely for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until told to finish, and until what was asked by then is answered. A request's body is
/// the router's to bound.
pub async fn serve(listener: TcpListener, router: Router, shutdown: Shutdown) {
    serve_at_most(MAX_CONNECTIONS, listener, router, shutdown).await;
}

async fn serve_at_most(
    connections: usize,
    listener: TcpListener,
    router: Router,
    mut shutdown: Shutdown,
) {
    let permits = Arc::new(Semaphore::new(connections));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepting = async {
            let permit = permits.clone().acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            () = shutdown.requested() => break,
            accepted = accepting => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Without it, answers wait for acknowledgements; nothing else depends on it.
        let _ = stream.set_nodelay(true);
        let (router, shutdown) = (router.clone(), shutdown.clone());
        connections.spawn(async move {
            connection(stream, router, shutdown).await;
            drop(permit);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(stream: TcpStream, router: Router, mut shutdown: Shutdown) {
    let stream = Impatient::new(stream, WRITE_TIMEOUT);
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades();
    let mut serving = std::pin::pin!(serving);
    let served = tokio::select! {
        served = &mut serving => served,
        () = shutdown.requested() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "connection ended");
    }
}

/// A stream that breaks if nothing of what is written is taken for a while.
struct Impatient<S> {
    stream: S,
    timeout: Duration,
    /// When patience ends, while something waits to be taken.
    until: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncWrite + Unpin> Impatient<S> {
    fn new(stream: S, timeout: Duration) -> Self {
        Self { stream, timeout, until: None }
    }

    fn bounded<T>(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(written) = write(Pin::new(&mut self.stream), context) {
            self.until = None;
            return Poll::Ready(written);
        }
        let deadline = Instant::now() + self.timeout;
        let until = self.until.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        ready!(until.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
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
        self.bounded(context, |stream, context| stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.bounded(context, |stream, context| stream.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.bounded(context, |stream, context| stream.poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.bounded(context, |stream, context| stream.poll_shutdown(context))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: weft\r\n\r\n";

    /// Reads an answer, which ends with its body.
    async fn answer(stream: &mut TcpStream) -> String {
        let mut read = Vec::new();
        while !read.ends_with(b"hello") {
            assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0, "closed too early");
        }
        String::from_utf8(read).unwrap()
    }

    #[tokio::test]
    async fn connections_above_the_limit_wait_and_shutting_down_ends_all() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(async || "hello"));
        let (trigger, shutdown) = crate::shutdown::channel();
        let serving = tokio::spawn(serve_at_most(1, listener, router, shutdown));
        let mut first = TcpStream::connect(address).await.unwrap();
        first.write_all(REQUEST).await.unwrap();
        assert!(answer(&mut first).await.starts_with("HTTP/1.1 200"));
        let mut second = TcpStream::connect(address).await.unwrap();
        second.write_all(REQUEST).await.unwrap();
        for _ in 0..20 {
            first.write_all(REQUEST).await.unwrap();
            answer(&mut first).await;
        }
        let early = second.try_read(&mut [0]).unwrap_err();
        assert_eq!(early.kind(), io::ErrorKind::WouldBlock);
        drop(first);
        answer(&mut second).await;
        trigger.shut_down();
        serving.await.unwrap();
        assert_eq!(second.read(&mut [0]).await.unwrap(), 0, "closed");
    }

    #[tokio::test]
    async fn who_takes_nothing_is_left_and_who_takes_a_little_is_not() {
        let timeout = Duration::from_millis(50);
        let (ours, mut theirs) = tokio::io::duplex(16);
        let mut ours = Impatient::new(ours, timeout);
        let taking = tokio::spawn(async move {
            let mut taken = [0; 1024];
            theirs.read_exact(&mut taken).await.expect("all of it");
            theirs
        });
        ours.write_all(&[1; 1024]).await.expect("it is taken");
        let _theirs = taking.await.expect("no panic");
        let error = ours.write_all(&[1; 1024]).await.expect_err("nobody takes it");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
