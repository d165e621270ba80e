//! What is thought of the endpoints, shared with whoever shows it.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use weft_types::Height;

use super::health::Health;
use crate::api::Endpoint;

/// One endpoint, as shown to an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EndpointStatus {
    /// Where it is.
    pub url: String,
    /// Failures in a row.
    pub failures: u32,
    /// Why it is not used again, if it is not.
    pub quarantined: Option<String>,
    /// The last height it served that was verified.
    pub height: Option<Height>,
}

/// All endpoints, as of now. Clones share.
#[derive(Clone, Debug)]
pub struct SourceStatus(Arc<Mutex<Vec<EndpointStatus>>>);

impl SourceStatus {
    pub(super) fn new(endpoints: &[Endpoint]) -> Self {
        let status = |endpoint: &Endpoint| EndpointStatus {
            url: endpoint.url().to_string(),
            failures: 0,
            quarantined: None,
            height: None,
        };
        Self(Arc::new(Mutex::new(endpoints.iter().map(status).collect())))
    }

    pub(super) fn update(&self, index: usize, health: &Health, height: Option<Height>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(status) = all.get_mut(index) {
            let (failures, quarantined) = health.of(index);
            status.failures = failures;
            status.quarantined = quarantined.map(str::to_owned);
            status.height = height.or(status.height);
        }
    }

    /// Whether an endpoint has not been quarantined.
    pub fn is_trusted(&self, index: usize) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(index).is_some_and(|status| status.quarantined.is_none())
    }

    /// The endpoints, in the order configured.
    pub fn snapshot(&self) -> Vec<EndpointStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
