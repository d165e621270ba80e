//! Who asks: a client may have so many streams open, so that one alone cannot lock others out.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Most streams that one client may have open.
const MAX_CLIENT_STREAMS: usize = 64;

/// Who sent a request: an address, or the network that one client usually has of IPv6.
#[derive(Clone)]
pub struct Client {
    network: IpAddr,
    streams: Arc<OpenStreams>,
}

impl Client {
    /// The client at an address, of those whose streams are counted together.
    pub fn new(address: IpAddr, streams: &Arc<OpenStreams>) -> Self {
        Self { network: network_of(address), streams: Arc::clone(streams) }
    }

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
pub struct OpenStreams(Mutex<BTreeMap<IpAddr, usize>>);

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_so_many_streams_and_no_more() {
        let streams = Arc::new(OpenStreams::default());
        let client = |address: &str| Client::new(address.parse().unwrap(), &streams);
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
