//! A session with the care of `Publisher` and `Subscriber` (tried on and on, watched, closed in bounded time) for other protocols.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use crate::config::Network;
use crate::error::Error;
use crate::link::{Link, Role};
use crate::sync::Threads;

/// zenoh may close a session slowly under loss; nobody waits longer for it.
const STOP: Duration = Duration::from_millis(1500);

/// One role on its own thread. Dropped, it ends within 1.5 s.
pub struct Running {
    stop: Arc<AtomicBool>,
    threads: Threads,
}

impl Running {
    /// Opens `network` for `role`, whoever answers whenever, and hands it `messages`; ends too when all their senders are gone.
    ///
    /// # Errors
    /// What is wrong in `network`; a thread that cannot start.
    pub fn start<R: Role>(network: &Network, role: R, messages: Receiver<R::Message>) -> Result<Self, Error> {
        let plan = network.plan()?;
        let stop = Arc::new(AtomicBool::new(false));
        let threads = Threads::default();
        let link_stop = stop.clone();
        threads.spawn("lic-link", move || Link::new(plan, role, messages, link_stop).run())?;
        Ok(Self { stop, threads })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.threads.join(STOP);
    }
}
