use crate::capture;
use crate::frame_meta::{self, FrameMeta};
use crate::network::{self, post, text};
use crate::stream::lock;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::base_src::CreateSuccess;
use gst_base::subclass::prelude::*;
use lic_transport::{
    FrameInfo, Network, NoFrame, PublisherInfo, Received, Subscriber, SubscriberEvent, SubscriberSettings, SubscriberStats, Timeline,
};
use std::str::FromStr;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

static CAT: LazyLock<gst::DebugCategory> =
    LazyLock::new(|| gst::DebugCategory::new("zenohsrc", gst::DebugColorFlags::empty(), Some("zenoh source")));

const DEFAULT_KEY_EXPR: &str = "lic/**";
const DEFAULT_LATENCY: u32 = 100;
const DEFAULT_PLAYOUT_DELAY: u32 = 0;

/// The longest sleep without a look at whether to stop; an interruption ends it anyway.
const NAP: Duration = Duration::from_secs(1);
/// Gaps are posted at most this often, summed up: under loss there is one with nearly every frame.
const GAP_MESSAGES: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
struct Settings {
    network: Network,
    key_expr: String,
    latency: u32,
    playout_delay: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            network: Network::default(),
            key_expr: DEFAULT_KEY_EXPR.into(),
            latency: DEFAULT_LATENCY,
            playout_delay: DEFAULT_PLAYOUT_DELAY,
        }
    }
}

/// What the streaming thread remembers from frame to frame.
#[derive(Default)]
struct Streaming {
    timeline: Timeline,
    /// The caps in force downstream.
    caps: Option<Arc<str>>,
    /// Frames missing that no message told of yet.
    missing: u64,
    told: Option<Instant>,
}

#[derive(Default)]
pub struct ZenohSrc {
    settings: Mutex<Settings>,
    subscriber: Mutex<Option<Arc<Subscriber>>>,
    streaming: Mutex<Streaming>,
    /// Counts of the last run, readable after it.
    past: Mutex<SubscriberStats>,
}

#[glib::object_subclass]
impl ObjectSubclass for ZenohSrc {
    const NAME: &'static str = "GstLicZenohSrc";
    type Type = super::ZenohSrc;
    type ParentType = gst_base::PushSrc;
}

impl ObjectImpl for ZenohSrc {
    fn constructed(&self) {
        self.parent_constructed();
        let element = self.obj();
        element.set_live(true);
        element.set_format(gst::Format::Time);
    }

    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let mut properties = vec![
                glib::ParamSpecString::builder("key-expr")
                    .nick("Key expression")
                    .blurb("zenoh key of the stream; of several that match, one is received and the others are listed in stats")
                    .default_value(Some(DEFAULT_KEY_EXPR))
                    .mutable_ready()
                    .build(),
            ];
            properties.extend(network::properties());
            properties.extend([
                glib::ParamSpecUInt::builder("latency")
                    .nick("Latency")
                    .blurb("Milliseconds by which frames may be late without a synchronised sink dropping them")
                    .maximum(60_000)
                    .default_value(DEFAULT_LATENCY)
                    .mutable_ready()
                    .build(),
                glib::ParamSpecUInt::builder("playout-delay")
                    .nick("Playout delay")
                    .blurb(
                        "Milliseconds that a frame may wait for one that was lost before it, which zenohsink then sends again (0 = nothing waits, \
                         nothing is sent again); at least the round trip and the time between two frames, better twice that",
                    )
                    .maximum(10_000)
                    .default_value(DEFAULT_PLAYOUT_DELAY)
                    .mutable_ready()
                    .build(),
                glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
                    .nick("Statistics")
                    .blurb("received, bytes, lost, late, recovered, duplicates, before-key, overflowed (pipeline too slow), foreign, key-requests, bitrate, delay (from capture, by both clocks), publishers")
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
            "key-expr" => settings.key_expr = text(value).unwrap_or_else(|| DEFAULT_KEY_EXPR.into()),
            "latency" => settings.latency = value.get().expect("type checked upstream"),
            "playout-delay" => settings.playout_delay = value.get().expect("type checked upstream"),
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
            "latency" => settings.latency.to_value(),
            "playout-delay" => settings.playout_delay.to_value(),
            _ => unimplemented!(),
        }
    }
}

impl GstObjectImpl for ZenohSrc {}

impl ElementImpl for ZenohSrc {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "zenoh source",
                "Source/Network",
                "Receives a live stream that zenohsink sends; waits for one, starts at a key frame, marks what is missing",
                "The lic developers",
            )
        });
        Some(&*METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let caps = gst::Caps::new_any();
            vec![gst::PadTemplate::new("src", gst::PadDirection::Src, gst::PadPresence::Always, &caps).expect("constant")]
        });
        &TEMPLATES
    }
}

impl BaseSrcImpl for ZenohSrc {
    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = lock(&self.settings).clone();
        *lock(&self.streaming) = Streaming::default();
        let this = self.downgrade();
        let notify = move |event| {
            if let Some(this) = this.upgrade() {
                this.heard(event);
            }
        };
        let subscriber = Subscriber::start(
            SubscriberSettings { key: settings.key_expr, playout: Duration::from_millis(settings.playout_delay.into()) },
            &settings.network,
            notify,
        )
        .map_err(|e| network::error_message(&e))?;
        *lock(&self.subscriber) = Some(Arc::new(subscriber));
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        // Ends threads that may be telling this element something: no lock is held meanwhile.
        let subscriber = lock(&self.subscriber).take();
        if let Some(subscriber) = subscriber {
            let stats = subscriber.stats();
            gst::info!(CAT, imp = self, "stopping: {stats:?}");
            *lock(&self.past) = stats;
        }
        Ok(())
    }

    fn is_seekable(&self) -> bool {
        false
    }

    fn query(&self, query: &mut gst::QueryRef) -> bool {
        if let gst::QueryViewMut::Latency(latency) = query.view_mut() {
            let settings = lock(&self.settings).clone();
            let least = gst::ClockTime::from_mseconds(settings.latency.max(settings.playout_delay).into());
            // No frame is held back here, so there is no most.
            latency.set(true, least, gst::ClockTime::NONE);
            return true;
        }
        BaseSrcImplExt::parent_query(self, query)
    }

    fn event(&self, event: &gst::Event) -> bool {
        if gst_video::UpstreamForceKeyUnitEvent::parse(event).is_ok() {
            gst::debug!(CAT, imp = self, "a key frame is wanted downstream");
            self.current().into_iter().for_each(|subscriber| subscriber.request_key_frame());
            return true;
        }
        self.parent_event(event)
    }

    fn unlock(&self) -> Result<(), gst::ErrorMessage> {
        self.current().into_iter().for_each(|subscriber| subscriber.interrupt(true));
        Ok(())
    }

    fn unlock_stop(&self) -> Result<(), gst::ErrorMessage> {
        self.current().into_iter().for_each(|subscriber| subscriber.interrupt(false));
        Ok(())
    }
}

impl PushSrcImpl for ZenohSrc {
    fn create(&self, _buffer: Option<&mut gst::BufferRef>) -> Result<CreateSuccess, gst::FlowError> {
        loop {
            let subscriber = self.current().ok_or(gst::FlowError::Flushing)?;
            let received = match subscriber.receive(NAP) {
                Ok(received) => received,
                Err(NoFrame::Timeout) => continue,
                Err(NoFrame::Interrupted) => return Err(gst::FlowError::Flushing),
            };
            if let Some(missing) = &received.missing {
                self.tell_gap(missing.end() - missing.start() + 1);
            }
            if self.negotiate_caps(&received)? {
                return Ok(CreateSuccess::NewBuffer(self.buffer(received)));
            }
        }
    }
}

impl ZenohSrc {
    fn current(&self) -> Option<Arc<Subscriber>> {
        lock(&self.subscriber).clone()
    }

    /// Puts the frame's caps in force. `false` if they are no caps: such a frame cannot be shown.
    fn negotiate_caps(&self, received: &Received) -> Result<bool, gst::FlowError> {
        let Some(text) = &received.caps else { return Ok(true) };
        if lock(&self.streaming).caps.as_ref() == Some(text) {
            return Ok(true);
        }
        let caps = match gst::Caps::from_str(text) {
            Ok(caps) if caps.is_fixed() => caps,
            _ => {
                gst::warning!(CAT, imp = self, "dropping a frame whose caps are none: {text}");
                return Ok(false);
            }
        };
        gst::info!(CAT, imp = self, "caps {caps}");
        // Not under the lock: this pushes an event downstream.
        self.obj().set_caps(&caps).map_err(|_| gst::FlowError::NotNegotiated)?;
        lock(&self.streaming).caps = Some(text.clone());
        Ok(true)
    }

    fn buffer(&self, received: Received) -> gst::Buffer {
        let Received { info, payload, sequence, arrived, new_stream, missing, .. } = received;
        let placed = {
            let mut streaming = lock(&self.streaming);
            if new_stream {
                streaming.timeline.reset();
            }
            streaming.timeline.place(info.pts, info.dts, capture::running_time(&*self.obj(), arrived), info.discont)
        };
        if placed.resync {
            gst::debug!(CAT, imp = self, "frame {sequence} sets the clock: {}", gst::ClockTime::from_nseconds(placed.pts));
        }
        let mut flags = gst::BufferFlags::empty();
        flags.set(gst::BufferFlags::DISCONT, new_stream || placed.resync || missing.is_some() || info.discont);
        flags.set(gst::BufferFlags::DELTA_UNIT, info.delta);
        flags.set(gst::BufferFlags::HEADER, info.header);

        let mut buffer = gst::Buffer::from_mut_slice(payload);
        let out = buffer.make_mut();
        out.set_flags(flags);
        out.set_pts(time(placed.pts));
        out.set_dts(placed.dts.and_then(time));
        out.set_duration(info.duration.and_then(time));
        if let Some(capture) = info.capture.and_then(|capture| time(u64::try_from(capture).ok()?)) {
            capture::set_stamp(out, capture);
        }
        if let Some(number) = info.number {
            let FrameInfo { key, recovery, references, .. } = info;
            frame_meta::attach(out, &FrameMeta { number, key, recovery, references });
        }
        gst::trace!(CAT, imp = self, "frame {sequence}: {out:?}");
        buffer
    }

    fn tell_gap(&self, frames: u64) {
        gst::debug!(CAT, imp = self, "{frames} frames are missing");
        let mut streaming = lock(&self.streaming);
        streaming.missing = streaming.missing.saturating_add(frames);
        if streaming.told.is_some_and(|told| told.elapsed() < GAP_MESSAGES) {
            return;
        }
        streaming.told = Some(Instant::now());
        let missing = std::mem::take(&mut streaming.missing);
        drop(streaming);
        post(&*self.obj(), gst::Structure::builder("zenoh-gap").field("frames", missing).build());
    }

    fn stats(&self) -> gst::Structure {
        let stats = self.current().map_or_else(|| lock(&self.past).clone(), |subscriber| subscriber.stats());
        gst::Structure::builder("application/x-zenohsrc-stats")
            .field("connected", stats.connected)
            .field("received", stats.received)
            .field("bytes", stats.bytes)
            .field("lost", stats.lost)
            .field("late", stats.late)
            .field("recovered", stats.recovered)
            .field("duplicates", stats.duplicates)
            .field("before-key", stats.before_key)
            .field("overflowed", stats.overflowed)
            .field("foreign", stats.foreign)
            .field("key-requests", stats.key_requests)
            .field("bitrate", stats.bit_rate)
            .field("delay", stats.delay.unwrap_or_default())
            .field("publishers", publishers(&stats.publishers))
            .build()
    }

    /// What the subscriber has to tell, from its thread.
    fn heard(&self, event: SubscriberEvent) {
        let element = self.obj();
        match event {
            SubscriberEvent::Connected => {
                gst::info!(CAT, imp = self, "connected");
                network::post_connected(&*element, true);
            }
            SubscriberEvent::Disconnected => {
                gst::info!(CAT, imp = self, "disconnected");
                network::post_connected(&*element, false);
            }
            SubscriberEvent::Trouble(text) => gst::element_imp_warning!(self, gst::ResourceError::OpenRead, ("{text}")),
            SubscriberEvent::Locked { publisher, others } => {
                gst::info!(CAT, imp = self, "receiving {} ({:016x}), beside it: {others:?}", publisher.key, publisher.stream);
                let structure = gst::Structure::builder("zenoh-stream")
                    .field("key-expr", publisher.key)
                    .field("stream", format!("{:016x}", publisher.stream))
                    .field("others", publishers(&others));
                post(&*element, structure.build());
            }
            SubscriberEvent::Waiting { hint, first } => {
                gst::info!(CAT, imp = self, "{hint}");
                if first {
                    // For whoever typed the pipeline and wonders why nothing comes; GStreamer's log is silent by default.
                    eprintln!("zenohsrc: {hint}");
                    post(&*element, gst::Structure::builder("zenoh-waiting").field("hint", hint).build());
                }
            }
        }
    }
}

fn publishers(list: &[PublisherInfo]) -> gst::List {
    gst::List::new(list.iter().map(|publisher| {
        gst::Structure::builder("publisher")
            .field("key-expr", &publisher.key)
            .field("stream", format!("{:016x}", publisher.stream))
            .field("live", publisher.live)
            .field("locked", publisher.locked)
            .build()
    }))
}

/// `None` for the one value that GStreamer has no time for.
fn time(nanoseconds: u64) -> Option<gst::ClockTime> {
    gst::ClockTime::try_from(nanoseconds).ok()
}
