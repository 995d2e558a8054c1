//! Whether the router still answers. A link that hangs is noticed by its lease, but that of a foreign router may be long (ROS 2's has
//! 60 s), and until then zenoh believes in a connection on which no byte moves (eclipse-zenoh/zenoh#1886). Not for UDP, which loses questions.

use std::time::{Duration, Instant};

use zenoh::handlers::FifoChannelHandler;
use zenoh::query::Reply;
use zenoh::{Session, Wait};

/// From one question to the next.
const GAP: Duration = Duration::from_secs(2);
/// Silence after which the link is given up. zenoh itself ends a question after 10 s, answered or not.
const PATIENCE: Duration = Duration::from_secs(8);
/// A key on which nobody lives: the answer is that there is no answer.
const KEY: &str = "lic/@lic/echo";

#[derive(Default)]
pub(crate) struct Echo {
    asked: Option<Instant>,
    pending: Option<FifoChannelHandler<Reply>>,
    /// A router that never answered may not be allowed to: only one that did is missed.
    answers: bool,
}

impl Echo {
    /// Asks now and then. `false` once a router that used to answer has been silent for too long.
    pub(crate) fn is_heard(&mut self, session: &Session, now: Instant) -> bool {
        let waited = self.asked.map_or(GAP, |asked| now.saturating_duration_since(asked));
        if let Some(pending) = &self.pending {
            // Dropped by zenoh when the router said that this was all.
            while matches!(pending.try_recv(), Ok(Some(_))) {}
            if pending.try_recv().is_err() {
                self.answers |= waited < PATIENCE;
                self.pending = None;
            } else if waited >= PATIENCE {
                self.pending = None;
                return !self.answers;
            }
        } else if waited >= GAP {
            self.asked = Some(now);
            self.pending = session.liveliness().get(KEY).wait().ok();
        }
        true
    }
}
