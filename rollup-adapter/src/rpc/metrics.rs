//! What the RPC is counted by.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

/// What the RPC is counted by. Clones share.
#[derive(Clone, Debug, Default)]
pub struct RpcMetrics {
    calls: Counter,
    errors: Counter,
}

impl RpcMetrics {
    /// Registers the counts.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("rpc_calls", "JSON-RPC calls answered", metrics.calls.clone());
        registry.register("rpc_errors", "Of those, with an error", metrics.errors.clone());
        metrics
    }

    pub(super) fn answered(&self, is_error: bool) {
        self.calls.inc();
        if is_error {
            self.errors.inc();
        }
    }
}
