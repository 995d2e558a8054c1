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
use crate::foreign;
use crate::frame::Frame;
use crate::history::{History, Sent};
use crate::key;
use crate::link::{Link, LinkEvent, Role};
use crate::qos::{CongestionControl, Priority, Reliability};
use crate::queue::{Item, Limits, Queue};
use crate::scream::{Range, Scream};
use crate::sync::{Threads, lock, wait};
use crate::throttle::Throttle;
use crate::wire::{Acknowledgement, Header, MAX_CAPS, Request};

/// Key frames asked for by receivers come at most this often; requests in between are answered together.
const KEY_FRAME_GAP: Duration = Duration::from_millis(500);
/// Between two tries to hear receivers that say nothing.
const LISTEN_AGAIN: Duration = Duration::from_secs(2);
/// While something may have to be sent again, or waits for its turn, the sending thread looks that often.
const LOOK: Duration = Duration::from_millis(5);
/// With a bit rate that follows the network, [`Limits::time`] is at most this: a frame that waits is as late as one in the network's queues.
const ADAPTIVE: Duration = Duration::from_millis(600);
/// The lowest bit rate that a source is ever asked for.
const LEAST_BIT_RATE: f64 = 100e3;
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
    /// Attach what gst-plugin-zenoh reads, in place of lic's own header: its receivers, and lic's, get the frames, but nothing of losses.
    pub foreign: bool,
    /// Follow the network: say which bit rate it carries, up to this one in bit/s, and hold frames back that it does not.
    pub adapt: Option<u64>,
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
            foreign: false,
            adapt: None,
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
    /// The network loses frames. Refer to none but these, which all receivers hold, the newest first; `None`: it loses none any more.
    Acknowledged {
        numbers: Option<Vec<u32>>,
    },
    /// The network carries so many bit/s; only with [`PublisherSettings::adapt`].
    BitRate {
        bits: u64,
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
    /// Frames that receivers said are missing, each once a receiver, and those sent again.
    pub lost: u64,
    pub resent: u64,
    /// Between sending a frame and hearing that it arrived, in nanoseconds; 0: not known.
    pub round_trip: u64,
    /// What the source was last asked for, bit/s; 0: nothing.
    pub bit_rate: u64,
    /// What the network's queues add, in nanoseconds; only with [`PublisherSettings::adapt`].
    pub queue_delay: u64,
}

type Notify = dyn Fn(PublisherEvent) + Send + Sync;

/// A running stream. Dropping it stops it, within 2 s.
pub struct Publisher {
    shared: Arc<Shared>,
    control: Sender<Message>,
    threads: Threads,
}

enum Message {
    Receiver {
        id: u64,
        live: bool,
    },
    /// The encoder did not listen, or a group of pictures was given up.
    KeyFrame,
    Heard(Request),
    Stop,
}

struct Shared {
    settings: PublisherSettings,
    stream: u64,
    notify: Box<Notify>,
    stop: Arc<AtomicBool>,
    began: Instant,
    state: Mutex<State>,
    changed: Condvar,
    /// Where frames go, while there is a session.
    outlet: Mutex<Option<Arc<Outlet>>>,
}

struct Outlet {
    publisher: zenoh::pubsub::Publisher<'static>,
    session: Session,
}

/// What the sending thread does next.
enum Job {
    Frame(Box<(Item, Header)>),
    /// Receiver, payload, attachment.
    Again(Vec<(u64, ZBytes, ZBytes)>),
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
    /// Frames have numbers that an encoder can refer to.
    numbered: bool,
    history: History,
    control: Option<Scream>,
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
            queue: Queue::new(Limits {
                time: settings.adapt.map_or(settings.limits.time, |_| settings.limits.time.min(ADAPTIVE)),
                ..settings.limits
            }),
            sequence: 0,
            caps: None,
            caps_sent: None,
            caps_due: false,
            busy: false,
            interrupted: false,
            receivers: BTreeSet::new(),
            numbered: false,
            history: History::default(),
            control: settings.adapt.map(|most| {
                let most = (most as f64).max(LEAST_BIT_RATE);
                Scream::new(Range { least: LEAST_BIT_RATE, most }, Instant::now())
            }),
            stats: PublisherStats { stream, ..Default::default() },
        };
        let shared = Arc::new(Shared {
            settings,
            stream,
            notify: Box::new(notify),
            stop: stop.clone(),
            began: Instant::now(),
            state: Mutex::new(state),
            changed: Condvar::new(),
            outlet: Mutex::new(None),
        });
        let (control, messages) = channel();
        let role = Sending {
            key,
            shared: shared.clone(),
            control: control.clone(),
            declared: None,
            key_frames: Throttle::new(KEY_FRAME_GAP),
            told: None,
        };
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
        let now = Instant::now();
        let item = Item { sequence: state.sequence, frame, caps: state.caps.clone(), queued: now };
        state.sequence += 1;
        state.numbered |= item.frame.info.number.is_some();
        if let Some(control) = &mut state.control {
            control.offered(item.frame.payload.len(), now);
        }
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
            round_trip: state.history.round_trip().map_or(0, |time| time.as_nanos() as u64),
            queue_delay: state.control.as_ref().map_or(0, |control| (1e9 * control.queue_delay()) as u64),
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
        while let Some(job) = self.next() {
            let outlet = lock(&self.outlet).clone();
            match job {
                Job::Frame(frame) => self.publish_frame(frame.0, frame.1, outlet.as_deref()),
                Job::Again(copies) => self.publish_again(copies, outlet.as_deref()),
            }
        }
    }

    fn publish_frame(&self, item: Item, header: Header, outlet: Option<&Outlet>) {
        let Frame { info, payload } = item.frame;
        let size = payload.len();
        let at = Instant::now();
        let mut copy = None;
        let attachment = if self.settings.foreign { Ok(foreign::attachment(&header)) } else { header.encode() };
        let sent = match (outlet, attachment) {
            (None, _) => None,
            (Some(outlet), Ok(attachment)) => {
                let (payload, attachment) = (ZBytes::from(payload), ZBytes::from(attachment));
                copy = Some((payload.clone(), attachment.clone()));
                Some(outlet.publisher.put(payload).attachment(attachment).wait().is_ok())
            }
            (Some(_), Err(_)) => Some(false),
        };
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        state.busy = false;
        match sent {
            None => state.stats.discarded += 1,
            Some(true) => {
                state.stats.sent += 1;
                state.stats.bytes += size as u64;
                state.stats.key_frames += u64::from(info.key);
                state.history.sent(Sent { sequence: header.sequence, number: info.number, key: info.key, at, size, copy });
                if let Some(control) = &mut state.control {
                    control.sent(size, state.history.in_flight(at), at.saturating_duration_since(item.queued), at);
                }
            }
            Some(false) => state.stats.publish_errors += 1,
        }
        match item.caps.filter(|_| header.caps.is_some()) {
            Some(caps) if sent == Some(true) => state.caps_sent = Some((caps, Instant::now())),
            Some(_) => state.caps_due = true,
            None => {}
        }
        drop(guard);
        self.changed.notify_all();
        if let (Some(false), Some(number)) = (sent, info.number) {
            (self.notify)(PublisherEvent::Lost { number });
        }
    }

    fn publish_again(&self, copies: Vec<(u64, ZBytes, ZBytes)>, outlet: Option<&Outlet>) {
        let Some(outlet) = outlet else { return };
        for (receiver, payload, attachment) in copies {
            let key = key::again(&self.settings.key, self.stream, receiver);
            let put = outlet.session.put(key, payload).attachment(attachment);
            let put = put.priority(self.settings.priority.into()).congestion_control(self.settings.congestion_control.into());
            if put.express(true).wait().is_ok() {
                lock(&self.state).stats.resent += 1;
            }
        }
    }

    /// Waits for what is to be sent next; `None` to end.
    fn next(&self) -> Option<Job> {
        let mut guard = lock(&self.state);
        loop {
            if self.stop.load(Ordering::Acquire) {
                return None;
            }
            let now = Instant::now();
            let state = &mut *guard;
            let again = state.history.again(now, state.control.is_some());
            if !again.is_empty() {
                return Some(Job::Again(again));
            }
            let next = state.queue.front().map(|item| item.frame.payload.len());
            let held_back =
                next.zip(state.control.as_ref()).is_some_and(|(size, control)| !control.permits(size, state.history.in_flight(now)));
            if !held_back && let Some(item) = state.queue.pop() {
                state.busy = true;
                let header = Header {
                    stream: self.stream,
                    sequence: item.sequence,
                    info: item.frame.info.clone(),
                    caps: self.caps_for(state, &item),
                    caps_follow: self.settings.send_caps && item.caps.is_some(),
                    acknowledge: state.numbered || state.control.is_some(),
                };
                return Some(Job::Frame(Box::new((item, header))));
            }
            let nap = if held_back || state.history.resends(now) { LOOK } else { Duration::from_secs(1) };
            guard = wait(&self.changed, guard, nap);
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
    requests: Option<zenoh::pubsub::Subscriber<()>>,
    /// When that was declared.
    since: Instant,
    _token: Option<LivelinessToken>,
}

struct Sending {
    key: KeyExpr<'static>,
    shared: Arc<Shared>,
    control: Sender<Message>,
    declared: Option<Declared>,
    key_frames: Throttle,
    /// What the encoder was last told to refer to.
    told: Option<Vec<u32>>,
}

/// Takes in what a receiver has. Returns whether only a key frame helps it. `began`: an instant before any frame was sent.
fn acknowledged(state: &mut State, ack: Acknowledgement, now: Instant, began: Instant) -> bool {
    let news = state.history.acknowledge(ack, now);
    state.stats.lost += news.lost;
    if let Some(control) = &mut state.control {
        let round_trip = state.history.round_trip().unwrap_or_default();
        if let Some(trip) = news.round_trip {
            // The receiver's clock at arrival less ours at sending: whatever lies between them is the same every time.
            let sent = now.checked_sub(trip).unwrap_or(now).saturating_duration_since(began);
            let delay = ack.at as f64 / 1e9 - sent.as_secs_f64();
            let bytes = news.arrived.iter().map(|(_, size)| size).sum();
            control.acknowledged(bytes, delay, state.history.in_flight(now), round_trip, now);
        }
        if news.lost > 0 {
            control.loss(round_trip, now);
        }
    }
    news.lost_key
}

impl Sending {
    /// What receivers say.
    fn listen(&self, session: &Session) -> zenoh::Result<zenoh::pubsub::Subscriber<()>> {
        let control = self.control.clone();
        session
            .declare_subscriber(key::requests(&self.shared.settings.key, self.shared.stream))
            .callback(move |sample: Sample| {
                if let Some(request) = Request::decode(&sample.payload().to_bytes()) {
                    let _ = control.send(Message::Heard(request));
                }
            })
            .wait()
    }

    /// zenoh declares a thing once, and a link over UDP may lose that: where receivers are and say nothing, we listen anew.
    fn listen_again(&mut self, session: &Session) {
        let deaf = {
            let state = lock(&self.shared.state);
            state.numbered && !state.receivers.is_empty() && state.history.unheard()
        };
        if let Some(declared) = self.declared.as_mut().filter(|declared| deaf && declared.since.elapsed() > LISTEN_AGAIN) {
            declared.requests = None;
            declared.since = Instant::now();
            let requests = self.listen(session).ok();
            if let Some(declared) = &mut self.declared {
                declared.requests = requests;
            }
        }
    }

    fn heard(&mut self, request: Request) {
        let now = Instant::now();
        let mut guard = lock(&self.shared.state);
        let state = &mut *guard;
        match request {
            Request::KeyFrame { receiver } => {
                state.stats.key_requests += 1;
                if !state.history.excuses(receiver, now) {
                    self.key_frames.ask();
                }
            }
            Request::Acknowledge(ack) => {
                let lost_key = acknowledged(state, ack, now, self.shared.began);
                drop(guard);
                if lost_key {
                    self.key_frames.ask();
                }
                self.shared.changed.notify_all();
            }
        }
    }

    /// Tells the encoder what receivers hold, and what the network carries.
    fn tell(&mut self) {
        let now = Instant::now();
        let mut guard = lock(&self.shared.state);
        let state = &mut *guard;
        let held = if state.numbered { state.history.acknowledged(now) } else { None };
        let waits = state.queue.front().map_or(Duration::ZERO, |item| now.saturating_duration_since(item.queued));
        let moved = state
            .control
            .as_mut()
            .and_then(|control| (control.adjust(waits, now) || state.stats.bit_rate == 0).then(|| control.target() as u64));
        if let Some(bits) = moved {
            state.stats.bit_rate = bits;
        }
        drop(guard);
        if self.told != held {
            self.told = held.clone();
            (self.shared.notify)(PublisherEvent::Acknowledged { numbers: held });
        }
        if let Some(bits) = moved {
            (self.shared.notify)(PublisherEvent::BitRate { bits });
        }
    }
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
        let requests = self.listen(session)?;
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
        *lock(&self.shared.outlet) = Some(Arc::new(Outlet { publisher, session: session.clone() }));
        // Last: who sees the token may rely on everything else. Foreign frames name no stream that it could stand for.
        let token = || session.liveliness().declare_token(key::publisher_token(&settings.key, stream)).wait();
        let token = (!settings.foreign).then(token).transpose()?;
        self.declared = Some(Declared { _receivers: receivers, requests: Some(requests), since: Instant::now(), _token: token });
        Ok(())
    }

    fn message(&mut self, message: Message) {
        match message {
            Message::KeyFrame => {
                lock(&self.shared.state).stats.key_requests += 1;
                self.key_frames.ask();
            }
            Message::Heard(request) => self.heard(request),
            Message::Receiver { id, live } => {
                let mut state = lock(&self.shared.state);
                let changed = if live { state.receivers.insert(id) } else { state.receivers.remove(&id) };
                if !changed {
                    return;
                }
                if !live {
                    state.history.left(id);
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

    fn tick(&mut self, session: Option<&Session>) {
        session.into_iter().for_each(|session| self.listen_again(session));
        self.tell();
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
        let mut state = lock(&self.shared.state);
        state.receivers.clear();
        state.history.clear_peers();
    }
}
