//! One end on a session that it may share with others: declared anew whenever there is another session, taken back at the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use zenoh::Session;

use crate::config::Plan;
use crate::error::reason;
use crate::hub::{Hub, View};

/// The longest pause between two looks at the session.
const TICK: Duration = Duration::from_millis(100);

/// What becomes of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkEvent {
    Connected,
    Disconnected,
    /// It does not work yet and this is what a user can do; tried on and on.
    Trouble(String),
}

/// What an end does with its session. All calls come from one thread.
pub trait Role: Send + 'static {
    type Message: Send;

    /// Declares everything on a fresh session.
    fn opened(&mut self, session: &Session) -> zenoh::Result<()>;
    fn message(&mut self, message: Self::Message);
    /// Comes after messages and at least every 100 ms.
    fn tick(&mut self, session: Option<&Session>);
    fn event(&mut self, event: LinkEvent);
    /// Drops what was declared.
    fn closing(&mut self);
}

pub(crate) struct Link<R: Role> {
    hub: Arc<Hub>,
    role: R,
    messages: Receiver<R::Message>,
    stop: Arc<AtomicBool>,
    view: View,
    /// Everything is declared on the session of `view`.
    declared: bool,
    connected: bool,
    /// The newest trouble that was told of.
    told: u64,
}

impl<R: Role> Link<R> {
    pub(crate) fn new(plan: Plan, role: R, messages: Receiver<R::Message>, stop: Arc<AtomicBool>) -> Self {
        let hub = Hub::of(plan);
        Self { hub, role, messages, stop, view: View::default(), declared: false, connected: false, told: 0 }
    }

    /// Runs until `stop` is set or all senders of messages are gone.
    pub(crate) fn run(mut self) {
        while !self.stop.load(Ordering::Acquire) {
            self.follow();
            // With nothing declared yet the session is what to wait for.
            if self.declared {
                match self.messages.recv_timeout(TICK) {
                    Ok(message) => self.role.message(message),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            } else {
                self.hub.await_news(&self.view, TICK);
            }
            while let Ok(message) = self.messages.try_recv() {
                self.role.message(message);
            }
            self.role.tick(self.view.session.as_ref().filter(|_| self.declared));
        }
        self.role.closing();
    }

    /// Takes over what became of the session.
    fn follow(&mut self) {
        let view = self.hub.view();
        if view.generation != self.view.generation {
            if self.declared {
                self.role.closing();
                self.declared = false;
            }
            self.connect(false);
        }
        self.view = view;
        if let (Some(session), false) = (&self.view.session, self.declared) {
            match self.role.opened(session) {
                Ok(()) => self.declared = true,
                Err(error) => {
                    self.role.closing();
                    self.hub.complain(&reason(&error));
                }
            }
        }
        self.connect(self.view.connected && self.declared);
        if let Some((id, text)) = self.view.trouble.clone().filter(|(id, _)| *id > self.told) {
            self.told = id;
            self.role.event(LinkEvent::Trouble(text));
        }
    }

    fn connect(&mut self, connected: bool) {
        if connected != self.connected {
            self.connected = connected;
            self.role.event(if connected { LinkEvent::Connected } else { LinkEvent::Disconnected });
        }
    }
}
