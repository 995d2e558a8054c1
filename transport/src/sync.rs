//! Locks that outlive a panic elsewhere, and threads that are waited for only so long.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Every critical section of this crate leaves its data valid, so a poisoned lock is as good as any.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Waits on `condition` for at most `time`.
pub(crate) fn wait<'a, T>(condition: &Condvar, guard: MutexGuard<'a, T>, time: Duration) -> MutexGuard<'a, T> {
    condition.wait_timeout(guard, time).unwrap_or_else(|poisoned| poisoned.into_inner()).0
}

/// Threads that are asked to end and then left behind if a stalled network holds them.
#[derive(Default)]
pub(crate) struct Threads {
    alive: Arc<(Mutex<usize>, Condvar)>,
}

/// Counts its thread out, even when it panics.
struct Alive(Arc<(Mutex<usize>, Condvar)>);

impl Threads {
    pub(crate) fn spawn(&self, name: &str, body: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        *lock(&self.alive.0) += 1;
        let alive = Alive(self.alive.clone());
        std::thread::Builder::new().name(name.into()).spawn(move || {
            let _alive = alive;
            body();
        })?;
        Ok(())
    }

    /// Waits until all have ended, at most `time`. Returns whether they have.
    pub(crate) fn join(&self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        let mut alive = lock(&self.alive.0);
        while *alive > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            alive = wait(&self.alive.1, alive, left);
        }
        true
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        *lock(&self.0.0) -= 1;
        self.0.1.notify_all();
    }
}
