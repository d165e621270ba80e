//! Events of a stream that many read at the same time: each is made once for all of them.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;
use weft_types::Height;

use super::Problem;

/// How many heights, the last one among them, whose events are shared. A reader that is further behind
/// has its own made.
const SHARED_HEIGHTS: Height = 4;

/// An event: that of a height while it is the last one, or once it is not.
type Key = (Height, bool);

/// The events of the last heights.
pub struct Shared<E>(Mutex<BTreeMap<Key, Arc<OnceCell<E>>>>);

impl<E> Default for Shared<E> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<E: Clone> Shared<E> {
    /// The event of a decided height, `last` being the last one: made by the first who asks, for whom
    /// all others wait. If that fails the next one tries.
    pub async fn get<F: Future<Output = Result<E, Problem>>>(
        &self,
        height: Height,
        last: Height,
        make: impl FnOnce() -> F,
    ) -> Result<E, Problem> {
        match self.cell(height, last) {
            Some(cell) => cell.get_or_try_init(make).await.cloned(),
            None => make().await,
        }
    }

    fn cell(&self, height: Height, last: Height) -> Option<Arc<OnceCell<E>>> {
        let first = last.saturating_sub(SHARED_HEIGHTS - 1);
        if !(first..=last).contains(&height) {
            return None;
        }
        let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *cells = cells.split_off(&(first, false));
        Some(Arc::clone(cells.entry((height, height == last)).or_default()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    async fn get(
        shared: &Shared<String>,
        height: Height,
        last: Height,
        made: &AtomicU32,
    ) -> String {
        let make = || async {
            tokio::task::yield_now().await;
            let number = made.fetch_add(1, Ordering::Relaxed);
            Ok(format!("{height} {last} {number}"))
        };
        shared.get(height, last, make).await.unwrap()
    }

    #[tokio::test]
    async fn an_event_is_made_once_for_all_who_ask_at_the_same_time_and_later() {
        let (shared, made) = (Shared::default(), AtomicU32::new(0));
        let all = (0..50).map(|_| get(&shared, 7, 7, &made));
        let all = futures::future::join_all(all).await;
        assert_eq!(made.load(Ordering::Relaxed), 1);
        assert!(all.iter().all(|event| *event == all[0]));
        assert_eq!(get(&shared, 7, 7, &made).await, all[0]);
        // Once it is not the last one it says so.
        assert_ne!(get(&shared, 7, 8, &made).await, all[0]);
        assert_eq!(get(&shared, 7, 9, &made).await, "7 8 1");
        assert_eq!(made.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded() {
        let (shared, made) = (Shared::default(), AtomicU32::new(0));
        for last in 0..100 {
            for height in 0..=last {
                get(&shared, height, last, &made).await;
            }
        }
        let kept: Vec<Key> = shared.0.lock().unwrap().keys().copied().collect();
        assert_eq!(kept.first(), Some(&(96, false)));
        assert!(kept.len() as u64 <= 2 * SHARED_HEIGHTS, "{kept:?}");
        assert_eq!(
            get(&shared, 95, 99, &made).await,
            format!("95 99 {}", made.load(Ordering::Relaxed) - 1)
        );
    }

    #[tokio::test]
    async fn after_a_failure_the_next_one_tries() {
        let (shared, made) = (Shared::default(), AtomicU32::new(0));
        let failed = shared.get(3, 3, || async { Err(Problem::not_found("none")) }).await;
        assert!(failed.is_err());
        assert_eq!(get(&shared, 3, 3, &made).await, "3 3 0");
    }
}
