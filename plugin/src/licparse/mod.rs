//! `licparse`: video/x-lic in pieces of any size -> whole frames. And how GStreamer recognises a .lic file.

use crate::stream;
use gst::glib;
use gst::prelude::*;
use lic_codec::bitstream::{Scan, scan};

mod imp;

glib::wrapper! {
    pub struct LicParse(ObjectSubclass<imp::LicParse>) @extends gst_base::BaseParse, gst::Element, gst::Object;
}

/// Largest first frame that typefinding reads to the end.
const FIRST_FRAME: usize = 1 << 20;

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    let caps = gst::Caps::new_empty_simple(stream::MEDIA);
    gst::TypeFind::register(Some(plugin), stream::MEDIA, gst::Rank::PRIMARY, Some("lic"), Some(&caps.clone()), move |find| {
        if let Some(probability) = probability(find) {
            find.suggest(probability, &caps);
        }
    })?;
    gst::Element::register(Some(plugin), "licparse", gst::Rank::PRIMARY + 1, LicParse::static_type())
}

/// A whole frame with its checksum is certain; the few bytes before it alone are only a hint.
fn probability(find: &mut gst::TypeFind) -> Option<gst::TypeFindProbability> {
    let mut need = 8;
    loop {
        match scan(find.peek(0, need as u32)?) {
            Scan::Frame(h) if h.key => return Some(gst::TypeFindProbability::Maximum),
            Scan::Frame(_) => return Some(gst::TypeFindProbability::NearlyCertain),
            Scan::NeedMore(n) if n > need && n <= FIRST_FRAME && find.peek(0, n as u32).is_some() => need = n,
            Scan::NeedMore(_) => return Some(gst::TypeFindProbability::Possible),
            Scan::Skip(_) => return None,
        }
    }
}
