//! The server: bounded connections, and no patience with those who dawdle.

mod client;
mod impatient;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt;
use tower_http::timeout::RequestBodyTimeoutLayer;
use tracing::{debug, warn};

use client::OpenStreams;
pub use client::{Client, OpenStream};
use impatient::Impatient;

/// Most connections at once; others wait to be accepted.
const MAX_CONNECTIONS: usize = 1024;

/// How long a client may take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may pause while sending a request's body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may go without taking anything of what it is sent.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

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
        let client = Client::new(peer.ip(), &streams);
        tokio::spawn(async move {
            let _permit = permit;
            one(Impatient::new(stream, WRITE_TIMEOUT), peer, client, router).await;
        });
    }
}

async fn one(stream: Impatient<TcpStream>, peer: SocketAddr, client: Client, router: Router) {
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
