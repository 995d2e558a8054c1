//! One end's session: opened again and again until somebody answers, watched while it lives, closed in bounded time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use zenoh::{Session, Wait};

use crate::config::Plan;
use crate::error::reason;
use crate::rendezvous::Rendezvous;

/// The longest pause between two tries, and between two looks at a session's health.
const TICK: Duration = Duration::from_millis(100);
/// Others start at the same time as we do: only after this is silence worth a word.
const PATIENCE: Duration = Duration::from_secs(2);

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
    plan: Plan,
    role: R,
    messages: Receiver<R::Message>,
    stop: Arc<AtomicBool>,
    rendezvous: Option<Rendezvous>,
    session: Option<Session>,
    connected: bool,
    /// Since when nobody answers.
    alone: Instant,
    troubled: bool,
}

impl<R: Role> Link<R> {
    pub(crate) fn new(plan: Plan, role: R, messages: Receiver<R::Message>, stop: Arc<AtomicBool>) -> Self {
        let rendezvous = plan.rendezvous.map(Rendezvous::new);
        Self { plan, role, messages, stop, rendezvous, session: None, connected: false, alone: Instant::now(), troubled: false }
    }

    /// Runs until `stop` is set or all senders of messages are gone.
    pub(crate) fn run(mut self) {
        while !self.stop.load(Ordering::Acquire) {
            if self.session.as_ref().is_some_and(Session::is_closed) {
                self.role.closing();
                self.session = None;
            }
            if self.session.is_none() {
                self.open();
            }
            self.watch();
            match self.messages.recv_timeout(TICK) {
                Ok(message) => self.role.message(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            while let Ok(message) = self.messages.try_recv() {
                self.role.message(message);
            }
            self.role.tick(self.session.as_ref());
        }
        self.role.closing();
        if let Some(session) = self.session.take() {
            let _ = session.close().wait();
        }
        if let Some(mut rendezvous) = self.rendezvous.take() {
            rendezvous.close();
        }
    }

    fn open(&mut self) {
        let mut opened = zenoh::open(self.plan.config.clone()).wait();
        let mut held = false;
        if let (Err(_), Some(rendezvous)) = (&opened, &mut self.rendezvous) {
            held = rendezvous.ensure();
            if rendezvous.owned() {
                opened = zenoh::open(self.plan.config.clone()).wait();
            }
        }
        match opened.and_then(|session| self.role.opened(&session).map(|()| session)) {
            Ok(session) => self.session = Some(session),
            Err(error) => {
                self.role.closing();
                self.complain(&reason(&error), held);
            }
        }
    }

    /// Notices a connection that comes or goes, and sees to it that somebody holds the meeting point.
    fn watch(&mut self) {
        let Some(session) = &self.session else { return };
        let connected = session.info().transports().wait().next().is_some();
        if connected != self.connected {
            self.connected = connected;
            self.alone = Instant::now();
            self.troubled = false;
            self.role.event(if connected { LinkEvent::Connected } else { LinkEvent::Disconnected });
        }
        if connected {
            return;
        }
        // zenoh itself dials again; all it needs is somebody there.
        if let Some(rendezvous) = &mut self.rendezvous {
            rendezvous.ensure();
        }
        if self.plan.dials || self.rendezvous.is_some() {
            self.complain("not connected", true);
        }
    }

    fn complain(&mut self, why: &str, held: bool) {
        if self.troubled || (self.alone.elapsed() < PATIENCE && (self.plan.dials || self.rendezvous.is_some())) {
            return;
        }
        self.troubled = true;
        let place = &self.plan.place;
        let text = match &self.plan.rendezvous {
            Some(_) if held => format!(
                "{place} is held by a program that does not answer as zenoh does ({why}); trying on. \
                 End that program, or set LIC_RENDEZVOUS_PORT to a free port for every sender and receiver on this host"
            ),
            Some(_) => format!("cannot open the meeting point {place} ({why}); trying on. Is the loopback interface up?"),
            None if self.plan.dials => format!(
                "no answer at {place} ({why}); trying on. There must be a zenoh router, or a lic element with \
                 listen=tcp/0.0.0.0:PORT, and no firewall between"
            ),
            None => format!("cannot open {place} ({why}); trying on. If another program holds the port, end it or choose another"),
        };
        self.role.event(LinkEvent::Trouble(text));
    }
}
