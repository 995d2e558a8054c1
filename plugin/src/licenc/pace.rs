//! Whether this machine keeps up with a camera's mode, and with which it would.

use crate::stream;
use std::time::Duration;

/// Frames whose coding says little: the first is a key frame, and nothing is warm yet.
const WARM_UP: u32 = 10;

/// Frames after them by which a mode is judged.
const JUDGED: u32 = 60;

/// Share of the time that coding may take in a mode that is recommended; less where JPEG is decoded before.
const LOAD: f64 = 0.8;
const LOAD_JPEG: f64 = 0.6;

/// Judges the first frames of a mode by the time that they took, not by when they came: a source may be slow, or stop, for its own reasons.
#[derive(Default)]
pub struct Pace {
    seen: u32,
    coded: u32,
    busy: Duration,
}

impl Pace {
    /// A frame took so long to code, or was dropped since it came too late; `period`: what the caps promise from one to the next, None if they
    /// do not. Once, after enough frames: the mean time if that is too long, or if more than a quarter of the frames were dropped.
    pub fn frame(&mut self, took: Option<Duration>, period: Option<Duration>) -> Option<Duration> {
        const ALL: u32 = WARM_UP + JUDGED;
        let period = period.filter(|_| self.seen < ALL)?;
        self.seen += 1;
        if let Some(took) = took.filter(|_| self.seen > WARM_UP) {
            self.coded += 1;
            self.busy += took;
        }
        let mean = if self.seen == ALL { self.busy.checked_div(self.coded)? } else { return None };
        (mean > period || JUDGED - self.coded > JUDGED / 4).then_some(mean)
    }
}

/// How a camera may be opened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mode {
    /// Pictures come as JPEG.
    pub jpeg: bool,
    pub width: i32,
    pub height: i32,
    pub fps: gst::Fraction,
}

impl Mode {
    fn pixels_a_second(&self) -> f64 {
        self.width as f64 * self.height as f64 * self.fps.numer() as f64 / self.fps.denom() as f64
    }

    fn caps(&self) -> gst::Caps {
        if self.jpeg {
            let b = gst::Caps::builder("image/jpeg").field("width", self.width).field("height", self.height);
            return b.field("framerate", self.fps).build();
        }
        let b = gst_video::VideoCapsBuilder::new().format_list(stream::RAW_FORMATS.map(|f| f.0));
        b.width(self.width).height(self.height).framerate(self.fps).build()
    }

    /// The part of a pipeline that opens a source so.
    fn line(&self) -> String {
        let (media, after) = if self.jpeg { ("image/jpeg", " ! jpegdec") } else { ("video/x-raw", "") };
        let (n, d) = (self.fps.numer(), self.fps.denom());
        format!("{media},width={},height={},framerate={n}/{d}{after}", self.width, self.height)
    }
}

/// Sizes that a source with a range of them may give as well.
fn smaller(now: &Mode) -> impl Iterator<Item = (i32, i32)> {
    let (w, h) = (now.width, now.height);
    [(3, 4), (2, 3), (1, 2), (1, 3), (1, 4)]
        .into_iter()
        .map(move |(n, d)| ((w * n / d) & !1, (h * n / d) & !1))
        .filter(|s| s.0 > 0 && s.1 > 0)
}

/// The mode with most pixels a second that this machine codes in time, of those that a source offers; `took`: what a picture of `now` takes.
pub fn better_mode(offered: &gst::CapsRef, now: &Mode, took: Duration) -> Option<Mode> {
    let most = now.width as f64 * now.height as f64 / took.as_secs_f64();
    let size = |s: &gst::StructureRef| Some((s.get::<i32>("width").ok()?, s.get::<i32>("height").ok()?));
    let sizes: Vec<_> = offered.iter().filter_map(size).chain([(now.width, now.height)]).chain(smaller(now)).collect();
    let lower = [30, 25, 20, 15, 10, 5].map(|n| gst::Fraction::new(n, 1)).into_iter().filter(|f| *f < now.fps);
    let mut best: Option<Mode> = None;
    for fps in std::iter::once(now.fps).chain(lower) {
        for &(width, height) in &sizes {
            for jpeg in [false, true] {
                let mode = Mode { jpeg, width, height, fps };
                let load = if jpeg { LOAD_JPEG } else { LOAD };
                let fits = mode.pixels_a_second() <= load * most && width <= now.width && height <= now.height;
                if fits
                    && mode != *now
                    && best.is_none_or(|b| mode.pixels_a_second() > b.pixels_a_second())
                    && offered.can_intersect(&mode.caps())
                {
                    best = Some(mode);
                }
            }
        }
    }
    best
}

/// The line that would run in time: `source` opened in another mode or, where it has none, scaled.
pub fn advice(source: &str, offered: &gst::CapsRef, now: &Mode, took: Duration) -> String {
    if let Some(mode) = better_mode(offered, now, took) {
        return format!("{source} ! {} ! licenc", mode.line());
    }
    let most = LOAD * now.width as f64 * now.height as f64 / took.as_secs_f64();
    let fits = |&(width, height): &(i32, i32)| Mode { width, height, ..*now }.pixels_a_second() <= most;
    let (width, height) = smaller(now).find(fits).or(smaller(now).last()).unwrap_or((now.width, now.height));
    format!("{source} ! {} ! videoscale ! video/x-raw,width={width},height={height} ! licenc", now.line())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Option<Duration> = Some(Duration::from_millis(33));
    const ALL: u32 = WARM_UP + JUDGED;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn verdicts(took: impl Fn(u32) -> Option<u64>) -> Vec<(u32, Duration)> {
        let mut pace = Pace::default();
        (0..3 * ALL).filter_map(|n| Some((n, pace.frame(took(n).map(ms), PERIOD)?))).collect()
    }

    #[test]
    fn what_takes_longer_than_a_frame_is_said_once() {
        assert_eq!(verdicts(|_| Some(40)), [(ALL - 1, ms(40))]);
        assert_eq!(verdicts(|_| Some(30)), []);
        // Only what lasts counts, and only of the first frames.
        assert_eq!(verdicts(|n| Some(if n < WARM_UP { 900 } else { 20 })), []);
        assert_eq!(verdicts(|n| Some(if n % 20 == 0 { 200 } else { 20 })), []);
        assert_eq!(verdicts(|n| Some(if n < ALL { 20 } else { 200 })), []);
        assert_eq!(verdicts(|n| Some(if n % 2 == 0 { 60 } else { 10 })), [(ALL - 1, ms(35))]);
    }

    #[test]
    fn frames_too_late_to_be_coded_count() {
        // Of each three one: those that are coded would do.
        let v = verdicts(|n| (n % 3 != 0).then_some(20));
        assert_eq!(v.len(), 1);
        assert_eq!(v[0].1, ms(20));
        assert_eq!(verdicts(|n| (n % 20 != 0).then_some(20)), []);
        // Where nothing is coded there is no time to speak of.
        assert_eq!(verdicts(|_| None), []);
    }

    #[test]
    fn without_a_rate_there_is_nothing_to_keep_up_with() {
        let mut pace = Pace::default();
        assert!((0..3 * ALL).all(|_| pace.frame(Some(ms(500)), None).is_none()));
    }

    fn caps(text: &str) -> gst::Caps {
        gst::init().unwrap();
        text.parse().unwrap()
    }

    const NOW: Mode = Mode { jpeg: false, width: 1280, height: 720, fps: gst::Fraction::new_raw(30, 1) };

    #[test]
    fn the_best_mode_that_fits() {
        // 50 ms: 18.4 million pixels a second, of which 0.8 are used; 960x540 at 30 takes 15.6, 800x600 at 30 takes 14.4.
        let raw = "video/x-raw,format=YUY2,width=1280,height=720,framerate={30/1,10/1};\
                   video/x-raw,format=YUY2,width=800,height=600,framerate={30/1,15/1};\
                   video/x-raw,format=YUY2,width=640,height=480,framerate=30/1";
        let best = |text: &str| better_mode(&caps(text), &NOW, ms(50));
        assert_eq!(best(raw), Some(Mode { width: 800, height: 600, ..NOW }));
        // What it cannot read, or what would be larger, is no help.
        assert_eq!(best("video/x-raw,format=P010_10LE,width=640,height=480,framerate=30/1"), None);
        assert_eq!(best("video/x-raw,format=YUY2,width=1920,height=1080,framerate=5/1"), None);
        // A camera with its good modes as JPEG only.
        let jpeg = "video/x-raw,format=YUY2,width=640,height=480,framerate=5/1;image/jpeg,width=640,height=480,framerate=30/1";
        assert_eq!(best(jpeg), Some(Mode { jpeg: true, width: 640, height: 480, ..NOW }));
        // A source of any size.
        let any = "video/x-raw,format=I420,width=[1,4096],height=[1,4096],framerate=[0/1,60/1]";
        assert_eq!(best(any).map(|m| (m.width, m.height, m.fps.numer())), Some((1280, 720, 15)));
    }

    #[test]
    fn the_line_that_would_run() {
        let line = |text: &str, took| advice("v4l2src device=/dev/video2", &caps(text), &NOW, took);
        assert_eq!(
            line("image/jpeg,width=640,height=480,framerate=30/1", ms(40)),
            "v4l2src device=/dev/video2 ! image/jpeg,width=640,height=480,framerate=30/1 ! jpegdec ! licenc"
        );
        assert_eq!(
            line("video/x-raw,format=YUY2,width=640,height=480,framerate=30/1", ms(40)),
            "v4l2src device=/dev/video2 ! video/x-raw,width=640,height=480,framerate=30/1 ! licenc"
        );
        // The only mode is the one that it is in.
        assert_eq!(
            line("video/x-raw,format=YUY2,width=1280,height=720,framerate=30/1", ms(40)),
            "v4l2src device=/dev/video2 ! video/x-raw,width=1280,height=720,framerate=30/1 ! videoscale ! video/x-raw,width=960,height=540 ! licenc"
        );
    }
}
