//! A stranger on the network among nodes, who says what it likes.

use std::time::Duration;

use eyre::{WrapErr, bail, eyre};
use futures::{AsyncWriteExt, StreamExt};
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol, SwarmBuilder, noise, tcp, yamux};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long connecting or writing may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The streams of the protocol.
pub const URGENT: &str = "/weft/urgent/1";
/// See above.
pub const BULK: &str = "/weft/bulk/1";

/// A connection to one node, under a peer id of its own.
pub struct Stranger {
    peer: PeerId,
    control: libp2p_stream::Control,
    swarm: JoinHandle<()>,
}

impl Stranger {
    /// Connects to a node.
    pub async fn connect(to: Multiaddr) -> eyre::Result<Self> {
        let mut swarm = SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)?
            .with_behaviour(|_| libp2p_stream::Behaviour::new())?
            .with_swarm_config(|config| {
                config.with_idle_connection_timeout(Duration::from_secs(60))
            })
            .build();
        let control = swarm.behaviour().new_control();
        swarm.dial(to)?;
        let connected = timeout(PATIENCE, async {
            loop {
                match swarm.select_next_some().await {
                    SwarmEvent::ConnectionEstablished { peer_id, .. } => return Ok(peer_id),
                    SwarmEvent::OutgoingConnectionError { error, .. } => bail!("refused: {error}"),
                    _ => {}
                }
            }
        });
        let peer = connected.await.wrap_err("nobody answers")??;
        let swarm = tokio::spawn(async move {
            loop {
                swarm.select_next_some().await;
            }
        });
        Ok(Self { peer, control, swarm })
    }

    /// Opens a stream.
    pub async fn open(&mut self, protocol: &'static str) -> eyre::Result<Stream> {
        let opening = self.control.open_stream(self.peer, StreamProtocol::new(protocol));
        timeout(PATIENCE, opening).await?.map_err(|error| eyre!("{error}"))
    }

    /// Opens a stream and writes to it as much as the node takes.
    pub async fn say(&mut self, protocol: &'static str, bytes: &[u8]) -> eyre::Result<()> {
        let mut stream = self.open(protocol).await?;
        timeout(PATIENCE, stream.write_all(bytes)).await??;
        timeout(PATIENCE, stream.flush()).await??;
        Ok(())
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.swarm.abort();
    }
}
