//! `zenohsink` and `zenohsrc` over real zenoh on loopback: in one process, and as two `gst-launch-1.0`.

use gst::prelude::*;
use gst_check::Harness;
use gstlic::frame_meta::{self, FrameMeta};
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

const CAPS: &str = "video/x-test, width=(int)64, height=(int)48";
/// Long enough for the busiest machine; nothing waits that long unless it fails.
const PATIENCE: Duration = Duration::from_secs(60);
const CAPTURE: u64 = 1_700_000_000_000_000_000;

fn init() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        // SAFETY: nothing else in this process has looked at the environment yet: every test begins here.
        unsafe { std::env::set_var("LIC_MODELS", concat!(env!("CARGO_MANIFEST_DIR"), "/../codec/tests/golden")) };
        gst::init().unwrap();
        gstlic::plugin_register_static().unwrap();
    });
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn count(element: &gst::Element, field: &str) -> u64 {
    element.property::<gst::Structure>("stats").get(field).unwrap()
}

/// A frame of a stream with references, `number` hundredths of a second after its start.
fn lic_frame(number: u32, references: &[u32], bytes: usize) -> gst::Buffer {
    let key = references.is_empty();
    let mut buffer = gst::Buffer::from_mut_slice(vec![number as u8; bytes]);
    let out = buffer.make_mut();
    out.set_pts(gst::ClockTime::from_mseconds(10 * number as u64));
    out.set_duration(gst::ClockTime::from_mseconds(10));
    if !key {
        out.set_flags(gst::BufferFlags::DELTA_UNIT);
    }
    let time = gst::ClockTime::from_nseconds(CAPTURE + number as u64);
    gst::ReferenceTimestampMeta::add(out, &gst::Caps::new_empty_simple("timestamp/x-unix"), time, gst::ClockTime::NONE);
    frame_meta::attach(out, &FrameMeta { number, key, recovery: false, references: references.into() });
    buffer
}

/// A sink that is fed by hand, as an encoder would: listens on a port of its own.
struct Sink {
    harness: Harness,
    element: gst::Element,
    port: u16,
    number: u32,
}

impl Sink {
    fn start(properties: &str) -> Self {
        Self::on(free_port(), properties)
    }

    fn on(port: u16, properties: &str) -> Self {
        init();
        let line = format!("zenohsink key-expr=lic/test/cam listen=tcp/127.0.0.1:{port} {properties}");
        let mut harness = Harness::new_parse(&line);
        harness.use_systemclock();
        harness.set_src_caps_str(CAPS);
        harness.play();
        let element = harness.find_element("zenohsink").unwrap();
        Sink { harness, element, port, number: 0 }
    }

    /// The next frame; it refers to the one before unless it is a key frame.
    fn push(&mut self, key: bool) {
        let references: Vec<u32> = if key { vec![] } else { vec![self.number - 1] };
        self.harness.push(lic_frame(self.number, &references, 2000)).unwrap();
        self.number += 1;
    }

    /// Pushes frames until `done`, with a key frame whenever one is asked for.
    fn encode_until(&mut self, what: &str, mut done: impl FnMut() -> bool) {
        until(what, || {
            let key = self.number == 0 || self.key_frame_asked();
            self.push(key);
            std::thread::sleep(Duration::from_millis(5));
            done()
        });
    }

    fn key_frame_asked(&mut self) -> bool {
        let mut asked = false;
        while let Some(event) = self.harness.try_pull_upstream_event() {
            asked |= gst_video::UpstreamForceKeyUnitEvent::parse(&event).is_ok();
        }
        asked
    }

    fn lost_frames(&mut self) -> Vec<u32> {
        std::iter::from_fn(|| self.harness.try_pull_upstream_event()).filter_map(|event| frame_meta::lost_number(&event)).collect()
    }
}

struct Source {
    harness: Harness,
    element: gst::Element,
}

impl Source {
    fn start(port: u16, properties: &str) -> Self {
        init();
        let mut harness = Harness::new_parse(&format!("zenohsrc connect=tcp/127.0.0.1:{port} {properties}"));
        harness.use_systemclock();
        harness.play();
        let element = harness.find_element("zenohsrc").unwrap();
        Source { harness, element }
    }

    fn caps(&self) -> Option<gst::Caps> {
        self.harness.sinkpad().unwrap().current_caps()
    }

    fn all(&mut self) -> Vec<gst::Buffer> {
        std::iter::from_fn(|| self.harness.try_pull()).collect()
    }
}

#[test]
fn frames_arrive_with_all_that_belongs_to_them() {
    let mut sink = Sink::start("");
    let mut source = Source::start(sink.port, "");
    let element = source.element.clone();
    sink.encode_until("frames arrive", || count(&element, "received") >= 20);
    until("they are out", || source.harness.buffers_received() >= 20);
    assert_eq!(source.caps().unwrap().to_string(), CAPS);
    let frames = source.all();
    let first = frame_meta::of(&frames[0]).unwrap();
    assert!(first.key && first.references.is_empty());
    assert!(frames[0].flags().contains(gst::BufferFlags::DISCONT) && !frames[0].flags().contains(gst::BufferFlags::DELTA_UNIT));
    for pair in frames.windows(2) {
        let (before, meta) = (frame_meta::of(&pair[0]).unwrap(), frame_meta::of(&pair[1]).unwrap());
        assert_eq!(meta.number, before.number + 1);
        assert_eq!(meta.key, meta.references.is_empty());
        assert_eq!(pair[1].flags().contains(gst::BufferFlags::DELTA_UNIT), !meta.key);
        assert!(!pair[1].flags().contains(gst::BufferFlags::DISCONT));
        assert_eq!(pair[1].pts().unwrap() - pair[0].pts().unwrap(), gst::ClockTime::from_mseconds(10));
        assert_eq!(pair[1].duration(), Some(gst::ClockTime::from_mseconds(10)));
        assert_eq!(pair[1].map_readable().unwrap().as_slice(), vec![meta.number as u8; 2000]);
        let capture = pair[1].iter_meta::<gst::ReferenceTimestampMeta>().next().unwrap();
        assert_eq!(capture.timestamp().nseconds(), CAPTURE + meta.number as u64);
        assert_eq!(capture.reference().to_string(), "timestamp/x-unix");
    }
    assert_eq!((count(&sink.element, "evicted"), count(&sink.element, "publish-errors")), (0, 0));
    assert!(count(&sink.element, "sent") >= 20 && count(&sink.element, "bytes") >= 40_000);
    assert_eq!(count(&source.element, "lost"), 0);
}

#[test]
fn a_late_joiner_starts_with_a_key_frame_on_its_own_clock() {
    let mut sink = Sink::start("");
    let mut old = Source::start(sink.port, "");
    let element = old.element.clone();
    sink.encode_until("the first receiver gets frames", || count(&element, "received") >= 50);
    for joiners in 2..4 {
        let mut late = Source::start(sink.port, "");
        let element = late.element.clone();
        sink.encode_until("the joiner gets frames", || count(&element, "received") >= 2);
        let first = late.harness.pull().unwrap();
        assert!(frame_meta::of(&first).unwrap().key);
        let now = late.element.clock().unwrap().time() - late.element.base_time().unwrap();
        let age = now.checked_sub(first.pts().unwrap()).expect("not in the future");
        assert!(age < gst::ClockTime::from_nseconds(PATIENCE.as_nanos() as u64), "{age}");
        assert_eq!(count(&sink.element, "joiners"), joiners);
    }
    assert!(old.all().iter().all(|frame| frame.pts().is_some()));
}

/// An encoder with rotating refresh answers with a cycle: its first frame is where the joiner begins.
#[test]
fn a_late_joiner_may_start_with_a_recovery_point() {
    let mut sink = Sink::start("");
    sink.push(true);
    // Or it would be the first that the receiver gets.
    until("the first frame is gone", || count(&sink.element, "sent") + count(&sink.element, "discarded") > 0);
    let push = |sink: &mut Sink, done: &mut dyn FnMut() -> bool| {
        until("the receiver gets frames", || {
            let mut frame = lic_frame(sink.number, &[sink.number - 1], 2000);
            if sink.key_frame_asked() {
                let meta = FrameMeta { recovery: true, ..frame_meta::of(&frame).unwrap() };
                frame_meta::attach(frame.make_mut(), &meta);
            }
            sink.harness.push(frame).unwrap();
            sink.number += 1;
            std::thread::sleep(Duration::from_millis(5));
            done()
        })
    };
    for _ in 0..2 {
        let mut late = Source::start(sink.port, "");
        let element = late.element.clone();
        push(&mut sink, &mut || count(&element, "received") >= 3);
        let first = late.harness.pull().unwrap();
        let meta = frame_meta::of(&first).unwrap();
        assert!(meta.recovery && !meta.key && first.flags().contains(gst::BufferFlags::DELTA_UNIT));
        let next = frame_meta::of(&late.harness.pull().unwrap()).unwrap();
        assert_eq!((next.recovery, next.references), (false, vec![meta.number]));
    }
}

/// From camera to picture: whoever comes, the stream's only key frame is its first.
#[test]
fn who_comes_late_sees_pictures_without_a_key_frame() {
    init();
    let port = free_port();
    let camera = "videotestsrc is-live=true ! video/x-raw,format=I420,width=80,height=160,framerate=30/1";
    let send = format!(
        "{camera} ! licenc model=tiny-motion intra-refresh=6 ! zenohsink name=sink key-expr=lic/test/cam listen=tcp/127.0.0.1:{port}"
    );
    let send = gst::parse::launch(&send).unwrap().downcast::<gst::Bin>().unwrap();
    send.set_state(gst::State::Playing).unwrap();
    let sink = send.by_name("sink").unwrap();
    until("the first frames are sent", || count(&sink, "sent") + count(&sink, "discarded") > 3);
    for _ in 0..2 {
        let line = format!("zenohsrc key-expr=lic/test/cam connect=tcp/127.0.0.1:{port} ! licdec ! fakesink name=out sync=false");
        let receive = gst::parse::launch(&line).unwrap().downcast::<gst::Bin>().unwrap();
        receive.set_state(gst::State::Playing).unwrap();
        let out = receive.by_name("out").unwrap();
        until("pictures are shown", || count(&out, "rendered") >= 10);
        receive.set_state(gst::State::Null).unwrap();
    }
    assert!(count(&sink, "key-frames") <= 1, "{}", count(&sink, "key-frames"));
    send.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_capture_time_is_computed_where_the_source_has_none() {
    init();
    let mut sink = Sink::start("");
    let mut source = Source::start(sink.port, "");
    let unix = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let before = unix();
    let clock = sink.element.clock().unwrap();
    until("a frame arrives", || {
        let mut buffer = gst::Buffer::from_mut_slice(vec![0; 10]);
        // Taken half a second ago.
        let taken = clock.time() - sink.element.base_time().unwrap() - gst::ClockTime::from_mseconds(500);
        buffer.make_mut().set_pts(taken);
        sink.harness.push(buffer).unwrap();
        std::thread::sleep(Duration::from_millis(10));
        source.harness.buffers_received() > 0
    });
    let frame = source.harness.pull().unwrap();
    let capture = frame.iter_meta::<gst::ReferenceTimestampMeta>().next().unwrap().timestamp().nseconds();
    assert!(capture + 500_000_000 >= before && capture + 500_000_000 <= unix());
    assert!(frame_meta::of(&frame).is_none());
}

#[test]
fn a_key_frame_wanted_downstream_is_asked_for_upstream() {
    let mut sink = Sink::start("");
    let mut source = Source::start(sink.port, "");
    let element = source.element.clone();
    sink.encode_until("frames arrive", || count(&element, "received") >= 5);
    let _earlier = sink.key_frame_asked();
    let before = count(&sink.element, "key-requests");
    source.harness.push_upstream_event(gst_video::UpstreamForceKeyUnitEvent::builder().build());
    until("the encoder hears of it", || sink.key_frame_asked());
    assert!(count(&sink.element, "key-requests") > before);
    assert!(count(&source.element, "key-requests") >= 1);
}

#[test]
fn what_is_given_up_is_reported_and_what_arrives_is_decodable() {
    let mut sink = Sink::start("max-queue-frames=2");
    let mut source = Source::start(sink.port, "");
    until("the receiver is there", || count(&sink.element, "receivers") == 1);
    let mut have: Vec<u32> = vec![];
    let mut lost: Vec<u32> = vec![];
    for number in 0..300 {
        // An encoder that refers to the newest frame that it was not told is lost.
        let references: Vec<u32> = have.last().copied().into_iter().collect();
        sink.harness.push(lic_frame(number, &references, 200_000)).unwrap();
        have.push(number);
        let told = sink.lost_frames();
        have.retain(|number| !told.contains(number));
        lost.extend(told);
    }
    let evicted = count(&sink.element, "evicted");
    assert!(evicted > 0);
    assert_eq!(lost.len() as u64, evicted);
    until("the rest leaves", || count(&sink.element, "sent") == 300 - evicted);
    let mut frames = vec![];
    until("and arrives", || {
        frames.extend(source.all());
        frames.len() as u64 + count(&source.element, "overflowed") >= 300 - evicted
    });
    let mut before: Option<u32> = None;
    let mut shown = std::collections::HashSet::new();
    for frame in &frames {
        let meta = frame_meta::of(frame).unwrap();
        assert!(!lost.contains(&meta.number));
        assert!(meta.references.iter().all(|number| shown.contains(number)), "{meta:?}");
        let gap = before.is_none_or(|before| meta.number != before + 1);
        assert_eq!(frame.flags().contains(gst::BufferFlags::DISCONT), gap, "{meta:?}");
        before = Some(meta.number);
        shown.insert(meta.number);
    }
}

#[test]
fn the_encoders_bit_rate_is_set_and_given_back() {
    init();
    let port = free_port();
    for (ceiling, bits) in [("", 4_000_000u32), ("bitrate=2000", 2_000_000)] {
        let line = format!(
            "videotestsrc is-live=true ! video/x-raw,format=I420,width=64,height=48,framerate=30/1 ! licenc name=e bitrate=4000 ! queue \
             ! zenohsink name=s key-expr=lic/test/rate listen=tcp/127.0.0.1:{port} adaptive-bitrate=true {ceiling}"
        );
        let pipeline = gst::parse::launch(&line).unwrap().downcast::<gst::Pipeline>().unwrap();
        let [encoder, sink] = ["e", "s"].map(|name| pipeline.by_name(name).unwrap());
        pipeline.set_state(gst::State::Playing).unwrap();
        let rate = || u64::from(encoder.property::<u32>("bitrate")) * 1000;
        until("the encoder is told", || count(&sink, "bitrate") > 0 && rate() < 4_000_000);
        assert!(rate() <= u64::from(bits));
        pipeline.set_state(gst::State::Null).unwrap();
        assert_eq!(encoder.property::<u32>("bitrate"), 4000);
    }
}

#[test]
fn without_an_encoder_the_bit_rate_is_only_told() {
    let sink = Sink::start("adaptive-bitrate=true bitrate=500");
    until("a bit rate", || count(&sink.element, "bitrate") > 0);
    assert!(count(&sink.element, "bitrate") <= 500_000);
}

#[test]
fn what_arrives_is_measured() {
    let mut sink = Sink::start("");
    let source = Source::start(sink.port, "");
    sink.encode_until("a bit rate", || count(&source.element, "bitrate") > 0);
    // These frames say that they were taken long ago.
    let delay = source.element.property::<gst::Structure>("stats").get::<i64>("delay").unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as i64;
    assert!((now - CAPTURE as i64 - delay).abs() < 60_000_000_000, "{delay}");
}

#[test]
fn the_format_may_change() {
    let mut sink = Sink::start("");
    let mut source = Source::start(sink.port, "");
    let element = source.element.clone();
    sink.encode_until("frames arrive", || count(&element, "received") >= 3);
    let other = "video/x-test, width=(int)32, height=(int)24";
    assert!(sink.harness.push_event(gst::event::Caps::new(&other.parse::<gst::Caps>().unwrap())));
    sink.push(true);
    until("the new caps arrive", || source.all().is_empty() && source.caps().is_some_and(|caps| caps.to_string() == other));
}

#[test]
fn a_restarted_sender_goes_on() {
    let mut sink = Sink::start("");
    let port = sink.port;
    let mut source = Source::start(port, "");
    let element = source.element.clone();
    sink.encode_until("frames arrive", || count(&element, "received") >= 5);
    let last = source.all().pop().unwrap();
    drop(sink);
    let mut sink = Sink::on(port, "");
    let before = count(&element, "received");
    sink.encode_until("frames of the new one arrive", || count(&element, "received") >= before + 5);
    until("they are out", || source.harness.buffers_received() as u64 >= before + 5);
    let frames = source.all();
    let first = frames.iter().find(|frame| frame_meta::of(frame).unwrap().key).unwrap();
    assert!(first.flags().contains(gst::BufferFlags::DISCONT));
    assert!(frames.last().unwrap().pts().unwrap() > last.pts().unwrap());
    let publishers: gst::List = element.property::<gst::Structure>("stats").get("publishers").unwrap();
    let locked = publishers.iter().filter(|one| one.get::<gst::Structure>().unwrap().get::<bool>("locked").unwrap()).count();
    assert_eq!(locked, 1);
}

#[test]
fn a_file_is_sent_whole_to_a_receiver_that_comes_later() {
    let mut sink = Sink::start("wait-for-receiver=60000000000 max-queue-frames=1000 max-queue-time=60000000000");
    let port = sink.port;
    let receiver = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        let mut source = Source::start(port, "");
        (0..100).map(|_| frame_meta::of(&source.harness.pull().unwrap()).unwrap().number).collect::<Vec<_>>()
    });
    for number in 0..100 {
        sink.push(number == 0);
    }
    assert!(sink.harness.push_event(gst::event::Eos::new()));
    assert_eq!(count(&sink.element, "sent"), 100);
    assert_eq!(receiver.join().unwrap(), (0..100).collect::<Vec<_>>());
}

#[test]
fn the_latency_query_is_answered() {
    let source = Source::start(free_port(), "latency=70");
    let mut query = gst::query::Latency::new();
    assert!(source.element.static_pad("src").unwrap().query(&mut query));
    assert_eq!(query.result(), (true, gst::ClockTime::from_mseconds(70), gst::ClockTime::NONE));
}

#[test]
fn what_a_user_gets_wrong_is_said() {
    init();
    let cases = [
        ("zenohsink key-expr=lic/**", "wildcards are for receivers"),
        ("zenohsink stream-name=a//b", "lic/"),
        ("zenohsink connect=somewhere", "tcp/HOST:7447"),
        ("zenohsink config=/nowhere/zenoh.json5", "/nowhere/zenoh.json5"),
        ("zenohsrc key-expr=/lic", "/lic"),
        ("zenohsrc listen=tcp/127.0.0.1", "the port is missing"),
    ];
    for (line, expected) in cases {
        let element = gst::parse::launch(line).unwrap();
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        assert!(element.set_state(gst::State::Playing).is_err() || element.set_state(gst::State::Paused).is_err(), "{line}");
        let message = bus.pop_filtered(&[gst::MessageType::Error]).expect("an error message");
        let gst::MessageView::Error(error) = message.view() else { unreachable!() };
        assert!(error.error().message().contains(expected), "{line}: {}", error.error());
        element.set_state(gst::State::Null).unwrap();
        element.set_bus(None);
    }
}

#[test]
fn a_taken_port_is_a_warning_and_no_end() {
    init();
    let squatter = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = squatter.local_addr().unwrap().port();
    let element = gst::ElementFactory::make("zenohsrc").property("listen", format!("tcp/127.0.0.1:{port}")).build().unwrap();
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    element.set_state(gst::State::Playing).unwrap();
    let timeout = gst::ClockTime::from_nseconds(PATIENCE.as_nanos() as u64);
    let message = bus.timed_pop_filtered(timeout, &[gst::MessageType::Warning]).expect("a warning");
    let gst::MessageView::Warning(warning) = message.view() else { unreachable!() };
    assert!(warning.error().message().contains(&port.to_string()), "{}", warning.error());
    assert!(bus.pop_filtered(&[gst::MessageType::Error]).is_none());
    element.set_state(gst::State::Null).unwrap();
    element.set_bus(None);
}

#[test]
fn both_stop_at_once_when_nobody_is_there() {
    init();
    let nobody = format!("tcp/127.0.0.1:{}", free_port());
    for line in
        [format!("zenohsrc connect={nobody} ! fakesink"), format!("fakesrc ! zenohsink connect={nobody} wait-for-receiver=60000000000")]
    {
        let pipeline = gst::parse::launch(&line).unwrap();
        let _ = pipeline.set_state(gst::State::Playing);
        std::thread::sleep(Duration::from_millis(500));
        let start = Instant::now();
        pipeline.set_state(gst::State::Null).unwrap();
        assert!(start.elapsed() < Duration::from_secs(2), "{line}: {:?}", start.elapsed());
    }
}

/// `gst-launch-1.0` with this build of the plugin and a registry of the test's own.
fn launch(rendezvous: u16, line: &str) -> Child {
    static HOME: OnceLock<PathBuf> = OnceLock::new();
    let home = HOME.get_or_init(|| {
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("zenoh");
        std::fs::create_dir_all(&home).unwrap();
        // Beside the test program lie many libraries, and only this one is a plugin. A copy outlasts the next build.
        let (built, copy) = (std::env::current_exe().unwrap().with_file_name("libgstlic.so"), home.join("libgstlic.so.new"));
        std::fs::copy(built, &copy).unwrap();
        std::fs::rename(copy, home.join("libgstlic.so")).unwrap();
        // Once, so that no two processes write the registry.
        let found = gst_command(&home, "gst-inspect-1.0").arg("zenohsink").stdout(Stdio::null()).status().expect("gst-inspect-1.0");
        assert!(found.success());
        home
    });
    let mut command = gst_command(home, "gst-launch-1.0");
    command.args(["-q", "-e"]).args(line.split_whitespace()).env("LIC_RENDEZVOUS_PORT", rendezvous.to_string());
    command.stdin(Stdio::null()).stderr(Stdio::piped()).stdout(Stdio::null());
    command.spawn().expect("gst-launch-1.0")
}

fn gst_command(home: &Path, program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("GST_PLUGIN_PATH", home).env("GST_REGISTRY", home.join("registry.bin")).env_remove("ZENOH_CONFIG");
    command
}

/// A process that a failing test ends too, and what it says.
struct Launched {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Launched {
    fn start(rendezvous: u16, line: &str) -> Self {
        let mut child = launch(rendezvous, line);
        let said = Arc::new(Mutex::new(String::new()));
        let (stderr, heard) = (child.stderr.take().unwrap(), said.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                *heard.lock().unwrap() += &(line + "\n");
            }
        });
        Launched { child, said }
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// While the process runs.
    fn until(&mut self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        until(what, || {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "{what}: {ended:?} {}", self.said());
            done(self)
        });
    }

    fn finish(mut self) {
        let mut status = None;
        until("gst-launch-1.0 ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        assert!(status.unwrap().success(), "{}", self.said());
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pictures(path: &Path) -> usize {
    let bytes = std::fs::read(path).unwrap_or_default();
    bytes.windows(3).filter(|window| *window == [0xff, 0xd8, 0xff]).count()
}

const CAMERA: &str = "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=30/1 ! jpegenc ! zenohsink";

#[test]
fn two_processes_meet_with_no_property_set() {
    for receiver_first in [true, false] {
        let port = free_port();
        let path = std::env::temp_dir().join(format!("lic-zenoh-{}-{receiver_first}.mjpeg", std::process::id()));
        let receive = format!("zenohsrc num-buffers=30 ! filesink location={}", path.display());
        let mut early = receiver_first.then(|| Launched::start(port, &receive));
        if let Some(receiver) = &mut early {
            let hint = format!("zenohsrc: waiting for a stream on lic/** at tcp/127.0.0.1:{port}");
            receiver.until("the receiver says that it waits", |receiver| receiver.said().contains(&hint));
            assert!(receiver.said().contains("connect=tcp/HOST:7447"), "{}", receiver.said());
        }
        let mut sender = Launched::start(port, CAMERA);
        if !receiver_first {
            sender.until("the sender holds the meeting point", |_| TcpStream::connect(("127.0.0.1", port)).is_ok());
        }
        early.unwrap_or_else(|| Launched::start(port, &receive)).finish();
        assert_eq!(pictures(&path), 30);
        let _ = std::fs::remove_file(path);
    }
}

#[test]
fn processes_that_die_are_replaced() {
    let port = free_port();
    let path = std::env::temp_dir().join(format!("lic-zenoh-{}-killed.mjpeg", std::process::id()));
    // The sender comes first and holds the meeting point; killed, it can say good-bye to nobody.
    let mut sender = Launched::start(port, CAMERA);
    sender.until("the sender holds the meeting point", |_| TcpStream::connect(("127.0.0.1", port)).is_ok());
    let line = format!("zenohsrc num-buffers=200 ! filesink location={} buffer-mode=unbuffered", path.display());
    let mut receiver = Launched::start(port, &line);
    for _ in 0..2 {
        let before = pictures(&path);
        receiver.until("pictures arrive", |_| pictures(&path) > before + 10);
        drop(sender);
        sender = Launched::start(port, CAMERA);
    }
    receiver.finish();
    assert_eq!(pictures(&path), 200);
    drop(sender);
    let _ = std::fs::remove_file(path);
}
