//! Time stamps that travel with buffers: when each was captured, and where an instant lies on a pipeline's clock.

use gst::prelude::*;
use std::sync::LazyLock;
use std::time::Instant;

static UNIX_TIME: LazyLock<gst::Caps> = LazyLock::new(|| gst::Caps::new_empty_simple("timestamp/x-unix"));

/// The capture time that a buffer carries, nanoseconds since 1970.
pub fn stamp(buffer: &gst::BufferRef) -> Option<u64> {
    let unix = |meta: &gst::MetaRef<gst::ReferenceTimestampMeta>| {
        meta.reference().structure(0).is_some_and(|structure| structure.name() == "timestamp/x-unix")
    };
    buffer.iter_meta::<gst::ReferenceTimestampMeta>().find(unix).map(|meta| meta.timestamp().nseconds())
}

/// Has a buffer carry its capture time.
pub fn set_stamp(buffer: &mut gst::BufferRef, stamp: gst::ClockTime) {
    gst::ReferenceTimestampMeta::add(buffer, &UNIX_TIME, stamp, gst::ClockTime::NONE);
}

/// What the source says, or the wall clock at the frame's running time `pts`. Nanoseconds since 1970.
pub fn capture_time(element: &impl IsA<gst::Element>, buffer: &gst::BufferRef, pts: Option<gst::ClockTime>) -> Option<i64> {
    if let Some(stamp) = stamp(buffer) {
        return i64::try_from(stamp).ok();
    }
    let age = running_now(element).zip(pts).map_or(0, |(now, pts)| now.saturating_sub(pts).nseconds());
    lic_transport::unix_now().checked_sub(i64::try_from(age).ok()?)
}

/// `then` on the pipeline's running clock, nanoseconds.
pub fn running_time(element: &impl IsA<gst::Element>, then: Instant) -> u64 {
    let waited = u64::try_from(then.elapsed().as_nanos()).unwrap_or(u64::MAX);
    running_now(element).map_or(0, gst::ClockTime::nseconds).saturating_sub(waited)
}

fn running_now(element: &impl IsA<gst::Element>) -> Option<gst::ClockTime> {
    element.clock().and_then(|clock| Some(clock.time().saturating_sub(element.base_time()?)))
}
