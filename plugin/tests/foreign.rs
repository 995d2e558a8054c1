//! Another plugin with a zenohsink: explained, and ours is there under its other name. A program of its own, since what it registers stays.

mod common;

use gst::glib;
use gst::prelude::*;

/// Stands for gst-plugin-zenoh, which gives its elements the same names.
mod other {
    use gst::glib;
    use gst::prelude::*;
    use gst::subclass::prelude::*;
    use gst_base::subclass::prelude::*;
    use std::sync::LazyLock;

    fn metadata() -> gst::subclass::ElementMetadata {
        gst::subclass::ElementMetadata::new("another", "Generic", "stands for another plugin's", "nobody")
    }

    fn template(name: &str, direction: gst::PadDirection) -> Vec<gst::PadTemplate> {
        vec![gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &gst::Caps::new_any()).unwrap()]
    }

    #[derive(Default)]
    pub struct Sink;

    #[glib::object_subclass]
    impl ObjectSubclass for Sink {
        const NAME: &'static str = "OtherZenohSink";
        type Type = super::OtherSink;
        type ParentType = gst_base::BaseSink;
    }

    impl ObjectImpl for Sink {}
    impl GstObjectImpl for Sink {}
    impl ElementImpl for Sink {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(metadata);
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| template("sink", gst::PadDirection::Sink));
            &TEMPLATES
        }
    }
    impl BaseSinkImpl for Sink {}

    #[derive(Default)]
    pub struct Src;

    #[glib::object_subclass]
    impl ObjectSubclass for Src {
        const NAME: &'static str = "OtherZenohSrc";
        type Type = super::OtherSrc;
        type ParentType = gst_base::PushSrc;
    }

    impl ObjectImpl for Src {}
    impl GstObjectImpl for Src {}
    impl ElementImpl for Src {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(metadata);
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| template("src", gst::PadDirection::Src));
            &TEMPLATES
        }
    }
    impl BaseSrcImpl for Src {}
    impl PushSrcImpl for Src {}

    fn init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
        gst::Element::register(Some(plugin), "zenohsink", gst::Rank::NONE, super::OtherSink::static_type())?;
        gst::Element::register(Some(plugin), "zenohsrc", gst::Rank::NONE, super::OtherSrc::static_type())
    }

    gst::plugin_define!(gstzenoh, "another", init, "1.0", "MIT/X11", "other", "other", "https://example.invalid");
}

glib::wrapper! {
    pub struct OtherSink(ObjectSubclass<other::Sink>) @extends gst_base::BaseSink, gst::Element, gst::Object;
}

glib::wrapper! {
    pub struct OtherSrc(ObjectSubclass<other::Src>) @extends gst_base::PushSrc, gst_base::BaseSrc, gst::Element, gst::Object;
}

fn is_ours(name: &str) -> bool {
    gst::ElementFactory::find(name).unwrap().plugin().unwrap().plugin_name() == "lic"
}

#[test]
fn another_plugin_with_a_zenohsink_is_explained() {
    common::init();
    assert!(["zenohsink", "zenohsrc", "liczenohsink", "liczenohsrc"].into_iter().all(is_ours));
    other::plugin_register_static().unwrap();
    assert!(!is_ours("zenohsink") && !is_ours("zenohsrc") && is_ours("liczenohsink") && is_ours("liczenohsrc"));

    let play = |line: &str| {
        let pipeline = gst::parse::launch(line).unwrap().downcast::<gst::Pipeline>().unwrap();
        pipeline.set_state(gst::State::Paused).unwrap();
        let warned = pipeline.bus().unwrap().iter().find_map(|m| match m.view() {
            gst::MessageView::Warning(w) => Some(w.error().to_string()),
            _ => None,
        });
        pipeline.set_state(gst::State::Null).unwrap();
        warned
    };
    let source = "videotestsrc num-buffers=2 ! video/x-raw,width=64,height=64 ! licenc ! queue";
    let text = play(&format!("{source} ! zenohsink")).expect("a warning");
    assert!(text.contains("gstzenoh") && text.contains("liczenohsink"), "{text}");
    let text = play("zenohsrc ! licparse ! licdec ! fakesink").expect("a warning");
    assert!(text.contains("liczenohsrc"), "{text}");
    assert_eq!(play(&format!("{source} ! fakesink")), None);
}
