//! When a buffer was captured.

use crate::network::UNIX_TIME;
use gst::prelude::*;
use std::time::{SystemTime, UNIX_EPOCH};

/// What the source says, or the wall clock at the frame's running time `pts`. Nanoseconds since 1970.
pub fn capture_time(element: &impl IsA<gst::Element>, buffer: &gst::BufferRef, pts: Option<gst::ClockTime>) -> Option<i64> {
    let unix = |meta: &gst::MetaRef<gst::ReferenceTimestampMeta>| {
        meta.reference().structure(0).is_some_and(|structure| structure.name() == UNIX_TIME)
    };
    if let Some(meta) = buffer.iter_meta::<gst::ReferenceTimestampMeta>().find(unix) {
        return i64::try_from(meta.timestamp().nseconds()).ok();
    }
    let running_now = element.clock().and_then(|clock| Some(clock.time().saturating_sub(element.base_time()?)));
    let age = running_now.zip(pts).map_or(0, |(now, pts)| now.saturating_sub(pts).nseconds());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_nanos();
    i64::try_from(now).ok()?.checked_sub(i64::try_from(age).ok()?)
}
