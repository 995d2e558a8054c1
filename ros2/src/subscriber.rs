//! Receives pictures that any ROS 2 node publishes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use lic_transport::{LinkEvent, Network, Role, Running};
use zenoh::liveliness::LivelinessToken;
use zenoh::sample::{Sample, SampleKind};
use zenoh::{Session, Wait};

use crate::attachment::Attachment;
use crate::error::Error;
use crate::graph::{Endpoint, Node, Qos};
use crate::messages::{CameraInfo, CompressedImage};
use crate::names::{self, CAMERA_INFO, COMPRESSED_IMAGE, Mode, Topic, Type};

/// Pictures that wait for a slow reader; then new ones are dropped.
const WAITING: usize = 8;
/// The largest picture that is taken, bytes.
const MAX_PICTURE: usize = 32 << 20;
/// The largest calibration that is taken, bytes.
const MAX_INFO: usize = 1 << 16;
/// The longest sleep without a look at whether to stop.
const NAP: Duration = Duration::from_millis(50);
const QOS: Qos = Qos { reliable: true, depth: 5 };

#[derive(Debug, Clone)]
pub struct SubscriberSettings {
    pub mode: Mode,
    /// The image's base topic; `<topic>/compressed` is received, and `camera_info` beside the topic.
    pub topic: Topic,
    /// 0 to 232. No part of a bridge's keys.
    pub domain: u32,
    /// Name of the node, as `ros2 node list` shows it.
    pub node: String,
}

/// A picture.
#[derive(Debug, Clone)]
pub struct Received {
    pub image: CompressedImage,
    /// When it came.
    pub arrived: Instant,
    /// What rmw_zenoh says of it; `None` from a bridge.
    pub attachment: Option<Attachment>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoImage {
    Timeout,
    Interrupted,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SubscriberStats {
    pub connected: bool,
    pub received: u64,
    /// Too much for this reader.
    pub overflowed: u64,
    /// No such message.
    pub foreign: u64,
}

/// One topic. Ends, within 1.5 s, when dropped.
pub struct Subscriber {
    pictures: Mutex<Receiver<Received>>,
    interrupted: AtomicBool,
    shared: Arc<Shared>,
    /// Nothing is said to the link; it lives as long as this does.
    _messages: Sender<()>,
    _running: Running,
}

#[derive(Default)]
struct Shared {
    connected: AtomicBool,
    received: AtomicU64,
    overflowed: AtomicU64,
    foreign: AtomicU64,
    camera_info: Mutex<Option<CameraInfo>>,
}

impl Subscriber {
    /// `notify` hears of the connection, from another thread.
    ///
    /// # Errors
    /// A setting that cannot work.
    pub fn start(settings: SubscriberSettings, network: &Network, notify: impl FnMut(LinkEvent) + Send + 'static) -> Result<Self, Error> {
        names::domain(settings.domain)?;
        names::node(&settings.node)?;
        let (to, pictures) = sync_channel(WAITING);
        let (messages, none) = channel();
        let shared = Arc::new(Shared::default());
        let role = Listener { settings, shared: shared.clone(), pictures: to, declared: None, notify: Box::new(notify) };
        let running = Running::start(network, role, none)?;
        Ok(Self { pictures: Mutex::new(pictures), interrupted: AtomicBool::new(false), shared, _messages: messages, _running: running })
    }

    /// Waits at most `time` for the next picture.
    ///
    /// # Errors
    /// None came, or [`Self::interrupt`].
    pub fn receive(&self, time: Duration) -> Result<Received, NoImage> {
        let deadline = Instant::now() + time;
        let pictures = lock(&self.pictures);
        loop {
            if self.interrupted.load(Ordering::Acquire) {
                return Err(NoImage::Interrupted);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match pictures.recv_timeout(left.min(NAP)) {
                Ok(received) => return Ok(received),
                Err(RecvTimeoutError::Timeout) if !left.is_zero() => {}
                Err(_) => return Err(NoImage::Timeout),
            }
        }
    }

    /// Ends waits now (within 50 ms) and from now on, until called with `false`.
    pub fn interrupt(&self, on: bool) {
        self.interrupted.store(on, Ordering::Release);
    }

    /// The newest calibration that came.
    #[must_use]
    pub fn camera_info(&self) -> Option<CameraInfo> {
        lock(&self.shared.camera_info).clone()
    }

    #[must_use]
    pub fn stats(&self) -> SubscriberStats {
        let Shared { connected, received, overflowed, foreign, .. } = &*self.shared;
        SubscriberStats {
            connected: connected.load(Ordering::Relaxed),
            received: received.load(Ordering::Relaxed),
            overflowed: overflowed.load(Ordering::Relaxed),
            foreign: foreign.load(Ordering::Relaxed),
        }
    }
}

impl Shared {
    /// Runs on zenoh's threads for every picture.
    fn picture(&self, sample: &Sample, pictures: &SyncSender<Received>) {
        if sample.kind() != SampleKind::Put {
            return;
        }
        let image = (sample.payload().len() <= MAX_PICTURE).then(|| CompressedImage::from_cdr(&sample.payload().to_bytes()).ok()).flatten();
        let Some(image) = image else {
            self.foreign.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let attachment = sample.attachment().and_then(|bytes| Attachment::decode(&bytes.to_bytes()));
        let count = match pictures.try_send(Received { image, arrived: Instant::now(), attachment }) {
            Ok(()) => &self.received,
            Err(_) => &self.overflowed,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    fn calibration(&self, sample: &Sample) {
        if sample.kind() != SampleKind::Put {
            return;
        }
        match (sample.payload().len() <= MAX_INFO).then(|| CameraInfo::from_cdr(&sample.payload().to_bytes()).ok()).flatten() {
            Some(info) => *lock(&self.camera_info) = Some(info),
            None => {
                self.foreign.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

struct Listener {
    settings: SubscriberSettings,
    shared: Arc<Shared>,
    pictures: SyncSender<Received>,
    declared: Option<Declared>,
    notify: Box<dyn FnMut(LinkEvent) + Send>,
}

struct Declared {
    _subscribers: [zenoh::pubsub::Subscriber<()>; 2],
    _tokens: Vec<LivelinessToken>,
}

impl Listener {
    fn tokens(&self, session: &Session, topics: [(&Topic, Type); 2]) -> zenoh::Result<Vec<LivelinessToken>> {
        let Mode::RmwZenoh(distro) = self.settings.mode else { return Ok(vec![]) };
        let zid = session.zid().to_string();
        let node = Node { domain: self.settings.domain, session: &zid, id: 0, name: &self.settings.node };
        let endpoints = (1..).zip(topics).map(|(id, (topic, kind))| node.endpoint(Endpoint::Subscriber, id, topic, kind, distro, QOS));
        std::iter::once(node.token()).chain(endpoints).map(|token| session.liveliness().declare_token(token).wait()).collect()
    }
}

impl Role for Listener {
    type Message = ();

    fn opened(&mut self, session: &Session) -> zenoh::Result<()> {
        let SubscriberSettings { mode, topic, domain, .. } = &self.settings;
        let (image, info) = (topic.compressed(), topic.camera_info());
        let (shared, pictures) = (self.shared.clone(), self.pictures.clone());
        let images = session
            .declare_subscriber(image.key(*mode, *domain, COMPRESSED_IMAGE))
            .callback(move |sample| shared.picture(&sample, &pictures))
            .wait()?;
        let shared = self.shared.clone();
        let infos =
            session.declare_subscriber(info.key(*mode, *domain, CAMERA_INFO)).callback(move |sample| shared.calibration(&sample)).wait()?;
        let tokens = self.tokens(session, [(&image, COMPRESSED_IMAGE), (&info, CAMERA_INFO)])?;
        self.declared = Some(Declared { _subscribers: [images, infos], _tokens: tokens });
        Ok(())
    }

    fn message(&mut self, (): ()) {}

    fn tick(&mut self, _: Option<&Session>) {}

    fn event(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Connected => self.shared.connected.store(true, Ordering::Relaxed),
            LinkEvent::Disconnected => self.shared.connected.store(false, Ordering::Relaxed),
            LinkEvent::Trouble(_) => {}
        }
        (self.notify)(event);
    }

    fn closing(&mut self) {
        self.declared = None;
    }
}

/// Every critical section here leaves its data valid, so a poisoned lock is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
