use crate::capture;
use crate::ros2::{self, Common};
use crate::stream::lock;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::base_src::CreateSuccess;
use gst_base::subclass::prelude::*;
use lic_ros2::{NoImage, Received, Subscriber, SubscriberSettings, SubscriberStats};
use lic_transport::Timeline;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

static CAT: LazyLock<gst::DebugCategory> =
    LazyLock::new(|| gst::DebugCategory::new("ros2src", gst::DebugColorFlags::empty(), Some("ROS 2 source")));

const NODE: &str = "lic_receiver";
const DEFAULT_LATENCY: u32 = 100;
/// The longest sleep; an interruption ends it anyway.
const NAP: Duration = Duration::from_secs(1);
/// The first two bytes of every JPEG picture.
const JPEG: [u8; 2] = [0xff, 0xd8];

static JPEG_CAPS: LazyLock<gst::Caps> = LazyLock::new(|| gst::Caps::new_empty_simple("image/jpeg"));

#[derive(Clone, Debug)]
struct Settings {
    common: Common,
    latency: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { common: Common::new(NODE), latency: DEFAULT_LATENCY }
    }
}

#[derive(Default)]
pub struct Ros2Src {
    settings: Mutex<Settings>,
    subscriber: Mutex<Option<Arc<Subscriber>>>,
    timeline: Mutex<Timeline>,
    /// Counts of the last run, readable after it.
    past: Mutex<SubscriberStats>,
}

#[glib::object_subclass]
impl ObjectSubclass for Ros2Src {
    const NAME: &'static str = "GstLicRos2Src";
    type Type = super::Ros2Src;
    type ParentType = gst_base::PushSrc;
}

impl ObjectImpl for Ros2Src {
    fn constructed(&self) {
        self.parent_constructed();
        let element = self.obj();
        element.set_live(true);
        element.set_format(gst::Format::Time);
    }

    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let mut properties = ros2::properties(NODE);
            properties.extend([
                glib::ParamSpecUInt::builder("latency")
                    .nick("Latency")
                    .blurb("Milliseconds by which pictures may be late without a synchronised sink dropping them")
                    .maximum(60_000)
                    .default_value(DEFAULT_LATENCY)
                    .mutable_ready()
                    .build(),
                glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
                    .nick("Statistics")
                    .blurb("connected, received, overflowed (pipeline too slow), foreign (no such message)")
                    .read_only()
                    .build(),
            ]);
            properties
        });
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut settings = lock(&self.settings);
        match pspec.name() {
            "latency" => settings.latency = value.get().expect("type checked upstream"),
            name => assert!(settings.common.set(name, value), "no property {name}"),
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let settings = lock(&self.settings);
        match pspec.name() {
            "latency" => settings.latency.to_value(),
            "stats" => self.stats().to_value(),
            name => settings.common.get(name).expect("every property is known"),
        }
    }
}

impl GstObjectImpl for Ros2Src {}

impl ElementImpl for Ros2Src {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "ROS 2 source",
                "Source/Network",
                "Receives the JPEG pictures of a sensor_msgs/msg/CompressedImage topic over zenoh, without ROS",
                "The lic developers",
            )
        });
        Some(&*METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            vec![gst::PadTemplate::new("src", gst::PadDirection::Src, gst::PadPresence::Always, &JPEG_CAPS).expect("constant")]
        });
        &TEMPLATES
    }
}

impl BaseSrcImpl for Ros2Src {
    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let Settings { common, .. } = lock(&self.settings).clone();
        lock(&self.timeline).reset();
        let topic = common.topic().map_err(|e| ros2::error_message(&e))?;
        let settings = SubscriberSettings { mode: common.mode(), topic, domain: common.domain, node: common.node };
        gst::info!(CAT, imp = self, "receiving {settings:?}");
        let this = self.downgrade();
        let notify = move |event| {
            if let Some(this) = this.upgrade() {
                ros2::heard(&*this.obj(), event);
            }
        };
        let subscriber = Subscriber::start(settings, &common.network, notify).map_err(|e| ros2::error_message(&e))?;
        *lock(&self.subscriber) = Some(Arc::new(subscriber));
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        // Ends a thread that may be telling this element something: no lock is held meanwhile.
        let subscriber = lock(&self.subscriber).take();
        if let Some(subscriber) = subscriber {
            *lock(&self.past) = subscriber.stats();
        }
        Ok(())
    }

    fn is_seekable(&self) -> bool {
        false
    }

    fn query(&self, query: &mut gst::QueryRef) -> bool {
        if let gst::QueryViewMut::Latency(latency) = query.view_mut() {
            let least = gst::ClockTime::from_mseconds(lock(&self.settings).latency.into());
            // No picture is held back here, so there is no most.
            latency.set(true, least, gst::ClockTime::NONE);
            return true;
        }
        BaseSrcImplExt::parent_query(self, query)
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

impl PushSrcImpl for Ros2Src {
    fn create(&self, _buffer: Option<&mut gst::BufferRef>) -> Result<CreateSuccess, gst::FlowError> {
        loop {
            let subscriber = self.current().ok_or(gst::FlowError::Flushing)?;
            match subscriber.receive(NAP) {
                Ok(received) if received.image.data.starts_with(&JPEG) => return Ok(CreateSuccess::NewBuffer(self.buffer(received))),
                Ok(received) => gst::warning!(CAT, imp = self, "dropping a picture that is no JPEG: {:?}", received.image.format),
                Err(NoImage::Timeout) => {}
                Err(NoImage::Interrupted) => return Err(gst::FlowError::Flushing),
            }
        }
    }
}

impl Ros2Src {
    fn current(&self) -> Option<Arc<Subscriber>> {
        lock(&self.subscriber).clone()
    }

    /// The stamp is the capture time, and keeps pictures as far apart as they were captured.
    fn buffer(&self, Received { image, arrived, .. }: Received) -> gst::Buffer {
        // Who leaves the stamp at zero has no time to tell.
        let stamp = u64::try_from(image.header.stamp()).ok().filter(|stamp| *stamp > 0);
        let placed = lock(&self.timeline).place(stamp, None, capture::running_time(&*self.obj(), arrived), false);
        let mut buffer = gst::Buffer::from_mut_slice(image.data);
        let out = buffer.make_mut();
        out.set_pts(gst::ClockTime::try_from(placed.pts).ok());
        if placed.resync {
            out.set_flags(gst::BufferFlags::DISCONT);
        }
        if let Some(stamp) = stamp.and_then(|stamp| gst::ClockTime::try_from(stamp).ok()) {
            capture::set_stamp(out, stamp);
        }
        buffer
    }

    fn stats(&self) -> gst::Structure {
        let stats = self.current().map_or_else(|| *lock(&self.past), |subscriber| subscriber.stats());
        gst::Structure::builder("application/x-ros2src-stats")
            .field("connected", stats.connected)
            .field("received", stats.received)
            .field("overflowed", stats.overflowed)
            .field("foreign", stats.foreign)
            .build()
    }
}
