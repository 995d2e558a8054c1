//! The elements in the fleet of docs/security.md, written as a user would.

use gst::prelude::*;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Long enough for the busiest machine; nothing waits that long unless it fails.
const PATIENCE: Duration = Duration::from_secs(60);

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn launch(line: &str) -> gst::Bin {
    let pipeline = gst::parse::launch(line).unwrap().downcast::<gst::Bin>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    pipeline
}

fn count(pipeline: &gst::Bin, field: &str) -> u64 {
    pipeline.by_name("net").unwrap().property::<gst::Structure>("stats").get(field).unwrap()
}

/// The first warning's text.
fn warning(pipeline: &gst::Bin) -> String {
    let bus = pipeline.bus().unwrap();
    let message =
        bus.timed_pop_filtered(gst::ClockTime::from_seconds(PATIENCE.as_secs()), &[gst::MessageType::Warning]).expect("a warning");
    let gst::MessageView::Warning(warning) = message.view() else { unreachable!() };
    warning.error().to_string()
}

/// A receiver in the cloud is the router itself; a viewer and two robots connect to it, one with a certificate that is no good.
#[test]
fn elements_take_a_fleets_files() {
    gst::init().unwrap();
    gstlic::plugin_register_static().unwrap();
    let folder = Folder(std::env::temp_dir().join(format!("lic-fleet-elements-{}", std::process::id())));
    let fleet = folder.0.to_str().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/fleet-certs");
    let arguments = [fleet, "--router", "localhost", "--robot", "robot-1", "--robot", "robot-2", "--viewer", "desk"];
    assert!(Command::new(script).args(arguments).status().unwrap().success());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();

    let dial = |machine: &str| format!("name=net config={fleet}/{machine}/zenoh.json5 connect=tls/localhost:{port}");
    let cloud = launch(&format!(
        "zenohsrc name=net config={fleet}/router/zenoh.json5 listen=tls/127.0.0.1:{port} key-expr=lic/robot-1/camera ! fakesink"
    ));
    let camera = "videotestsrc is-live=true ! video/x-raw,width=64,height=48,framerate=30/1 ! jpegenc";
    let robot = launch(&format!("{camera} ! zenohsink {} key-expr=lic/robot-1/camera", dial("robots/robot-1")));
    let viewer = launch(&format!("zenohsrc {} ! fakesink", dial("viewers/desk")));
    until("the cloud and the viewer receive", || count(&cloud, "received") > 10 && count(&viewer, "received") > 10);

    std::fs::copy(folder.0.join("robots/robot-1/cert.pem"), folder.0.join("robots/robot-2/cert.pem")).unwrap();
    let wrong = launch(&format!("{camera} ! zenohsink {} key-expr=lic/robot-2/camera", dial("robots/robot-2")));
    let text = warning(&wrong);
    assert!(text.contains(&format!("tls/localhost:{port}")) && text.contains("security.md"), "{text}");
    // Another robot's key: it connects, and nobody hears of it.
    let false_robot = launch(&format!("{camera} ! zenohsink {} key-expr=lic/robot-2/camera", dial("robots/robot-1")));
    until("the false robot sends", || count(&false_robot, "sent") > 10);
    let publishers = || viewer.by_name("net").unwrap().property::<gst::Structure>("stats").get::<gst::List>("publishers").unwrap();
    let (there, here) = (count(&cloud, "received"), count(&viewer, "received"));
    until("the stream goes on", || count(&cloud, "received") > there + 10 && count(&viewer, "received") > here + 10);
    assert_eq!(publishers().len(), 1, "{:?}", publishers());

    for pipeline in [cloud, robot, viewer, wrong, false_robot] {
        let start = Instant::now();
        pipeline.set_state(gst::State::Null).unwrap();
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }
}
