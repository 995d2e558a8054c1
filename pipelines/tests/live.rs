//! Sending, receiving and listing, between processes over loopback. What is waited for is a number of frames or an end, never a time.

mod common;

use common::{Folder, lic, ok, text};
use lic_container::lic::Reader;
use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// An endpoint that nobody has.
fn endpoint() -> String {
    format!("tcp/{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap())
}

/// A sender that is ended, in order, when the test is done with it.
struct Sender(Child);

impl Sender {
    fn start(arguments: &[&str]) -> Sender {
        Sender(lic(&[&["send"], arguments].concat()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    fn signal(child: &Child, name: &str) {
        assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
    }

    /// Its statistics, after SIGTERM.
    fn end(self) -> serde_json::Value {
        Sender::signal(&self.0, "-TERM");
        self.wait()
    }

    fn wait(self) -> serde_json::Value {
        let out = self.0.wait_with_output().unwrap();
        assert!(out.status.success(), "{}", text(&out.stderr));
        serde_json::from_slice(&out.stdout).unwrap()
    }
}

const CAMERA: [&str; 7] = ["test", "--size", "160x96", "--key", "lic/robot/cam", "--json", "--listen"];

fn sender(at: &str) -> Sender {
    Sender::start(&[&CAMERA[..], &[at]].concat())
}

fn frames(path: &Path) -> u64 {
    Reader::open(File::open(path).unwrap()).unwrap().index().frames()
}

#[test]
fn a_stream_is_listed_and_received_into_every_kind_of_file() {
    let (f, at) = (Folder::new("live"), endpoint());
    let sender = sender(&at);
    let file = |name: &str| f.at(name).to_str().unwrap().to_string();
    // Waits until the stream is there, so what follows finds it.
    let said = ok(&["receive", "--connect", &at, "--to", &file("a.lic"), "--frames", "12", "--json"]);
    assert_eq!(frames(&f.at("a.lic")), 12);
    let lines: Vec<serde_json::Value> = said.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert!(lines.iter().any(|l| l["event"] == "stream" && l["key"] == "lic/robot/cam"), "{said}");
    let last = lines.last().unwrap();
    assert_eq!((last["event"].as_str(), last["frames"].as_u64()), (Some("end"), Some(12)));
    assert!(last["statistics"]["bytes"].as_u64() > Some(0), "{said}");
    let notes = Reader::open(File::open(f.at("a.lic")).unwrap()).unwrap().index().notes.clone();
    assert!(notes["start-time"].parse::<u64>().unwrap() > 1_700_000_000_000_000_000, "{notes:?}");

    ok(&["receive", "--connect", &at, "--to", &file("b.mp4"), "--frames", "9"]);
    ok(&["transcode", &file("b.mp4"), "--to", "lic", "--out", &file("c.lic")]);
    assert_eq!(frames(&f.at("c.lic")), 9);
    ok(&["receive", "--connect", &at, "--to", &file("d/"), "--frames", "5"]);
    let mut pictures: Vec<_> = std::fs::read_dir(f.at("d")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    pictures.sort();
    assert_eq!(pictures, (0..5).map(|n| format!("frame{n:06}.jpg")).collect::<Vec<_>>());
    ok(&["receive", "--connect", &at, "--sink", "fakesink", "--frames", "3"]);

    let there = lic(&["receive", "--connect", &at, "--to", &file("a.lic")]).output().unwrap();
    assert!(there.status.code() == Some(1) && text(&there.stderr).contains("--overwrite"), "{}", text(&there.stderr));
    assert_eq!(frames(&f.at("a.lic")), 12);

    let list: serde_json::Value = serde_json::from_str(&ok(&["list", "--connect", &at, "--time", "30", "--json"])).unwrap();
    assert_eq!(
        (list[0]["key"].as_str(), list[0]["host"].as_str(), list.as_array().unwrap().len()),
        (Some("lic/robot/cam"), Some("robot"), 1)
    );
    assert!(list[0]["caps"].as_str().unwrap().starts_with("video/x-lic"), "{list}");
    assert!(ok(&["list", "--connect", &at, "--time", "30"]).contains("160x96 30 frames/s"));

    let stats = sender.end();
    assert!(stats["joiners"].as_u64() >= Some(4) && stats["sent"].as_u64() > Some(0), "{stats}");
}

#[test]
fn a_signal_closes_the_file_whole() {
    let (f, at) = (Folder::new("signal"), endpoint());
    let sender = sender(&at);
    for (name, signal) in [("a.lic", "-INT"), ("b.mp4", "-TERM")] {
        let path = f.at(name);
        let mut receiver = lic(&["receive", "--connect", &at, "--json", "--to", path.to_str().unwrap()])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Once it has locked onto the stream frames come: one more receiver's worth of them is waited for.
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(receiver.stdout.take().unwrap()));
        assert!(lines.any(|l| l.unwrap().contains("\"stream\"")));
        ok(&["receive", "--connect", &at, "--sink", "fakesink", "--frames", "10"]);
        Sender::signal(&receiver, signal);
        let rest: Vec<String> = lines.map(Result::unwrap).collect();
        assert!(receiver.wait().unwrap().success());
        let end: serde_json::Value = serde_json::from_str(rest.last().unwrap()).unwrap();
        assert!(end["frames"].as_u64() > Some(0), "{end}");
    }
    assert!(frames(&f.at("a.lic")) > 0);
    assert!(ok(&["verify", f.at("a.lic").to_str().unwrap()]).contains("whole"));
    ok(&["transcode", f.at("b.mp4").to_str().unwrap(), "--to", "lic", "--out", f.at("c.lic").to_str().unwrap()]);
    sender.end();
}

#[test]
fn a_recording_waits_for_its_receiver_and_arrives_whole() {
    let (f, at) = (Folder::new("recording"), endpoint());
    let file = |name: &str| f.at(name).to_str().unwrap().to_string();
    common::clip(&f.at("in.mp4"), 20, 0);
    ok(&["transcode", &file("in.mp4"), "--to", "lic", "--out", &file("in.lic")]);
    for source in ["in.mp4", "in.lic"] {
        let out = file(&format!("{source}.out.lic"));
        // Its last frame ends it.
        let receiver = lic(&["receive", "--listen", &at, "--to", &out, "--frames", "20"]).stderr(Stdio::piped()).spawn().unwrap();
        let sender = Sender::start(&[&file(source), "--connect", &at, "--json"]);
        // --frames ends with the frame after the last, which a recording does not have: the receiver is ended when the sender is.
        let stats = sender.wait();
        assert_eq!((stats["sent"].as_u64(), stats["joiners"].as_u64()), (Some(20), Some(1)), "{stats}");
        Sender::signal(&receiver, "-INT");
        let said = receiver.wait_with_output().unwrap();
        assert!(said.status.success(), "{}", text(&said.stderr));
        assert_eq!(frames(Path::new(&out)), 20, "{source}: {}", text(&said.stderr));
    }
}

#[test]
fn what_cannot_be_sent_is_said() {
    for (arguments, words) in [
        (vec!["send", "/dev/video99"], "lic doctor"),
        (vec!["send", "no-such-file.mp4"], "no such file"),
        (vec!["send", "test", "--key", "lic/**"], "wildcards"),
        (vec!["send", "test", "--connect", "robot:7447"], "tcp/HOST:7447"),
        (vec!["receive", "--to", "x.avi"], ".mkv"),
        (vec!["receive", "--sink", "no-such-element"], "no-such-element"),
        (vec!["list", "--connect", "nonsense"], "tcp/HOST:7447"),
    ] {
        let said = common::fails(&arguments);
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    let wrong = lic(&["send", "test", "--size", "big"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
}
