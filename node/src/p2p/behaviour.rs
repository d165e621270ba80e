//! The one swarm's behaviour: streams for what is pushed, request-response for what is asked.

use std::io;
use std::time::Duration;

use arc_malachitebft_sync as sync;
use async_trait::async_trait;
use futures::{AsyncRead, AsyncWrite, AsyncWriteExt};
use libp2p::allow_block_list::{self, BlockedPeers};
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::request_response::{self, ProtocolSupport};
use libp2p::swarm::NetworkBehaviour;
use libp2p::{StreamProtocol, identify, identity, ping};

use super::frame;
use super::message::{FetchRequest, FetchResponse, MAX_FETCH_REQUEST, MAX_FETCH_RESPONSE};

/// The urgent stream's protocol.
pub const URGENT: StreamProtocol = StreamProtocol::new("/weft/urgent/1");

/// The bulk stream's protocol.
pub const BULK: StreamProtocol = StreamProtocol::new("/weft/bulk/1");

const FETCH: StreamProtocol = StreamProtocol::new("/weft/fetch/1");
const SYNC: &str = "/weft/sync/1";
const IDENTIFY: &str = "/weft/1";

/// Most connections from outside: a full committee, and as many full nodes. Configured peers and
/// connections that this node opens do not count.
const MAX_INCOMING: u32 = 512;

/// Most connections being set up from outside at once.
const MAX_PENDING_INBOUND: u32 = 64;

/// A peer that has not answered a fetch by then is asked no more.
const FETCH_TIMEOUT: Duration = Duration::from_secs(2);

/// Everything the swarm speaks.
#[derive(NetworkBehaviour)]
pub struct Behaviour {
    /// Limits on connections.
    pub limits: connection_limits::Behaviour,
    /// Peers that are shut out.
    pub blocked: allow_block_list::Behaviour<BlockedPeers>,
    /// Finds out about dead connections.
    ping: ping::Behaviour,
    /// Tells peers who they talk to, and where this node listens.
    identify: identify::Behaviour,
    /// Opens and accepts the one-way streams.
    pub streams: libp2p_stream::Behaviour,
    /// Asks for batches and observations by name.
    pub fetch: request_response::Behaviour<FetchCodec>,
    /// The engine's sync of decided blocks.
    pub sync: sync::Behaviour,
}

impl Behaviour {
    /// For a node with this network key.
    pub fn new(key: &identity::Keypair, agent: &str, sync: sync::Config) -> eyre::Result<Self> {
        let limits = ConnectionLimits::default()
            .with_max_established_incoming(Some(MAX_INCOMING))
            .with_max_established_per_peer(Some(2))
            .with_max_pending_incoming(Some(MAX_PENDING_INBOUND));
        let ping = ping::Config::new()
            .with_interval(Duration::from_secs(5))
            .with_timeout(Duration::from_secs(10));
        let identify = identify::Config::new(IDENTIFY.to_owned(), key.public())
            .with_agent_version(agent.to_owned())
            .with_push_listen_addr_updates(true);
        let fetch = request_response::Config::default()
            .with_request_timeout(FETCH_TIMEOUT)
            .with_max_concurrent_streams(64);
        Ok(Self {
            limits: connection_limits::Behaviour::new(limits),
            blocked: allow_block_list::Behaviour::default(),
            ping: ping::Behaviour::new(ping),
            identify: identify::Behaviour::new(identify),
            streams: libp2p_stream::Behaviour::new(),
            fetch: request_response::Behaviour::new([(FETCH, ProtocolSupport::Full)], fetch),
            sync: sync::Behaviour::new(sync, SYNC.to_owned())?,
        })
    }
}

/// borsh frames for fetching.
#[derive(Clone, Copy, Debug, Default)]
pub struct FetchCodec;

fn to_io(error: frame::FrameError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[async_trait]
impl request_response::Codec for FetchCodec {
    type Protocol = StreamProtocol;
    type Request = FetchRequest;
    type Response = FetchResponse;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<FetchRequest>
    where
        T: AsyncRead + Unpin + Send,
    {
        let bytes = frame::read(io, MAX_FETCH_REQUEST).await.map_err(to_io)?;
        frame::decode(&bytes).map_err(to_io)
    }

    async fn read_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<FetchResponse>
    where
        T: AsyncRead + Unpin + Send,
    {
        let bytes = frame::read(io, MAX_FETCH_RESPONSE).await.map_err(to_io)?;
        frame::decode(&bytes).map_err(to_io)
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        request: FetchRequest,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        frame::write(io, &frame::encode(&request)).await?;
        io.close().await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        response: FetchResponse,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        frame::write(io, &frame::encode(&response)).await?;
        io.close().await
    }
}
