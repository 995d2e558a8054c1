//! The receiving end: finds publishers by their tokens, subscribes to one, and asks it for key frames.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use zenoh::key_expr::KeyExpr;
use zenoh::liveliness::LivelinessToken;
use zenoh::qos;
use zenoh::sample::{Sample, SampleKind};
use zenoh::{Session, Wait};

use crate::chooser::{Chooser, PublisherInfo, Stream};
use crate::config::Network;
use crate::error::Error;
use crate::foreign::Foreign;
use crate::inbox::{Inbox, NoFrame, Outcome, Received};
use crate::key;
use crate::link::{Link, LinkEvent, Role};
use crate::sync::{Threads, lock};
use crate::throttle::Throttle;
use crate::wire::{Header, Request};

/// Requests for a key frame leave at most this often. A lost one, or a lost key frame, is asked for again.
const REQUEST_GAP: Duration = Duration::from_millis(250);
/// A receiver's token brings a key frame by itself; if none comes for so long, it was lost and is asked for.
const START: Duration = Duration::from_secs(1);
/// After a connection came back, tokens arrive one by one: the one we know is not dropped for the first to appear.
const SETTLE: Duration = Duration::from_millis(300);
/// In silence what is wanted is declared again so often: zenoh says it once, and a link over UDP may lose it.
const DECLARE_AGAIN: Duration = Duration::from_secs(2);
/// Silence before a receiver says how to find it, and between two times.
const HINT_FIRST: Duration = Duration::from_secs(1);
const HINT_AGAIN: Duration = Duration::from_secs(5);
/// How long stopping may take, whatever the network does.
const STOP: Duration = Duration::from_millis(1000);
/// Unknown streams remembered between two ticks.
const MOST_UNKNOWN: usize = 64;

/// What to receive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriberSettings {
    /// A key expression; of the publishers that match, one is received.
    pub key: String,
    /// How long a frame may wait for one that was lost before it; publishers that keep their last frames send that again. Zero: nothing
    /// waits, and what is lost stays lost.
    pub playout: Duration,
}

impl Default for SubscriberSettings {
    fn default() -> Self {
        Self { key: "lic/**".into(), playout: Duration::ZERO }
    }
}

/// What a subscriber tells its owner, from a thread of its own and with no lock held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubscriberEvent {
    Connected,
    Disconnected,
    /// The network does not work yet and this is what a user can do; tried on and on.
    Trouble(String),
    /// Frames of `publisher` come from now on; `others` match as well.
    Locked {
        publisher: PublisherInfo,
        others: Vec<PublisherInfo>,
    },
    /// Nothing to receive yet. `hint` says how the two ends meet; `first` once for every wait.
    Waiting {
        hint: String,
        first: bool,
    },
}

/// Counted since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubscriberStats {
    pub connected: bool,
    /// Frames in order, and their bytes.
    pub received: u64,
    pub bytes: u64,
    /// Sequence numbers skipped: lost on the way or evicted by the sender.
    pub lost: u64,
    /// Came after a newer one was handed out; dropped.
    pub late: u64,
    /// Came after a newer one, and in time.
    pub recovered: u64,
    pub duplicates: u64,
    /// Came before the first frame that a stream may begin with; dropped.
    pub before_key: u64,
    /// Dropped because the consumer was too slow.
    pub overflowed: u64,
    /// Not ours or damaged; dropped.
    pub foreign: u64,
    pub key_requests: u64,
    /// Bit/s of the last whole second in which something came.
    pub bit_rate: u64,
    /// From capture to arrival in nanoseconds, by the clocks of both machines; a mean over the last frames.
    pub delay: Option<i64>,
    pub publishers: Vec<PublisherInfo>,
}

type Notify = dyn Fn(SubscriberEvent) + Send + Sync;

/// A running receiver. Dropping it stops it, within 2 s.
pub struct Subscriber {
    shared: Arc<Shared>,
    control: Sender<Message>,
    threads: Threads,
}

enum Message {
    Token {
        key: String,
        stream: u64,
        live: bool,
    },
    /// Something else in [`Shared`] wants a look.
    Wake,
}

struct Shared {
    inbox: Inbox,
    notify: Box<Notify>,
    stop: Arc<AtomicBool>,
    wants_key: AtomicBool,
    /// The sender wants to know what arrived.
    owes: AtomicBool,
    foreign: Foreign,
    /// Streams that are heard but not locked.
    unknown: Mutex<BTreeSet<Stream>>,
    view: Mutex<View>,
}

/// What the link's thread knows, for [`Subscriber::stats`].
#[derive(Debug, Default)]
struct View {
    connected: bool,
    key_requests: u64,
    publishers: Vec<PublisherInfo>,
}

impl Subscriber {
    /// Starts at once; the network is opened behind it, and again whenever it breaks.
    pub fn start(
        settings: SubscriberSettings,
        network: &Network,
        notify: impl Fn(SubscriberEvent) + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let expression = key::expression(&settings.key)?;
        let plan = network.plan()?;
        let stop = Arc::new(AtomicBool::new(false));
        let shared = Arc::new(Shared {
            inbox: Inbox::new(settings.playout),
            notify: Box::new(notify),
            stop: stop.clone(),
            wants_key: AtomicBool::new(false),
            owes: AtomicBool::new(false),
            foreign: Foreign::default(),
            unknown: Mutex::default(),
            view: Mutex::default(),
        });
        let (control, messages) = channel();
        let hint = format!(
            "waiting for a stream on {} at {}; from another machine: zenohsink listen=tcp/0.0.0.0:7447 there, \
             zenohsrc connect=tcp/HOST:7447 here",
            settings.key, plan.place
        );
        let now = Instant::now();
        let role = Receiving {
            expression,
            hint,
            receiver: key::random_id(),
            shared: shared.clone(),
            control: control.clone(),
            chooser: Chooser::default(),
            tokens: None,
            data: None,
            followed: None,
            requests: Throttle::new(REQUEST_GAP),
            asked: now,
            settled: now,
            declared: now,
            waiting_since: Some(now),
            hinted: None,
        };
        let threads = Threads::default();
        threads.spawn("lic-link", move || Link::new(plan, role, messages, stop).run())?;
        Ok(Self { shared, control, threads })
    }

    /// Waits at most `time` for the next frame.
    pub fn receive(&self, time: Duration) -> Result<Received, NoFrame> {
        self.shared.inbox.receive(time)
    }

    /// Ends waits now and from now on, until called with `false`.
    pub fn interrupt(&self, on: bool) {
        self.shared.inbox.interrupt(on);
    }

    /// Asks the publisher for a key frame. Requests that come too fast are merged.
    pub fn request_key_frame(&self) {
        raise(&self.shared.wants_key, &self.control);
    }

    pub fn stats(&self) -> SubscriberStats {
        let counts = self.shared.inbox.counts();
        let view = lock(&self.shared.view);
        SubscriberStats {
            connected: view.connected,
            received: counts.received,
            bytes: counts.bytes,
            lost: counts.lost,
            late: counts.late,
            recovered: counts.recovered,
            duplicates: counts.duplicates,
            before_key: counts.before_key,
            overflowed: counts.overflowed,
            foreign: counts.foreign,
            key_requests: view.key_requests,
            bit_rate: counts.bit_rate,
            delay: counts.delay,
            publishers: view.publishers.clone(),
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.inbox.interrupt(true);
        let _ = self.control.send(Message::Wake);
        self.threads.join(STOP);
    }
}

impl Shared {
    /// Runs on zenoh's threads for every frame.
    fn sample(&self, key: &str, sample: &Sample, control: &Sender<Message>) {
        if sample.kind() != SampleKind::Put {
            return;
        }
        let header = sample.attachment().and_then(|attachment| {
            let bytes = attachment.to_bytes();
            Header::decode(&bytes).ok().or_else(|| self.foreign.header(key, &bytes))
        });
        let Some(header) = header else {
            self.inbox.foreign();
            return;
        };
        let stream = header.stream;
        match self.inbox.deliver(key, header, sample.payload().clone()) {
            Outcome::Taken => {}
            // From the link's thread: this one must never wait for the network.
            Outcome::Acknowledge => raise(&self.owes, control),
            Outcome::Unknown => {
                let mut unknown = lock(&self.unknown);
                // The link's thread is only woken for what it does not know of yet, and holds so much at most.
                if unknown.len() < MOST_UNKNOWN && unknown.insert((key.to_string(), stream)) {
                    drop(unknown);
                    let _ = control.send(Message::Wake);
                }
            }
        }
        if self.inbox.take_wants_key() {
            raise(&self.wants_key, control);
        }
    }
}

/// Sets `flag` and wakes the link's thread, unless it is set.
fn raise(flag: &AtomicBool, control: &Sender<Message>) {
    if !flag.swap(true, Ordering::AcqRel) {
        let _ = control.send(Message::Wake);
    }
}

/// What is declared for one stream; dropping it takes it back.
struct Followed {
    stream: Stream,
    /// Where its publisher hears from us.
    requests: zenoh::pubsub::Publisher<'static>,
    /// What it sends again, to us alone.
    _again: zenoh::pubsub::Subscriber<()>,
    _token: LivelinessToken,
}

struct Receiving {
    expression: KeyExpr<'static>,
    hint: String,
    receiver: u64,
    shared: Arc<Shared>,
    control: Sender<Message>,
    chooser: Chooser,
    tokens: Option<zenoh::pubsub::Subscriber<()>>,
    /// The subscription to frames, and its key.
    data: Option<(String, zenoh::pubsub::Subscriber<()>)>,
    /// The stream that was told of this receiver.
    followed: Option<Followed>,
    requests: Throttle,
    /// When a key frame was last asked for, by token or request.
    asked: Instant,
    settled: Instant,
    /// When something was last declared.
    declared: Instant,
    waiting_since: Option<Instant>,
    hinted: Option<Instant>,
}

impl Receiving {
    /// Subscribes to `key` unless that is done. Of a wildcard only the locked key's frames cross the network.
    fn subscribe(&mut self, session: &Session, key: &str) -> zenoh::Result<()> {
        if self.data.as_ref().is_some_and(|(have, _)| have == key) {
            return Ok(());
        }
        let (shared, control) = (self.shared.clone(), self.control.clone());
        let subscriber = session
            .declare_subscriber(key.to_string())
            .callback(move |sample: Sample| shared.sample(sample.key_expr().as_str(), &sample, &control))
            .wait()?;
        self.data = Some((key.to_string(), subscriber));
        Ok(())
    }

    /// Subscribes to the locked stream, then tells its publisher.
    fn follow(&mut self, session: &Session) -> zenoh::Result<()> {
        let Some((key, stream)) = self.chooser.locked().cloned() else { return Ok(()) };
        let id = (key, stream);
        if self.followed.as_ref().is_some_and(|followed| followed.stream == id) {
            return Ok(());
        }
        self.followed = None;
        let (key, stream) = &id;
        self.subscribe(session, key)?;
        let (shared, control, sent_to) = (self.shared.clone(), self.control.clone(), key.clone());
        let again = session
            .declare_subscriber(key::again(key, *stream, self.receiver))
            .callback(move |sample: Sample| shared.sample(&sent_to, &sample, &control))
            .wait()?;
        let requests = session
            .declare_publisher(key::requests(key, *stream))
            .priority(qos::Priority::InteractiveHigh)
            .congestion_control(qos::CongestionControl::Drop)
            .express(true)
            .wait()?;
        // Last: who sees the token may rely on everything else.
        let token = session.liveliness().declare_token(key::receiver_token(key, *stream, self.receiver)).wait()?;
        self.followed = Some(Followed { stream: id, requests, _again: again, _token: token });
        self.asked = Instant::now();
        self.declared = self.asked;
        Ok(())
    }

    /// See [`DECLARE_AGAIN`]. Who was heard before may only be slow: then its frames are subscribed to anew, and the publisher told nothing.
    fn declare_again(&mut self, session: &Session, now: Instant) {
        if now.saturating_duration_since(self.declared) <= DECLARE_AGAIN {
            return;
        }
        match (self.shared.inbox.heard(), self.data.take()) {
            (Some(heard), Some((key, _))) if now.saturating_duration_since(heard) > DECLARE_AGAIN => {
                self.declared = now;
                // What fails is as good as lost.
                let _ = self.subscribe(session, &key);
            }
            (Some(_), data) => self.data = data,
            (None, _) => {
                self.closing();
                let _ = self.opened(session);
            }
        }
    }

    fn choose(&mut self, now: Instant) {
        if let (Some((key, stream)), Some(heard)) = (self.chooser.locked().cloned(), self.shared.inbox.heard()) {
            self.chooser.heard(&key, stream, heard);
        }
        for (key, stream) in std::mem::take(&mut *lock(&self.shared.unknown)) {
            self.chooser.heard(&key, stream, now);
        }
        if now < self.settled && self.chooser.locked().is_some() {
            return;
        }
        let Some((key, stream)) = self.chooser.choose(now) else { return };
        self.shared.inbox.lock_onto(&key, stream);
        let (locked, others): (Vec<_>, Vec<_>) = self.chooser.list().into_iter().partition(|info| info.locked);
        if let Some(publisher) = locked.into_iter().next() {
            (self.shared.notify)(SubscriberEvent::Locked { publisher, others });
        }
    }

    /// Tells the publisher what arrived, and asks it for a key frame.
    fn speak(&mut self, now: Instant) {
        let Some(followed) = &self.followed else { return };
        // A message that fails is as good as one that is lost: the next says it again.
        let say = |request: Request| drop(followed.requests.put(request.encode()).wait());
        if self.shared.owes.swap(false, Ordering::AcqRel)
            && let Some(acknowledgement) = self.shared.inbox.acknowledgement(self.receiver)
        {
            say(Request::Acknowledge(acknowledgement));
        }
        if self.shared.inbox.starting() && now.saturating_duration_since(self.asked) >= START {
            self.requests.ask();
        }
        if self.shared.wants_key.swap(false, Ordering::AcqRel) | self.shared.inbox.take_wants_key() {
            self.requests.ask();
        }
        if self.requests.answer(now).is_some() {
            self.asked = now;
            lock(&self.shared.view).key_requests += 1;
            say(Request::KeyFrame { receiver: self.receiver });
        }
    }

    fn hint(&mut self, now: Instant) {
        if !self.chooser.waiting(now) {
            self.waiting_since = None;
            self.hinted = None;
            return;
        }
        let since = *self.waiting_since.get_or_insert(now);
        let due = match self.hinted {
            None => now.saturating_duration_since(since) >= HINT_FIRST,
            Some(last) => now.saturating_duration_since(last) >= HINT_AGAIN,
        };
        if due {
            let first = self.hinted.is_none();
            self.hinted = Some(now);
            (self.shared.notify)(SubscriberEvent::Waiting { hint: self.hint.clone(), first });
        }
    }
}

impl Role for Receiving {
    type Message = Message;

    fn opened(&mut self, session: &Session) -> zenoh::Result<()> {
        let control = self.control.clone();
        let tokens = session
            .liveliness()
            .declare_subscriber(key::publisher_tokens(self.expression.as_str()))
            .history(true)
            .callback(move |sample: Sample| {
                if let Some((key, stream)) = key::parse_publisher_token(sample.key_expr().as_str()) {
                    let live = sample.kind() == SampleKind::Put;
                    let _ = control.send(Message::Token { key: key.to_string(), stream, live });
                }
            })
            .wait()?;
        self.tokens = Some(tokens);
        self.declared = Instant::now();
        if !key::is_wild(self.expression.as_str()) {
            // A publisher whose token cannot be seen is found by its frames.
            let key = self.expression.clone();
            self.subscribe(session, key.as_str())?;
        }
        Ok(())
    }

    fn message(&mut self, message: Message) {
        match message {
            Message::Token { key, stream, live } => self.chooser.token(&key, stream, live),
            Message::Wake => {}
        }
    }

    fn tick(&mut self, session: Option<&Session>) {
        let now = Instant::now();
        self.choose(now);
        if let Some(session) = session {
            self.declare_again(session, now);
            // What fails now is tried again at the next tick.
            let _ = self.follow(session);
            self.speak(now);
        }
        self.hint(now);
        lock(&self.shared.view).publishers = self.chooser.list();
    }

    fn event(&mut self, event: LinkEvent) {
        if event == LinkEvent::Connected {
            self.settled = Instant::now() + SETTLE;
        }
        lock(&self.shared.view).connected = event == LinkEvent::Connected;
        (self.shared.notify)(match event {
            LinkEvent::Connected => SubscriberEvent::Connected,
            LinkEvent::Disconnected => SubscriberEvent::Disconnected,
            LinkEvent::Trouble(text) => SubscriberEvent::Trouble(text),
        });
    }

    fn closing(&mut self) {
        self.followed = None;
        self.data = None;
        self.tokens = None;
    }
}
