//! The sending end: a queue that never blocks its producer, a thread that publishes, and an ear for receivers.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use zenoh::bytes::ZBytes;
use zenoh::key_expr::KeyExpr;
use zenoh::liveliness::LivelinessToken;
use zenoh::sample::{Sample, SampleKind};
use zenoh::{Session, Wait};

use crate::config::Network;
use crate::error::Error;
use crate::frame::Frame;
use crate::key;
use crate::link::{Link, LinkEvent, Role};
use crate::qos::{CongestionControl, Priority, Reliability};
use crate::queue::{Item, Limits, Queue};
use crate::sync::{Threads, lock, wait};
use crate::throttle::Throttle;
use crate::wire::{Header, MAX_CAPS, Request};

/// Key frames asked for by receivers come at most this often; requests in between are answered together.
const KEY_FRAME_GAP: Duration = Duration::from_millis(500);
/// How long stopping may take, whatever the network does.
const STOP: Duration = Duration::from_millis(1000);

/// How a stream is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublisherSettings {
    /// A key without wildcards; see [`crate::default_key`].
    pub key: String,
    pub priority: Priority,
    pub congestion_control: CongestionControl,
    pub reliability: Reliability,
    /// Do not wait for more messages to fill a packet.
    pub express: bool,
    pub limits: Limits,
    pub send_caps: bool,
    /// Caps travel at least this often; zero: only when they change, with key frames, and when a receiver joins.
    pub caps_interval: Duration,
}

impl PublisherSettings {
    pub fn new(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            priority: Priority::default(),
            congestion_control: CongestionControl::default(),
            reliability: Reliability::default(),
            express: false,
            limits: Limits::default(),
            send_caps: true,
            caps_interval: Duration::from_secs(1),
        }
    }
}

/// What a publisher tells its owner. `Lost` comes from inside [`Publisher::push`] or the sending thread, all others from a
/// thread of the publisher's own; none comes while a lock is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublisherEvent {
    Connected,
    Disconnected,
    /// The network does not work yet and this is what a user can do; tried on and on.
    Trouble(String),
    /// A receiver that was not there before.
    Joined {
        receiver: u64,
        receivers: usize,
    },
    Left {
        receiver: u64,
        receivers: usize,
    },
    /// Somebody cannot decode before a key frame comes. `requests` were merged into this one.
    KeyFrameWanted {
        requests: u32,
    },
    /// The frame of this codec number was never sent: refer to an older one.
    Lost {
        number: u32,
    },
}

/// Counted since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PublisherStats {
    pub stream: u64,
    pub connected: bool,
    /// Frames given to the network.
    pub sent: u64,
    /// Their bytes.
    pub bytes: u64,
    pub key_frames: u64,
    /// Frames and bytes in the queue now.
    pub queued: u64,
    pub queued_bytes: u64,
    pub evicted: u64,
    /// Frames that came while there was no session.
    pub discarded: u64,
    /// Receivers there now, and all that ever joined.
    pub receivers: u64,
    pub joiners: u64,
    pub key_requests: u64,
    pub publish_errors: u64,
}

type Notify = dyn Fn(PublisherEvent) + Send + Sync;

/// A running stream. Dropping it stops it, within 2 s.
pub struct Publisher {
    shared: Arc<Shared>,
    control: Sender<Message>,
    threads: Threads,
}

enum Message {
    Receiver { id: u64, live: bool },
    KeyFrame,
    Stop,
}

struct Shared {
    settings: PublisherSettings,
    stream: u64,
    notify: Box<Notify>,
    stop: Arc<AtomicBool>,
    state: Mutex<State>,
    changed: Condvar,
    /// The declared publisher, while there is a session.
    outlet: Mutex<Option<Arc<zenoh::pubsub::Publisher<'static>>>>,
}

struct State {
    queue: Queue,
    sequence: u64,
    caps: Option<Arc<str>>,
    /// The last caps sent, and when.
    caps_sent: Option<(Arc<str>, Instant)>,
    /// A receiver joined that has none.
    caps_due: bool,
    /// A frame is on its way from the queue to the network.
    busy: bool,
    interrupted: bool,
    receivers: BTreeSet<u64>,
    stats: PublisherStats,
}

impl Publisher {
    /// Starts at once; the network is opened behind it, and again whenever it breaks.
    pub fn start(
        settings: PublisherSettings,
        network: &Network,
        notify: impl Fn(PublisherEvent) + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let key = key::publishing(&settings.key)?;
        let plan = network.plan()?;
        let stream = key::random_id();
        let stop = Arc::new(AtomicBool::new(false));
        let state = State {
            queue: Queue::new(settings.limits),
            sequence: 0,
            caps: None,
            caps_sent: None,
            caps_due: false,
            busy: false,
            interrupted: false,
            receivers: BTreeSet::new(),
            stats: PublisherStats { stream, ..Default::default() },
        };
        let shared = Arc::new(Shared {
            settings,
            stream,
            notify: Box::new(notify),
            stop: stop.clone(),
            state: Mutex::new(state),
            changed: Condvar::new(),
            outlet: Mutex::new(None),
        });
        let (control, messages) = channel();
        let role =
            Sending { key, shared: shared.clone(), control: control.clone(), declared: None, key_frames: Throttle::new(KEY_FRAME_GAP) };
        let threads = Threads::default();
        threads.spawn("lic-link", move || Link::new(plan, role, messages, stop).run())?;
        let publisher = Self { shared: shared.clone(), control, threads };
        publisher.threads.spawn("lic-publish", move || shared.publish())?;
        Ok(publisher)
    }

    /// Names this stream among all that were ever started.
    pub fn stream(&self) -> u64 {
        self.shared.stream
    }

    /// The caps of all frames pushed from now on. `false` if they are too long to be sent (64 KiB).
    pub fn set_caps(&self, caps: &str) -> bool {
        let fits = caps.len() <= MAX_CAPS;
        let mut state = lock(&self.shared.state);
        if state.caps.as_deref() != Some(caps) {
            state.caps = fits.then(|| caps.into());
            state.queue.reset();
        }
        fits
    }

    /// Queues a frame, or evicts what its stream can best spare. Returns at once.
    pub fn push(&self, frame: Frame) {
        let mut state = lock(&self.shared.state);
        let item = Item { sequence: state.sequence, frame, caps: state.caps.clone(), queued: Instant::now() };
        state.sequence += 1;
        let pushed = state.queue.push(item);
        state.stats.evicted += pushed.evicted as u64;
        drop(state);
        self.shared.changed.notify_all();
        for number in pushed.lost {
            (self.shared.notify)(PublisherEvent::Lost { number });
        }
        if pushed.wants_key {
            let _ = self.control.send(Message::KeyFrame);
        }
    }

    /// Waits until the queue is empty, at most `time`. Returns whether it is.
    pub fn drain(&self, time: Duration) -> bool {
        self.wait_until(time, |state| state.queue.len() == 0 && !state.busy)
    }

    /// Waits until a receiver is there, at most `time`. Returns whether one is.
    pub fn wait_receiver(&self, time: Duration) -> bool {
        self.wait_until(time, |state| !state.receivers.is_empty())
    }

    /// Ends waits now and from now on, until called with `false`.
    pub fn interrupt(&self, on: bool) {
        lock(&self.shared.state).interrupted = on;
        self.shared.changed.notify_all();
    }

    pub fn stats(&self) -> PublisherStats {
        let state = lock(&self.shared.state);
        PublisherStats {
            queued: state.queue.len() as u64,
            queued_bytes: state.queue.bytes() as u64,
            receivers: state.receivers.len() as u64,
            ..state.stats
        }
    }

    fn wait_until(&self, time: Duration, done: impl Fn(&State) -> bool) -> bool {
        let deadline = Instant::now() + time;
        let mut state = lock(&self.shared.state);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if done(&state) || state.interrupted || left.is_zero() {
                return done(&state);
            }
            state = wait(&self.shared.changed, state, left);
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.changed.notify_all();
        let _ = self.control.send(Message::Stop);
        self.threads.join(STOP);
    }
}

impl Shared {
    /// The sending thread.
    fn publish(&self) {
        while let Some((item, header)) = self.next() {
            let outlet = lock(&self.outlet).clone();
            let Frame { info, payload } = item.frame;
            let bytes = payload.len() as u64;
            let sent = match (&outlet, header.encode()) {
                (None, _) => None,
                (Some(outlet), Ok(attachment)) => {
                    let put = outlet.put(ZBytes::from(payload)).attachment(ZBytes::from(attachment)).wait();
                    Some(put.is_ok())
                }
                (Some(_), Err(_)) => Some(false),
            };
            let mut state = lock(&self.state);
            state.busy = false;
            match sent {
                None => state.stats.discarded += 1,
                Some(true) => {
                    state.stats.sent += 1;
                    state.stats.bytes += bytes;
                    state.stats.key_frames += u64::from(info.key);
                }
                Some(false) => state.stats.publish_errors += 1,
            }
            match item.caps.filter(|_| header.caps.is_some()) {
                Some(caps) if sent == Some(true) => state.caps_sent = Some((caps, Instant::now())),
                Some(_) => state.caps_due = true,
                None => {}
            }
            drop(state);
            self.changed.notify_all();
            if let (Some(false), Some(number)) = (sent, info.number) {
                (self.notify)(PublisherEvent::Lost { number });
            }
        }
    }

    /// Waits for the next frame; `None` to end.
    fn next(&self) -> Option<(Item, Header)> {
        let mut state = lock(&self.state);
        loop {
            if self.stop.load(Ordering::Acquire) {
                return None;
            }
            if let Some(item) = state.queue.pop() {
                state.busy = true;
                let header = Header {
                    stream: self.stream,
                    sequence: item.sequence,
                    info: item.frame.info.clone(),
                    caps: self.caps_for(&mut state, &item),
                    caps_follow: self.settings.send_caps && item.caps.is_some(),
                };
                return Some((item, header));
            }
            state = wait(&self.changed, state, Duration::from_secs(1));
        }
    }

    /// The caps that this frame carries.
    fn caps_for(&self, state: &mut State, item: &Item) -> Option<String> {
        let caps = item.caps.as_ref().filter(|_| self.settings.send_caps)?;
        let interval = self.settings.caps_interval;
        let due = match &state.caps_sent {
            None => true,
            Some((last, _)) if last != caps => true,
            Some((_, when)) => !interval.is_zero() && when.elapsed() >= interval,
        };
        let start = (item.frame.info.key || item.frame.info.recovery) && state.queue.depends();
        let joiner = std::mem::take(&mut state.caps_due);
        (due || start || joiner).then(|| caps.to_string())
    }
}

/// What is declared on a session; dropping it takes it back.
struct Declared {
    _receivers: zenoh::pubsub::Subscriber<()>,
    _requests: zenoh::pubsub::Subscriber<()>,
    _token: LivelinessToken,
}

struct Sending {
    key: KeyExpr<'static>,
    shared: Arc<Shared>,
    control: Sender<Message>,
    declared: Option<Declared>,
    key_frames: Throttle,
}

impl Role for Sending {
    type Message = Message;

    fn opened(&mut self, session: &Session) -> zenoh::Result<()> {
        let settings = &self.shared.settings;
        let stream = self.shared.stream;
        let publisher = session
            .declare_publisher(self.key.clone())
            .priority(settings.priority.into())
            .congestion_control(settings.congestion_control.into())
            .reliability(settings.reliability.into())
            .express(settings.express)
            .wait()?;
        let control = self.control.clone();
        let requests = session
            .declare_subscriber(key::requests(&settings.key, stream))
            .callback(move |sample: Sample| match Request::decode(&sample.payload().to_bytes()) {
                Some(Request::KeyFrame) => drop(control.send(Message::KeyFrame)),
                None => {}
            })
            .wait()?;
        let control = self.control.clone();
        let receivers = session
            .liveliness()
            .declare_subscriber(key::receiver_tokens(&settings.key, stream))
            .history(true)
            .callback(move |sample: Sample| {
                if let Some(id) = key::parse_receiver_token(sample.key_expr().as_str()) {
                    let _ = control.send(Message::Receiver { id, live: sample.kind() == SampleKind::Put });
                }
            })
            .wait()?;
        *lock(&self.shared.outlet) = Some(Arc::new(publisher));
        // Last: who sees the token may rely on everything else.
        let token = session.liveliness().declare_token(key::publisher_token(&settings.key, stream)).wait()?;
        self.declared = Some(Declared { _receivers: receivers, _requests: requests, _token: token });
        Ok(())
    }

    fn message(&mut self, message: Message) {
        match message {
            Message::KeyFrame => {
                lock(&self.shared.state).stats.key_requests += 1;
                self.key_frames.ask();
            }
            Message::Receiver { id, live } => {
                let mut state = lock(&self.shared.state);
                let changed = if live { state.receivers.insert(id) } else { state.receivers.remove(&id) };
                if !changed {
                    return;
                }
                let receivers = state.receivers.len();
                if live {
                    state.stats.joiners += 1;
                    state.caps_due = true;
                    self.key_frames.ask();
                }
                drop(state);
                self.shared.changed.notify_all();
                let receiver = id;
                (self.shared.notify)(if live {
                    PublisherEvent::Joined { receiver, receivers }
                } else {
                    PublisherEvent::Left { receiver, receivers }
                });
            }
            Message::Stop => {}
        }
    }

    fn tick(&mut self, _session: Option<&Session>) {
        if let Some(requests) = self.key_frames.answer(Instant::now()) {
            (self.shared.notify)(PublisherEvent::KeyFrameWanted { requests });
        }
    }

    fn event(&mut self, event: LinkEvent) {
        lock(&self.shared.state).stats.connected = event == LinkEvent::Connected;
        (self.shared.notify)(match event {
            LinkEvent::Connected => PublisherEvent::Connected,
            LinkEvent::Disconnected => PublisherEvent::Disconnected,
            LinkEvent::Trouble(text) => PublisherEvent::Trouble(text),
        });
    }

    fn closing(&mut self) {
        self.declared = None;
        let outlet = lock(&self.shared.outlet).take();
        drop(outlet);
        lock(&self.shared.state).receivers.clear();
    }
}
