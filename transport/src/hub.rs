//! The sessions of this process: one for all ends with the same plan, opened again and again until somebody answers, watched
//! while it lives, closed in bounded time when its last end stops.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::time::{Duration, Instant};

use zenoh::{Config, Session, Wait};

use crate::config::{Plan, PlanKey};
use crate::echo::Echo;
use crate::error::reason;
use crate::rendezvous::Rendezvous;
use crate::sync::{Threads, lock, wait};

/// The longest pause between two tries, and between two looks at a session's health.
const TICK: Duration = Duration::from_millis(100);
/// Others start at the same time as we do: only after this is silence worth a word.
const PATIENCE: Duration = Duration::from_secs(2);
/// A client that lost its router gets a new session after this. zenoh dials again by itself, but under the same name, which a
/// router that still believes in the old link refuses.
const REOPEN: Duration = Duration::from_millis(300);
/// How long closing may hold up whoever waits for it. zenoh itself allows 10 s, and takes them on a link that stands still.
const CLOSE: Duration = Duration::from_millis(700);

/// What ends see of their session.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    /// Counts sessions; what was declared belongs to one of them.
    pub generation: u64,
    pub session: Option<Session>,
    pub connected: bool,
    /// What does not work and what a user can do, with a number of its own.
    pub trouble: Option<(u64, String)>,
}

/// A session for whoever holds this. The last to drop it closes the session.
pub(crate) struct Hub {
    shared: Arc<Shared>,
    thread: Threads,
}

struct Shared {
    plan: Plan,
    stop: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    view: View,
    troubles: u64,
    /// Since when nobody answers; `None` while connected.
    alone: Option<Instant>,
    /// All is closed.
    ended: bool,
}

struct Entry {
    key: PlanKey,
    hub: Weak<Hub>,
    shared: Arc<Shared>,
}

/// Every plan in use.
static HUBS: Mutex<Vec<Entry>> = Mutex::new(vec![]);

impl Hub {
    /// The hub of `plan`: that of the ends that are there already, or a new one.
    pub(crate) fn of(plan: Plan) -> Arc<Self> {
        let mut hubs = lock(&HUBS);
        hubs.retain(|entry| entry.hub.strong_count() > 0 || !lock(&entry.shared.state).ended);
        if let Some(hub) = hubs.iter().filter(|entry| entry.key == plan.key).find_map(|entry| entry.hub.upgrade()) {
            return hub;
        }
        // Its session may still hold the port that the new one wants.
        let before: Vec<_> = hubs.iter().filter(|entry| entry.key == plan.key).map(|entry| entry.shared.clone()).collect();
        let key = plan.key.clone();
        let state = Mutex::new(State { alone: Some(Instant::now()), ..Default::default() });
        let shared = Arc::new(Shared { plan, stop: AtomicBool::new(false), state, changed: Condvar::new() });
        let hub = Arc::new(Self { shared: shared.clone(), thread: Threads::default() });
        hubs.push(Entry { key, hub: Arc::downgrade(&hub), shared: shared.clone() });
        drop(hubs);
        let spawned = hub.thread.spawn("lic-session", move || {
            before.iter().for_each(|before| before.await_end(CLOSE));
            Keeper { rendezvous: shared.plan.rendezvous.map(Rendezvous::new), shared, echo: Echo::default() }.run();
        });
        if let Err(error) = spawned {
            hub.complain(&error.to_string());
        }
        hub
    }

    pub(crate) fn view(&self) -> View {
        lock(&self.shared.state).view.clone()
    }

    /// Waits at most `time` for something to change since `seen`.
    pub(crate) fn await_news(&self, seen: &View, time: Duration) {
        let state = lock(&self.shared.state);
        let news = state.view.generation != seen.generation || state.view.connected != seen.connected;
        if !news {
            drop(wait(&self.shared.changed, state, time));
        }
    }

    /// Tells every end of a trouble, unless it knows of one.
    pub(crate) fn complain(&self, why: &str) {
        self.shared.complain(why, true);
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.changed.notify_all();
        self.thread.join(CLOSE);
    }
}

impl Shared {
    fn await_end(&self, time: Duration) {
        let deadline = Instant::now() + time;
        let mut state = lock(&self.state);
        while !state.ended && Instant::now() < deadline {
            state = wait(&self.changed, state, deadline.saturating_duration_since(Instant::now()));
        }
    }

    fn publish(&self, change: impl FnOnce(&mut State)) {
        change(&mut lock(&self.state));
        self.changed.notify_all();
    }

    /// `held`: somebody has the meeting point.
    fn complain(&self, why: &str, held: bool) {
        if self.is_complaint_due() {
            self.publish(|state| {
                state.troubles += 1;
                state.view.trouble = Some((state.troubles, trouble(&self.plan, why, held)));
            });
        }
    }

    /// Nobody was told yet, and others had time to start.
    fn is_complaint_due(&self) -> bool {
        let state = lock(&self.state);
        let dials = self.plan.dials || self.plan.rendezvous.is_some();
        let early = dials && state.alone.is_some_and(|alone| alone.elapsed() < PATIENCE);
        state.view.trouble.is_none() && !early
    }
}

/// Why nobody can be reached. A client is only told that it is so, a peer why.
fn cause(config: &Config) -> Option<String> {
    let mut config = config.clone();
    let as_peer = [
        ("mode", "\"peer\""),
        ("listen/endpoints", "[]"),
        ("scouting/multicast/enabled", "false"),
        ("connect/timeout_ms", "0"),
        ("connect/exit_on_failure", "true"),
    ];
    as_peer.iter().try_for_each(|(key, value)| config.insert_json5(key, value)).ok()?;
    let text = reason(&zenoh::open(config).wait().err()?);
    // After `#` zenoh writes out all that it was told, such as where keys lie.
    Some(match text.split_once('#') {
        Some((head, tail)) => format!("{head}{}", tail.find(": ").map_or("", |at| &tail[at..])),
        None => text,
    })
}

fn trouble(plan: &Plan, why: &str, held: bool) -> String {
    let place = &plan.place;
    match &plan.rendezvous {
        Some(_) if held => format!(
            "{place} is held by a program that does not answer as zenoh does ({why}); trying on. \
             End that program, or set LIC_RENDEZVOUS_PORT to a free port for every sender and receiver on this host"
        ),
        Some(_) => format!("cannot open the meeting point {place} ({why}); trying on. Is the loopback interface up?"),
        None if plan.dials && plan.encrypts => format!(
            "no answer at {place} ({why}); trying on. There must be a zenoh router that listens with tls, and each of the two must \
             hold a certificate that the other one's authority has signed: docs/security.md"
        ),
        None if plan.dials => format!(
            "no answer at {place} ({why}); trying on. There must be a zenoh router, or a lic element with \
             listen=tcp/0.0.0.0:PORT, and no firewall between"
        ),
        None => format!("cannot open {place} ({why}); trying on. If another program holds the port, end it or choose another"),
    }
}

/// The thread that opens and watches.
struct Keeper {
    shared: Arc<Shared>,
    rendezvous: Option<Rendezvous>,
    echo: Echo,
}

impl Keeper {
    fn run(mut self) {
        while !self.shared.stop.load(Ordering::Acquire) {
            let session = lock(&self.shared.state).view.session.clone();
            match session {
                Some(session) => self.watch(session),
                None => self.open(),
            }
            let state = lock(&self.shared.state);
            if !self.shared.stop.load(Ordering::Acquire) {
                drop(wait(&self.shared.changed, state, TICK));
            }
        }
        self.drop_session();
        if let Some(mut rendezvous) = self.rendezvous.take() {
            rendezvous.close();
        }
        self.shared.publish(|state| state.ended = true);
    }

    fn open(&mut self) {
        let config = &self.shared.plan.config;
        let mut opened = zenoh::open(config.clone()).wait();
        let mut held = false;
        if let (Err(_), Some(rendezvous)) = (&opened, &mut self.rendezvous) {
            held = rendezvous.ensure();
            if rendezvous.owned() {
                opened = zenoh::open(config.clone()).wait();
            }
        }
        match opened {
            Ok(session) => {
                let connected = is_connected(&session);
                self.shared.publish(|state| {
                    state.view.generation += 1;
                    state.view.session = Some(session);
                    state.connect(connected);
                });
            }
            Err(error) if self.shared.is_complaint_due() => {
                let why = if self.shared.plan.one_link { cause(config) } else { None };
                self.shared.complain(&why.unwrap_or_else(|| reason(&error)), held);
            }
            Err(_) => {}
        }
    }

    /// Notices a connection that comes or goes, and sees to it that somebody holds the meeting point.
    fn watch(&mut self, session: Session) {
        if session.is_closed() {
            return self.drop_session();
        }
        let connected = is_connected(&session);
        let lost = {
            let mut state = lock(&self.shared.state);
            let changed = state.view.connected != connected;
            state.connect(connected);
            if changed {
                self.shared.changed.notify_all();
            }
            state.alone.is_some_and(|alone| alone.elapsed() >= REOPEN)
        };
        if connected {
            if self.shared.plan.one_link && !self.shared.plan.datagrams && !self.echo.is_heard(&session, Instant::now()) {
                self.drop_session();
            }
            return;
        }
        if let Some(rendezvous) = &mut self.rendezvous {
            rendezvous.ensure();
        }
        if lost && self.shared.plan.one_link {
            return self.drop_session();
        }
        if self.shared.plan.dials || self.rendezvous.is_some() {
            self.shared.complain("not connected", true);
        }
    }

    /// Takes the session from everybody and closes it.
    fn drop_session(&mut self) {
        self.echo = Echo::default();
        let mut session = None;
        self.shared.publish(|state| {
            session = state.view.session.take();
            if session.is_some() {
                state.view.generation += 1;
            }
            state.connect(false);
        });
        if let Some(session) = session {
            // On a thread of its own: a link that stands still holds it up for seconds.
            let closing = Threads::default();
            let _ = closing.spawn("lic-close", move || drop(session.close().wait()));
            closing.join(CLOSE);
        }
    }
}

impl State {
    fn connect(&mut self, connected: bool) {
        if connected && !self.view.connected {
            self.alone = None;
            self.view.trouble = None;
        } else if !connected && self.alone.is_none() {
            self.alone = Some(Instant::now());
        }
        self.view.connected = connected;
    }
}

fn is_connected(session: &Session) -> bool {
    session.info().transports().wait().next().is_some()
}
