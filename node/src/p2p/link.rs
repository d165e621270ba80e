//! The writing end of a peer: two streams, each fed from its queue.

use std::time::Duration;

use bytes::Bytes;
use futures::AsyncWriteExt;
use libp2p::{PeerId, Stream, StreamProtocol};
use libp2p_stream::Control;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tracing::debug;

use super::behaviour::{BULK, URGENT};
use super::frame;
use super::peers::{Peers, Queues};
use super::swarm::Command;

/// A peer that takes longer to accept a frame is cut off.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// How often to try to open a stream before giving the connection up.
const OPEN_ATTEMPTS: u32 = 5;

/// Writes to a peer until it is gone. If a stream breaks, the connection is closed, so that both
/// ends start anew.
pub fn start(
    peer: PeerId,
    control: &Control,
    hello: &Bytes,
    queues: Queues,
    peers: &Peers,
    swarm: &mpsc::Sender<Command>,
) {
    let generation = queues.generation;
    for (protocol, queue) in [(URGENT, queues.urgent), (BULK, queues.bulk)] {
        let (control, hello, swarm) = (control.clone(), hello.clone(), swarm.clone());
        let peers = peers.clone();
        tokio::spawn(async move {
            // Opening a stream to a peer that is gone would dial it: the swarm's loop does that.
            let goes_on = || peers.is_current(&peer, generation);
            let ended = run(peer, protocol.clone(), control, hello, queue, goes_on).await;
            if let Err(error) = ended {
                debug!(%peer, %protocol, %error, "link closed");
                // If the swarm is gone, so is every link.
                let _ = swarm.send(Command::Disconnect(peer, generation)).await;
            }
        });
    }
}

async fn run(
    peer: PeerId,
    protocol: StreamProtocol,
    control: Control,
    hello: Bytes,
    mut queue: mpsc::Receiver<Bytes>,
    goes_on: impl Fn() -> bool,
) -> std::io::Result<()> {
    let mut stream = open(peer, protocol, control, &goes_on).await?;
    send(&mut stream, &hello).await?;
    flush(&mut stream).await?;
    while let Some(frame) = queue.recv().await {
        send(&mut stream, &frame).await?;
        while let Ok(frame) = queue.try_recv() {
            send(&mut stream, &frame).await?;
        }
        flush(&mut stream).await?;
    }
    // The queue closes when the peer is gone.
    Ok(())
}

async fn open(
    peer: PeerId,
    protocol: StreamProtocol,
    mut control: Control,
    goes_on: impl Fn() -> bool,
) -> std::io::Result<Stream> {
    let mut last = std::io::Error::from(std::io::ErrorKind::NotConnected);
    for attempt in 0..OPEN_ATTEMPTS {
        if !goes_on() {
            break;
        }
        match control.open_stream(peer, protocol.clone()).await {
            Ok(stream) if goes_on() => return Ok(stream),
            // It leads into the peer's next stay, which has its own.
            Ok(_) => break,
            Err(error) => last = std::io::Error::other(error),
        }
        sleep(Duration::from_millis(50 << attempt)).await;
    }
    Err(last)
}

async fn send(stream: &mut Stream, bytes: &[u8]) -> std::io::Result<()> {
    timeout(WRITE_TIMEOUT, frame::write(stream, bytes)).await?
}

async fn flush(stream: &mut Stream) -> std::io::Result<()> {
    timeout(WRITE_TIMEOUT, stream.flush()).await?
}
