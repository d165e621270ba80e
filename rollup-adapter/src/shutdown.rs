//! Telling every task to finish.

use tokio::sync::watch;

/// The side that says when. Dropping it says so too.
#[derive(Debug)]
pub struct Trigger(watch::Sender<bool>);

/// The side that listens. Clones listen to the same trigger.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

/// A trigger and its listener.
pub fn channel() -> (Trigger, Shutdown) {
    let (sender, receiver) = watch::channel(false);
    (Trigger(sender), Shutdown(receiver))
}

impl Trigger {
    /// Tells everybody to finish.
    pub fn shut_down(&self) {
        self.0.send_replace(true);
    }
}

impl Shutdown {
    /// Waits until it is time to finish.
    pub async fn requested(&mut self) {
        // An error means that the trigger is gone, which is a request as well.
        let _ = self.0.wait_for(|requested| *requested).await;
    }

    /// Whether it is time to finish.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}
