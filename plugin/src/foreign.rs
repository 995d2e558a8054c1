//! Elements of other plugins under our names. gst-plugin-zenoh has a `zenohsink` and a `zenohsrc` too; GStreamer keeps one element of a
//! name, that of the plugin it saw last. Ours always answer to `liczenohsink` and `liczenohsrc` as well.

use gst::prelude::*;

/// How many elements away from ours one is looked for: queues, parsers and the like may lie between.
const FAR: usize = 8;

/// What to tell the user if behind `pad`, in its direction, an element bears the name of one of ours and is not.
pub fn warning(pad: &gst::Pad) -> Option<String> {
    let mut pad = pad.clone();
    for _ in 0..FAR {
        let element = pad.peer()?.parent_element()?;
        let factory = element.factory()?;
        let plugin = factory.plugin()?;
        if ["zenohsink", "zenohsrc"].contains(&factory.name().as_str()) && plugin.plugin_name() != "lic" {
            let file = plugin.filename().map_or("in this process".into(), |f| f.display().to_string());
            return Some(format!(
                "{0} here is that of the plugin {1} ({file}), which does not carry what lic's does: gaps, key frame requests, capture times. \
                 Write lic{0} for lic's own, or take the other plugin away",
                factory.name(),
                plugin.plugin_name()
            ));
        }
        let pads = if pad.direction() == gst::PadDirection::Src { element.src_pads() } else { element.sink_pads() };
        pad = pads.first()?.clone();
    }
    None
}
