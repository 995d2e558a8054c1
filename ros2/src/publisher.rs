//! Sends pictures; never blocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use lic_transport::{LinkEvent, Network, Role, Running, unix_now};
use zenoh::liveliness::LivelinessToken;
use zenoh::qos::CongestionControl;
use zenoh::{Session, Wait};

use crate::attachment::Attachment;
use crate::error::Error;
use crate::graph::{self, Endpoint, Node, Qos};
use crate::messages::{CameraInfo, CompressedImage, Header};
use crate::names::{self, CAMERA_INFO, COMPRESSED_IMAGE, Mode, Topic, Type};

/// Pictures that wait while the network is busy. A second's worth would be seen as delay.
const WAITING: usize = 4;
/// What sensors of ROS 2 keep.
const QOS: Qos = Qos { reliable: true, depth: 5 };

#[derive(Debug, Clone)]
pub struct PublisherSettings {
    pub mode: Mode,
    /// The image's base topic; pictures leave on `<topic>/compressed`.
    pub topic: Topic,
    /// 0 to 232. No part of a bridge's keys.
    pub domain: u32,
    /// Name of the node, as `ros2 node list` shows it.
    pub node: String,
    /// The camera's frame in tf.
    pub frame_id: String,
    /// Sent with every picture, with its header, on `camera_info` beside the topic.
    pub camera_info: Option<CameraInfo>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PublisherStats {
    pub connected: bool,
    /// Pictures handed to the network.
    pub sent: u64,
    /// Pictures given up: the network was busy, or not there.
    pub dropped: u64,
    /// Bytes of the messages sent.
    pub bytes: u64,
}

/// One camera. Ends, within 1.5 s, when dropped.
pub struct Publisher {
    pictures: SyncSender<Picture>,
    shared: Arc<Shared>,
    _running: Running,
}

#[derive(Default)]
struct Shared {
    connected: AtomicBool,
    sent: AtomicU64,
    dropped: AtomicU64,
    bytes: AtomicU64,
}

struct Picture {
    jpeg: Vec<u8>,
    stamp: i64,
}

impl Publisher {
    /// `notify` hears of the connection, from another thread.
    ///
    /// # Errors
    /// A setting that cannot work.
    pub fn start(settings: PublisherSettings, network: &Network, notify: impl FnMut(LinkEvent) + Send + 'static) -> Result<Self, Error> {
        names::domain(settings.domain)?;
        names::node(&settings.node)?;
        let (pictures, waiting) = sync_channel(WAITING);
        let shared = Arc::new(Shared::default());
        let role = Sender { settings, shared: shared.clone(), declared: None, notify: Box::new(notify) };
        let running = Running::start(network, role, waiting)?;
        Ok(Self { pictures, shared, _running: running })
    }

    /// Hands over a JPEG picture captured at `stamp`, nanoseconds since 1970. `false` if it was given up at once: the network is
    /// busy with those before it.
    pub fn push(&self, jpeg: Vec<u8>, stamp: i64) -> bool {
        match self.pictures.try_send(Picture { jpeg, stamp }) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.shared.dropped.fetch_add(1, Ordering::Relaxed);
                false
            }
        }
    }

    #[must_use]
    pub fn stats(&self) -> PublisherStats {
        let Shared { connected, sent, dropped, bytes } = &*self.shared;
        PublisherStats {
            connected: connected.load(Ordering::Relaxed),
            sent: sent.load(Ordering::Relaxed),
            dropped: dropped.load(Ordering::Relaxed),
            bytes: bytes.load(Ordering::Relaxed),
        }
    }
}

struct Sender {
    settings: PublisherSettings,
    shared: Arc<Shared>,
    declared: Option<Declared>,
    notify: Box<dyn FnMut(LinkEvent) + Send>,
}

struct Declared {
    image: Output,
    camera_info: Option<Output>,
    _node: Option<LivelinessToken>,
}

/// One topic on a session.
struct Output {
    publisher: zenoh::pubsub::Publisher<'static>,
    /// rmw_zenoh's: its token, whose hash names the publisher.
    identity: Option<(LivelinessToken, [u8; 16])>,
    sequence: i64,
}

impl Output {
    fn new(session: &Session, settings: &PublisherSettings, topic: &Topic, kind: Type, id: u32) -> zenoh::Result<Self> {
        let key = topic.key(settings.mode, settings.domain, kind);
        let publisher = session.declare_publisher(key).congestion_control(CongestionControl::Drop).wait()?;
        let identity = match settings.mode {
            Mode::Ros2Dds => None,
            Mode::RmwZenoh(distro) => {
                let zid = session.zid().to_string();
                let node = Node { domain: settings.domain, session: &zid, id: 0, name: &settings.node };
                let token = node.endpoint(Endpoint::Publisher, id, topic, kind, distro, QOS);
                let gid = graph::gid(&token);
                Some((session.liveliness().declare_token(token).wait()?, gid))
            }
        };
        Ok(Self { publisher, identity, sequence: 0 })
    }

    fn send(&mut self, message: Vec<u8>) -> zenoh::Result<()> {
        self.sequence += 1;
        let put = self.publisher.put(message);
        match &self.identity {
            Some((_, gid)) => {
                put.attachment(Attachment { sequence: self.sequence, time: unix_now(), gid: *gid }.encode().as_slice()).wait()
            }
            None => put.wait(),
        }
    }
}

impl Role for Sender {
    type Message = Picture;

    fn opened(&mut self, session: &Session) -> zenoh::Result<()> {
        let settings = &self.settings;
        let node = match settings.mode {
            Mode::Ros2Dds => None,
            Mode::RmwZenoh(_) => {
                let zid = session.zid().to_string();
                let token = Node { domain: settings.domain, session: &zid, id: 0, name: &settings.node }.token();
                Some(session.liveliness().declare_token(token).wait()?)
            }
        };
        let image = Output::new(session, settings, &settings.topic.compressed(), COMPRESSED_IMAGE, 1)?;
        let beside = settings.camera_info.as_ref().map(|_| settings.topic.camera_info());
        let camera_info = beside.map(|topic| Output::new(session, settings, &topic, CAMERA_INFO, 2)).transpose()?;
        self.declared = Some(Declared { image, camera_info, _node: node });
        Ok(())
    }

    fn message(&mut self, Picture { jpeg, stamp }: Picture) {
        let given_up = |shared: &Shared| shared.dropped.fetch_add(1, Ordering::Relaxed);
        let Some(declared) = self.declared.as_mut().filter(|_| self.shared.connected.load(Ordering::Relaxed)) else {
            given_up(&self.shared);
            return;
        };
        let header = Header::new(stamp, &self.settings.frame_id);
        if let (Some(output), Some(info)) = (&mut declared.camera_info, &self.settings.camera_info) {
            // The picture matters more; it tells of a session that is gone.
            let _ = output.send(CameraInfo { header: header.clone(), ..info.clone() }.to_cdr());
        }
        let message = CompressedImage { header, format: "jpeg".into(), data: jpeg }.to_cdr();
        let bytes = message.len() as u64;
        match declared.image.send(message) {
            Ok(()) => {
                self.shared.sent.fetch_add(1, Ordering::Relaxed);
                self.shared.bytes.fetch_add(bytes, Ordering::Relaxed);
            }
            Err(_) => {
                given_up(&self.shared);
            }
        }
    }

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
