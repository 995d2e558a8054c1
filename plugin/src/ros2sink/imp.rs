use crate::capture::capture_time;
use crate::network::text;
use crate::ros2::{self, Common};
use crate::stream::lock;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;
use lic_ros2::{Publisher, PublisherSettings, PublisherStats, calibration};
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};

static CAT: LazyLock<gst::DebugCategory> =
    LazyLock::new(|| gst::DebugCategory::new("ros2sink", gst::DebugColorFlags::empty(), Some("ROS 2 sink")));

const NODE: &str = "lic_camera";
const DEFAULT_FRAME: &str = "camera";

#[derive(Clone, Debug)]
struct Settings {
    common: Common,
    frame_id: String,
    camera_info: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { common: Common::new(NODE), frame_id: DEFAULT_FRAME.into(), camera_info: None }
    }
}

impl Settings {
    fn for_publisher(&self) -> Result<PublisherSettings, lic_ros2::Error> {
        Ok(PublisherSettings {
            mode: self.common.mode(),
            topic: self.common.topic()?,
            domain: self.common.domain,
            node: self.common.node.clone(),
            frame_id: self.frame_id.clone(),
            camera_info: self.camera_info.as_ref().map(|path| calibration::load(Path::new(path))).transpose()?,
        })
    }
}

#[derive(Default)]
pub struct Ros2Sink {
    settings: Mutex<Settings>,
    publisher: Mutex<Option<Arc<Publisher>>>,
    /// Counts of the last run, readable after it.
    past: Mutex<PublisherStats>,
}

#[glib::object_subclass]
impl ObjectSubclass for Ros2Sink {
    const NAME: &'static str = "GstLicRos2Sink";
    type Type = super::Ros2Sink;
    type ParentType = gst_base::BaseSink;
}

impl ObjectImpl for Ros2Sink {
    fn constructed(&self) {
        self.parent_constructed();
        self.obj().set_sync(false);
    }

    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let mut properties = ros2::properties(NODE);
            properties.extend([
                glib::ParamSpecString::builder("frame-id")
                    .nick("Frame")
                    .blurb("The camera's frame in tf")
                    .default_value(Some(DEFAULT_FRAME))
                    .mutable_ready()
                    .build(),
                glib::ParamSpecString::builder("camera-info")
                    .nick("Calibration")
                    .blurb("camera_info YAML file of the camera, sent with every picture (default: none is sent)")
                    .mutable_ready()
                    .build(),
                glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
                    .nick("Statistics")
                    .blurb("connected, sent, dropped (network busy or not there), bytes")
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
            "frame-id" => settings.frame_id = text(value).unwrap_or_default(),
            "camera-info" => settings.camera_info = text(value),
            name => assert!(settings.common.set(name, value), "no property {name}"),
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let settings = lock(&self.settings);
        match pspec.name() {
            "frame-id" => settings.frame_id.to_value(),
            "camera-info" => settings.camera_info.to_value(),
            "stats" => self.stats().to_value(),
            name => settings.common.get(name).expect("every property is known"),
        }
    }
}

impl GstObjectImpl for Ros2Sink {}

impl ElementImpl for Ros2Sink {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "ROS 2 sink",
                "Sink/Network",
                "Publishes JPEG pictures as sensor_msgs/msg/CompressedImage, over zenoh and without ROS; put jpegenc before it",
                "The lic developers",
            )
        });
        Some(&*METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let caps = gst::Caps::new_empty_simple("image/jpeg");
            vec![gst::PadTemplate::new("sink", gst::PadDirection::Sink, gst::PadPresence::Always, &caps).expect("constant")]
        });
        &TEMPLATES
    }
}

impl BaseSinkImpl for Ros2Sink {
    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = lock(&self.settings).clone();
        let for_publisher = settings.for_publisher().map_err(|e| ros2::error_message(&e))?;
        gst::info!(CAT, imp = self, "publishing {for_publisher:?}");
        let this = self.downgrade();
        let notify = move |event| {
            if let Some(this) = this.upgrade() {
                ros2::heard(&*this.obj(), event);
            }
        };
        let publisher = Publisher::start(for_publisher, &settings.common.network, notify).map_err(|e| ros2::error_message(&e))?;
        *lock(&self.publisher) = Some(Arc::new(publisher));
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        // Ends a thread that may be telling this element something: no lock is held meanwhile.
        let publisher = lock(&self.publisher).take();
        if let Some(publisher) = publisher {
            *lock(&self.past) = publisher.stats();
        }
        Ok(())
    }

    fn render(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let publisher = lock(&self.publisher).clone().ok_or(gst::FlowError::Flushing)?;
        let map = buffer.map_readable().map_err(|_| {
            gst::element_imp_error!(self, gst::ResourceError::Read, ("Cannot read a buffer's memory"));
            gst::FlowError::Error
        })?;
        let segment = self.obj().segment();
        let pts = segment.downcast_ref::<gst::ClockTime>().and_then(|segment| segment.to_running_time(buffer.pts()?));
        let stamp = capture_time(&*self.obj(), buffer, pts).unwrap_or_default();
        if !map.is_empty() && !publisher.push(map.to_vec(), stamp) {
            gst::debug!(CAT, imp = self, "the network is busy: a picture was dropped");
        }
        Ok(gst::FlowSuccess::Ok)
    }
}

impl Ros2Sink {
    fn stats(&self) -> gst::Structure {
        let stats = lock(&self.publisher).as_ref().map_or_else(|| *lock(&self.past), |publisher| publisher.stats());
        gst::Structure::builder("application/x-ros2sink-stats")
            .field("connected", stats.connected)
            .field("sent", stats.sent)
            .field("dropped", stats.dropped)
            .field("bytes", stats.bytes)
            .build()
    }
}
