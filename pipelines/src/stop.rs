//! Ctrl-C and SIGTERM: the first ends what runs in good order, the second at once.

use crate::commands::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the user has had enough.
pub struct Stop {
    wanted: Arc<AtomicBool>,
    /// The first one was seen; some programs send two at once, which are one.
    seen: Arc<AtomicBool>,
}

impl Stop {
    /// Listens from now on.
    pub fn listen() -> Result<Stop, Error> {
        let stop = Stop { wanted: Arc::default(), seen: Arc::default() };
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, stop.seen.clone())?;
            signal_hook::flag::register(signal, stop.wanted.clone())?;
        }
        Ok(stop)
    }

    pub fn wanted(&self) -> bool {
        let wanted = self.wanted.load(Ordering::Relaxed);
        self.seen.store(wanted, Ordering::Relaxed);
        wanted
    }
}
