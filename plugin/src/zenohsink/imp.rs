use super::rate::Encoder;
use super::{Attachment, CongestionControl, Priority, Reliability};
use crate::capture::capture_time;
use crate::frame_meta;
use crate::network::{self, post, text};
use crate::stream::lock;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;
use lic_transport::{Frame, FrameInfo, Limits, Network, Publisher, PublisherEvent, PublisherSettings, PublisherStats};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

static CAT: LazyLock<gst::DebugCategory> =
    LazyLock::new(|| gst::DebugCategory::new("zenohsink", gst::DebugColorFlags::empty(), Some("zenoh sink")));

const DEFAULT_SEND_CAPS: bool = true;
const DEFAULT_CAPS_INTERVAL: u32 = 1;
const DEFAULT_EXPRESS: bool = false;
const DEFAULT_WAIT: u64 = 0;
const DEFAULT_ADAPTIVE: bool = false;
const DEFAULT_BITRATE: u32 = 0;

/// The ceiling where neither this element nor the encoder names one, bit/s.
const UNBOUNDED: u64 = 100_000_000;

/// How long the end of a stream waits for the last frames to leave.
const DRAIN: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
struct Settings {
    network: Network,
    key_expr: Option<String>,
    stream_name: String,
    priority: Priority,
    congestion_control: CongestionControl,
    reliability: Reliability,
    express: bool,
    attachment: Attachment,
    send_caps: bool,
    caps_interval: u32,
    limits: Limits,
    wait_for_receiver: Duration,
    adaptive_bitrate: bool,
    bitrate: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            network: Network::default(),
            key_expr: None,
            stream_name: lic_transport::DEFAULT_NAME.into(),
            priority: Priority::default(),
            congestion_control: CongestionControl::default(),
            reliability: Reliability::default(),
            express: DEFAULT_EXPRESS,
            attachment: Attachment::default(),
            send_caps: DEFAULT_SEND_CAPS,
            caps_interval: DEFAULT_CAPS_INTERVAL,
            limits: Limits::default(),
            wait_for_receiver: Duration::from_nanos(DEFAULT_WAIT),
            adaptive_bitrate: DEFAULT_ADAPTIVE,
            bitrate: DEFAULT_BITRATE,
        }
    }
}

impl Settings {
    /// `encoder`: what the stream comes from.
    fn for_transport(&self, encoder: Option<&Encoder>) -> Result<PublisherSettings, lic_transport::Error> {
        let key = match &self.key_expr {
            Some(key) => key.clone(),
            None => lic_transport::default_key(&self.stream_name)?,
        };
        Ok(PublisherSettings {
            key,
            priority: self.priority.into(),
            congestion_control: self.congestion_control.into(),
            reliability: self.reliability.into(),
            express: self.express,
            limits: self.limits,
            foreign: self.attachment == Attachment::GstPluginZenoh,
            send_caps: self.send_caps,
            caps_interval: Duration::from_secs(self.caps_interval.into()),
            adapt: self.adaptive_bitrate.then(|| match (self.bitrate, encoder.map_or(0, |encoder| encoder.at_first)) {
                (0, 0) => UNBOUNDED,
                (0, bits) => bits,
                (kilobits, _) => u64::from(kilobits) * 1000,
            }),
        })
    }
}

#[derive(Clone)]
struct State {
    publisher: Arc<Publisher>,
    key: String,
    /// Still to be waited for a receiver before the first frame.
    wait: Duration,
    /// What follows the network.
    encoder: Option<Encoder>,
}

#[derive(Default)]
pub struct ZenohSink {
    settings: Mutex<Settings>,
    state: Mutex<Option<State>>,
    /// Key and counts of the last run, readable after it.
    past: Mutex<(String, PublisherStats)>,
}

#[glib::object_subclass]
impl ObjectSubclass for ZenohSink {
    const NAME: &'static str = "GstLicZenohSink";
    type Type = super::ZenohSink;
    type ParentType = gst_base::BaseSink;
}

impl ObjectImpl for ZenohSink {
    fn constructed(&self) {
        self.parent_constructed();
        // What is live leaves at once; for a file there is sync=true.
        self.obj().set_sync(false);
    }

    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let limits = Limits::default();
            let mut properties = vec![
                glib::ParamSpecString::builder("key-expr")
                    .nick("Key")
                    .blurb("zenoh key of the stream (default: lic/<hostname>/<stream-name>)")
                    .mutable_ready()
                    .build(),
                glib::ParamSpecString::builder("stream-name")
                    .nick("Stream name")
                    .blurb("Last part of the default key, for hosts with more than one stream")
                    .default_value(Some(lic_transport::DEFAULT_NAME))
                    .mutable_ready()
                    .build(),
            ];
            properties.extend(network::properties());
            properties.extend([
                glib::ParamSpecEnum::builder_with_default("priority", Priority::default())
                    .nick("Priority")
                    .blurb("Which stream goes first on a shared link")
                    .mutable_ready()
                    .build(),
                glib::ParamSpecEnum::builder_with_default("congestion-control", CongestionControl::default())
                    .nick("Congestion control")
                    .blurb("What happens to a frame that the network cannot take; the pipeline never waits for it")
                    .mutable_ready()
                    .build(),
                glib::ParamSpecEnum::builder_with_default("reliability", Reliability::default())
                    .nick("Reliability")
                    .blurb("Which link is preferred where there are several")
                    .mutable_ready()
                    .build(),
                glib::ParamSpecBoolean::builder("express")
                    .nick("Express")
                    .blurb("Never wait for more to fill a packet")
                    .default_value(DEFAULT_EXPRESS)
                    .mutable_ready()
                    .build(),
                glib::ParamSpecEnum::builder_with_default("attachment", Attachment::default())
                    .nick("Attachment")
                    .blurb("What travels beside each frame. With gst-plugin-zenoh its zenohsrc reads the stream (licdec then sees no losses; no key frames on demand but for lic's receivers)")
                    .mutable_ready()
                    .build(),
                glib::ParamSpecBoolean::builder("send-caps")
                    .nick("Send caps")
                    .blurb("Tell receivers the format; without it they must know it")
                    .default_value(DEFAULT_SEND_CAPS)
                    .mutable_ready()
                    .build(),
                glib::ParamSpecUInt::builder("caps-interval")
                    .nick("Caps interval")
                    .blurb("Seconds after which the format is told again (0 = only with key frames and to receivers that join)")
                    .default_value(DEFAULT_CAPS_INTERVAL)
                    .mutable_ready()
                    .build(),
                glib::ParamSpecUInt::builder("max-queue-frames")
                    .nick("Queue, frames")
                    .blurb("Most frames that wait for the network before some are given up")
                    .minimum(1)
                    .default_value(limits.frames as u32)
                    .mutable_ready()
                    .build(),
                glib::ParamSpecUInt64::builder("max-queue-bytes")
                    .nick("Queue, bytes")
                    .blurb("Most bytes that wait for the network; one frame always may")
                    .minimum(1)
                    .default_value(limits.bytes as u64)
                    .mutable_ready()
                    .build(),
                glib::ParamSpecUInt64::builder("max-queue-time")
                    .nick("Queue, time")
                    .blurb("Longest wait in nanoseconds where giving up means a whole group of pictures (H.264); single frames (lic, JPEG) go after a quarter of it")
                    .default_value(limits.time.as_nanos() as u64)
                    .mutable_ready()
                    .build(),
                glib::ParamSpecUInt64::builder("wait-for-receiver")
                    .nick("Wait for receiver")
                    .blurb("Longest wait in nanoseconds for a first receiver before the first frame (0 = none): sends a file whole")
                    .default_value(DEFAULT_WAIT)
                    .mutable_ready()
                    .build(),
                glib::ParamSpecBoolean::builder("adaptive-bitrate")
                    .nick("Adaptive bit rate")
                    .blurb(
                        "Set the bit rate of the encoder before this element (licenc, x264enc and other usual ones) to what the network carries, \
                         by SCReAM (RFC 8298), and hold back what it does not; messages zenoh-bitrate tell it to other encoders' applications",
                    )
                    .default_value(DEFAULT_ADAPTIVE)
                    .mutable_ready()
                    .build(),
                glib::ParamSpecUInt::builder("bitrate")
                    .nick("Bit rate")
                    .blurb("The most that adaptive-bitrate asks for, in kbit/s (0 = what the encoder is set to, or no limit)")
                    .default_value(DEFAULT_BITRATE)
                    .mutable_ready()
                    .build(),
                glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
                    .nick("Statistics")
                    .blurb("sent, resent, lost, round-trip, bitrate, queue-delay, queued, evicted, discarded (no network yet), bytes, key-frames, receivers, joiners, key-requests, publish-errors")
                    .read_only()
                    .build(),
            ]);
            properties
        });
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut settings = lock(&self.settings);
        if network::set(&mut settings.network, pspec.name(), value) {
            return;
        }
        match pspec.name() {
            "key-expr" => settings.key_expr = text(value),
            "stream-name" => settings.stream_name = text(value).unwrap_or_else(|| lic_transport::DEFAULT_NAME.into()),
            "priority" => settings.priority = value.get().expect("type checked upstream"),
            "congestion-control" => settings.congestion_control = value.get().expect("type checked upstream"),
            "reliability" => settings.reliability = value.get().expect("type checked upstream"),
            "express" => settings.express = value.get().expect("type checked upstream"),
            "attachment" => settings.attachment = value.get().expect("type checked upstream"),
            "send-caps" => settings.send_caps = value.get().expect("type checked upstream"),
            "caps-interval" => settings.caps_interval = value.get().expect("type checked upstream"),
            "max-queue-frames" => settings.limits.frames = value.get::<u32>().expect("type checked upstream") as usize,
            "max-queue-bytes" => {
                settings.limits.bytes = usize::try_from(value.get::<u64>().expect("type checked upstream")).unwrap_or(usize::MAX)
            }
            "max-queue-time" => settings.limits.time = Duration::from_nanos(value.get().expect("type checked upstream")),
            "wait-for-receiver" => settings.wait_for_receiver = Duration::from_nanos(value.get().expect("type checked upstream")),
            "adaptive-bitrate" => settings.adaptive_bitrate = value.get().expect("type checked upstream"),
            "bitrate" => settings.bitrate = value.get().expect("type checked upstream"),
            _ => unimplemented!(),
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        if pspec.name() == "stats" {
            return self.stats().to_value();
        }
        let settings = lock(&self.settings);
        if let Some(value) = network::get(&settings.network, pspec.name()) {
            return value;
        }
        match pspec.name() {
            "key-expr" => settings.key_expr.to_value(),
            "stream-name" => settings.stream_name.to_value(),
            "priority" => settings.priority.to_value(),
            "congestion-control" => settings.congestion_control.to_value(),
            "reliability" => settings.reliability.to_value(),
            "express" => settings.express.to_value(),
            "attachment" => settings.attachment.to_value(),
            "send-caps" => settings.send_caps.to_value(),
            "caps-interval" => settings.caps_interval.to_value(),
            "max-queue-frames" => (settings.limits.frames as u32).to_value(),
            "max-queue-bytes" => (settings.limits.bytes as u64).to_value(),
            "max-queue-time" => (settings.limits.time.as_nanos() as u64).to_value(),
            "wait-for-receiver" => (settings.wait_for_receiver.as_nanos() as u64).to_value(),
            "adaptive-bitrate" => settings.adaptive_bitrate.to_value(),
            "bitrate" => settings.bitrate.to_value(),
            _ => unimplemented!(),
        }
    }
}

impl GstObjectImpl for ZenohSink {}

impl ElementImpl for ZenohSink {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "zenoh sink",
                "Sink/Network",
                "Sends any stream live over zenoh; a slow network costs frames, never the pipeline, and every receiver that joins gets a key frame",
                "The lic developers",
            )
        });
        Some(&*METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let caps = gst::Caps::new_any();
            vec![gst::PadTemplate::new("sink", gst::PadDirection::Sink, gst::PadPresence::Always, &caps).expect("constant")]
        });
        &TEMPLATES
    }
}

impl BaseSinkImpl for ZenohSink {
    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = lock(&self.settings).clone();
        let encoder = self.obj().static_pad("sink").filter(|_| settings.adaptive_bitrate).and_then(|pad| Encoder::before(&pad));
        let for_transport = settings.for_transport(encoder.as_ref()).map_err(|e| network::error_message(&e))?;
        match &encoder {
            Some(encoder) => gst::info!(CAT, imp = self, "the bit rate of {} follows the network", encoder.name()),
            None if settings.adaptive_bitrate => gst::element_imp_warning!(
                self,
                gst::LibraryError::Settings,
                ("adaptive-bitrate: no encoder before this element whose bit rate can be set (licenc, x264enc, ...); follow the messages zenoh-bitrate")
            ),
            None => {}
        }
        let key = for_transport.key.clone();
        let this = self.downgrade();
        let notify = move |event| {
            if let Some(this) = this.upgrade() {
                this.heard(event);
            }
        };
        let publisher = Publisher::start(for_transport, &settings.network, notify).map_err(|e| network::error_message(&e))?;
        gst::info!(CAT, imp = self, "publishing {key}, stream {:016x}", publisher.stream());
        let publisher = Arc::new(publisher);
        *lock(&self.state) = Some(State { publisher, key, wait: settings.wait_for_receiver, encoder });
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        // Ends threads that may be telling this element something: no lock is held meanwhile.
        let state = lock(&self.state).take();
        if let Some(state) = state {
            let stats = state.publisher.stats();
            gst::info!(CAT, imp = self, "stopping: {stats:?}");
            *lock(&self.past) = (state.key, stats);
            drop(state.publisher);
            if let Some(encoder) = state.encoder {
                encoder.set_bits(encoder.at_first);
            }
        }
        Ok(())
    }

    fn set_caps(&self, caps: &gst::Caps) -> Result<(), gst::LoggableError> {
        gst::debug!(CAT, imp = self, "caps {caps}");
        if let Some(publisher) = self.publisher()
            && !publisher.set_caps(&caps.to_string())
        {
            gst::element_imp_warning!(
                self,
                gst::StreamError::Format,
                ("The format's description is too long to be sent (64 KiB): receivers must know it")
            );
        }
        self.parent_set_caps(caps)
    }

    fn render(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let state = lock(&self.state).clone().ok_or(gst::FlowError::Flushing)?;
        if buffer.size() == 0 {
            return Ok(gst::FlowSuccess::Ok);
        }
        if !state.wait.is_zero() {
            state.publisher.wait_receiver(state.wait);
            if let Some(state) = lock(&self.state).as_mut() {
                state.wait = Duration::ZERO;
            }
        }
        let map = buffer.map_readable().map_err(|_| {
            gst::element_imp_error!(self, gst::ResourceError::Read, ("Cannot read a buffer's memory"));
            gst::FlowError::Error
        })?;
        state.publisher.push(Frame { info: self.info(buffer), payload: map.to_vec() });
        Ok(gst::FlowSuccess::Ok)
    }

    fn event(&self, event: gst::Event) -> bool {
        if event.type_() == gst::EventType::Eos
            && let Some(publisher) = self.publisher()
            && !publisher.drain(DRAIN)
        {
            gst::warning!(CAT, imp = self, "the network did not take the last frames in time");
        }
        self.parent_event(event)
    }

    fn unlock(&self) -> Result<(), gst::ErrorMessage> {
        self.publisher().into_iter().for_each(|publisher| publisher.interrupt(true));
        Ok(())
    }

    fn unlock_stop(&self) -> Result<(), gst::ErrorMessage> {
        self.publisher().into_iter().for_each(|publisher| publisher.interrupt(false));
        Ok(())
    }
}

impl ZenohSink {
    fn publisher(&self) -> Option<Arc<Publisher>> {
        lock(&self.state).as_ref().map(|state| state.publisher.clone())
    }

    fn stats(&self) -> gst::Structure {
        let now = lock(&self.state).clone().map(|state| (state.key, state.publisher.stats()));
        let (key, stats) = now.unwrap_or_else(|| lock(&self.past).clone());
        gst::Structure::builder("application/x-zenohsink-stats")
            .field("key-expr", key)
            .field("stream", format!("{:016x}", stats.stream))
            .field("connected", stats.connected)
            .field("sent", stats.sent)
            .field("resent", stats.resent)
            .field("lost", stats.lost)
            .field("round-trip", stats.round_trip)
            .field("bitrate", stats.bit_rate)
            .field("queue-delay", stats.queue_delay)
            .field("queued", stats.queued)
            .field("queued-bytes", stats.queued_bytes)
            .field("evicted", stats.evicted)
            .field("discarded", stats.discarded)
            .field("bytes", stats.bytes)
            .field("key-frames", stats.key_frames)
            .field("receivers", stats.receivers)
            .field("joiners", stats.joiners)
            .field("key-requests", stats.key_requests)
            .field("publish-errors", stats.publish_errors)
            .build()
    }

    /// What the network must know of a buffer.
    fn info(&self, buffer: &gst::BufferRef) -> FrameInfo {
        let flags = buffer.flags();
        let meta = frame_meta::of(buffer);
        let key = meta.as_ref().map_or(!flags.contains(gst::BufferFlags::DELTA_UNIT), |meta| meta.key);
        let recovery = meta.as_ref().is_some_and(|meta| meta.recovery);
        let (number, references) = meta.map_or((None, vec![]), |meta| (Some(meta.number), meta.references));
        let segment = self.obj().segment();
        let running = |time: Option<gst::ClockTime>| match segment.downcast_ref::<gst::ClockTime>() {
            Some(segment) => segment.to_running_time(time?),
            None => time,
        };
        let pts = running(buffer.pts());
        FrameInfo {
            key,
            delta: !key,
            recovery,
            header: flags.contains(gst::BufferFlags::HEADER),
            discont: flags.contains(gst::BufferFlags::DISCONT),
            number,
            references,
            pts: pts.map(gst::ClockTime::nseconds),
            dts: running(buffer.dts()).map(gst::ClockTime::nseconds),
            duration: buffer.duration().map(gst::ClockTime::nseconds),
            capture: capture_time(&*self.obj(), buffer, pts),
        }
    }

    /// What the publisher has to tell, from its threads.
    fn heard(&self, event: PublisherEvent) {
        let element = self.obj();
        let joined = |name: &str, receiver: u64, receivers: usize| {
            gst::info!(CAT, imp = self, "{name}: {receiver:016x}, {receivers} there");
            let structure =
                gst::Structure::builder(name).field("receiver", format!("{receiver:016x}")).field("receivers", receivers as u32);
            post(&*element, structure.build());
        };
        match event {
            PublisherEvent::Joined { receiver, receivers } => joined("zenoh-receiver-joined", receiver, receivers),
            PublisherEvent::Left { receiver, receivers } => joined("zenoh-receiver-left", receiver, receivers),
            PublisherEvent::KeyFrameWanted { requests } => {
                gst::debug!(CAT, imp = self, "asking for a key frame, {requests} requests");
                self.push_upstream(gst_video::UpstreamForceKeyUnitEvent::builder().all_headers(true).build());
            }
            PublisherEvent::Lost { number } => {
                gst::debug!(CAT, imp = self, "frame {number} was given up");
                self.push_upstream(frame_meta::lost_event(number));
            }
            PublisherEvent::Acknowledged { numbers } => {
                gst::trace!(CAT, imp = self, "receivers hold {numbers:?}");
                self.push_upstream(frame_meta::acknowledged_event(numbers.as_deref()));
            }
            PublisherEvent::BitRate { bits } => {
                gst::debug!(CAT, imp = self, "the network carries {bits} bit/s");
                let encoder = lock(&self.state).as_ref().and_then(|state| state.encoder.clone());
                encoder.into_iter().for_each(|encoder| encoder.set_bits(bits));
                post(&*element, gst::Structure::builder("zenoh-bitrate").field("bits-per-second", bits).build());
            }
            PublisherEvent::Connected => {
                gst::info!(CAT, imp = self, "connected");
                network::post_connected(&*element, true);
            }
            PublisherEvent::Disconnected => {
                gst::info!(CAT, imp = self, "disconnected");
                network::post_connected(&*element, false);
            }
            PublisherEvent::Trouble(text) => gst::element_imp_warning!(self, gst::ResourceError::OpenWrite, ("{text}")),
        }
    }

    fn push_upstream(&self, event: gst::Event) {
        if let Some(pad) = self.obj().static_pad("sink") {
            let _ = pad.push_event(event);
        }
    }
}
