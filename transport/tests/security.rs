//! The fleet of docs/security.md, made by scripts/fleet-certs: who has no certificate, or the wrong one, or writes where it must
//! not, is refused, and the others' stream goes on.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use common::*;
use lic_transport::*;
use zenoh::{Config, Session, Wait};

/// A folder of machines, gone at the end.
struct Fleet(PathBuf);

impl Fleet {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("lic-fleet-{}-{name}", std::process::id()));
        let fleet = Self(folder);
        fleet.call("--router localhost --robot robot-1 --robot robot-2 --viewer desk");
        fleet
    }

    fn call(&self, arguments: &str) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/fleet-certs");
        let run = Command::new(script).arg(&self.0).args(arguments.split(' ')).output().unwrap();
        assert!(run.status.success(), "{run:?}");
    }

    fn file(&self, machine: &str) -> PathBuf {
        self.0.join(machine).join("zenoh.json5")
    }

    /// A machine's configuration, its router on `port` of this host.
    fn network(&self, machine: &str, port: u16) -> Network {
        Network { config: Some(self.file(machine)), connect: Some(format!("tls/localhost:{port}")), ..Default::default() }
    }

    fn router(&self, port: u16) -> Session {
        let mut config = Config::from_file(self.file("router")).unwrap();
        config.insert_json5("listen/endpoints", &format!("[\"tls/127.0.0.1:{port}\"]")).unwrap();
        zenoh::open(config).wait().unwrap()
    }

    /// A plain zenoh session of a machine.
    fn session(&self, machine: &str, port: u16) -> zenoh::Result<Session> {
        let mut config = Config::from_file(self.file(machine)).unwrap();
        config.insert_json5("connect/endpoints", &format!("[\"tls/localhost:{port}\"]")).unwrap();
        zenoh::open(config).wait()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What a publisher says when it cannot connect.
fn trouble_of(network: &Network) -> String {
    let text = Arc::new(Mutex::new(String::new()));
    let heard = text.clone();
    let publisher = Publisher::start(PublisherSettings::new("lic/robot-1/camera"), network, move |event| {
        if let PublisherEvent::Trouble(text) = event {
            *heard.lock().unwrap() = text;
        }
    })
    .unwrap();
    until("the trouble is told", || !text.lock().unwrap().is_empty());
    assert!(!publisher.stats().connected);
    text.lock().unwrap().clone()
}

fn rewrite(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn without_the_right_certificate_nobody_gets_in() {
    let (fleet, others) = (Fleet::new("certificates"), Fleet::new("strangers"));
    let port = free_port();
    let _router = fleet.router(port);
    let _sender = Sender::start("lic/robot-1/camera", &fleet.network("robots/robot-1", port));
    let receiver = Receiver::start("lic/**", &fleet.network("viewers/desk", port));
    receiver.await_frames(10);

    let authority = fleet.0.join("authority/cert.pem");
    // A fleet of strangers may believe our authority: ours does not believe theirs.
    std::fs::copy(&authority, others.0.join("robots/robot-1/authority.pem")).unwrap();
    rewrite(&fleet.file("robots/robot-2"), "cert.pem", "none.pem");
    let dial = |endpoint: String| Network { connect: Some(endpoint), ..Default::default() };
    let refused = [
        ("not encrypted", dial(format!("tcp/127.0.0.1:{port}")), "listen=tcp/0.0.0.0:PORT"),
        (
            "not encrypted, with a fleet's file",
            Network { connect: Some(format!("tcp/127.0.0.1:{port}")), ..fleet.network("robots/robot-1", port) },
            "protocol",
        ),
        ("no certificate", dial(format!("tls/localhost:{port}#root_ca_certificate_file={}", authority.display())), "CertificateRequired"),
        ("no authority", dial(format!("tls/localhost:{port}")), "UnknownIssuer"),
        ("another fleet's certificate", others.network("robots/robot-1", port), "UnknownCA"),
        ("our authority is unknown to it", others.network("robots/robot-2", port), "UnknownIssuer"),
        (
            "a name that the router's certificate does not have",
            Network { connect: Some(format!("tls/127.0.0.1:{port}")), ..fleet.network("robots/robot-1", port) },
            "not valid for name",
        ),
        ("a certificate that is not there", fleet.network("robots/robot-2", port), "No such file"),
    ];
    std::thread::scope(|scope| {
        for (what, network, says) in &refused {
            scope.spawn(move || {
                let text = trouble_of(network);
                println!("{what}: {text}");
                assert!(text.contains(says), "{what}: {text}");
                assert!(text.contains("security.md") == network.connect.as_ref().unwrap().starts_with("tls/"), "{text}");
                // Where keys lie is nobody's business.
                assert!(!text.contains("key.pem"), "{text}");
            });
        }
    });
    receiver.await_frames(10);
    assert_eq!(receiver.stats().publishers.len(), 1);
}

#[test]
fn a_robot_publishes_under_its_own_name_and_a_viewer_nowhere() {
    let fleet = Fleet::new("keys");
    let port = free_port();
    let _router = fleet.router(port);
    let sender = Sender::start("lic/robot-1/camera", &fleet.network("robots/robot-1", port));
    let receiver = Receiver::start("lic/robot-1/camera", &fleet.network("viewers/desk", port));
    receiver.await_frames(10);
    let arrived = Arc::new(Mutex::new(vec![]));
    let viewer = fleet.session("viewers/desk", port).unwrap();
    let heard = arrived.clone();
    let _all = viewer
        .declare_subscriber("lic/**")
        .callback(move |sample| heard.lock().unwrap().push((sample.key_expr().to_string(), sample.payload().len())))
        .wait()
        .unwrap();
    let robot = fleet.session("robots/robot-2", port).unwrap();
    let second = fleet.session("viewers/desk", port).unwrap();
    // Until the subscription has got through.
    until("what is allowed arrives", || {
        robot.put("lic/robot-2/camera", vec![0; 1]).wait().unwrap();
        arrived.lock().unwrap().contains(&("lic/robot-2/camera".into(), 1))
    });
    for key in ["lic/robot-1/camera", "lic/robot-2x/camera", "lic/other", "elsewhere"] {
        robot.put(key, vec![0; 7]).wait().unwrap();
    }
    // A viewer is not a sender, not even of its own.
    for key in ["lic/robot-1/camera", "lic/desk/camera", "lic/robot-1/camera/@lic/pub/0123456789abcdef"] {
        second.put(key, vec![0; 7]).wait().unwrap();
    }
    // Nor does a false token take anybody in.
    let robot_token = robot.liveliness().declare_token("lic/robot-1/camera/@lic/pub/0123456789abcdef").wait().unwrap();
    let _viewer_token = second.liveliness().declare_token("lic/robot-1/camera/@lic/pub/0123456789abcdea").wait().unwrap();
    // What one session sends arrives in its order: with the last allowed one, all before it would have come.
    robot.put("lic/robot-2/camera", vec![0; 2]).wait().unwrap();
    until("the last one arrives", || arrived.lock().unwrap().contains(&("lic/robot-2/camera".into(), 2)));
    let before = sender.stats().key_requests;
    until("a request, the viewer's right, arrives", || {
        receiver.ask();
        receiver.drain();
        sender.stats().key_requests > before
    });
    assert!(arrived.lock().unwrap().iter().all(|(_, length)| *length != 7), "{:?}", arrived.lock().unwrap());
    receiver.await_frames(50);
    let stats = receiver.stats();
    assert_eq!((stats.foreign, stats.publishers.len()), (0, 1), "{stats:?}");
    // A robot sees no other robot's stream, not even that there is one.
    drop(robot_token);
    let heard = Arc::new(Mutex::new(0));
    let count = heard.clone();
    let _spy = robot.declare_subscriber("lic/robot-1/camera").callback(move |_| *count.lock().unwrap() += 1).wait().unwrap();
    let seen = robot.liveliness().get("lic/**/@lic/pub/*").wait().unwrap();
    assert_eq!(seen.into_iter().count(), 0);
    receiver.await_frames(50);
    assert_eq!(*heard.lock().unwrap(), 0);
}

#[test]
fn who_is_removed_stays_out() {
    let fleet = Fleet::new("removal");
    let port = free_port();
    let router = fleet.router(port);
    let sender = Sender::start("lic/robot-1/camera", &fleet.network("robots/robot-1", port));
    let gone = Sender::start("lic/robot-2/camera", &fleet.network("robots/robot-2", port));
    let receiver = Receiver::start("lic/robot-1/camera", &fleet.network("viewers/desk", port));
    let other = Receiver::start("lic/robot-2/camera", &fleet.network("viewers/desk", port));
    await_both(&receiver, &other, 10);
    // As if robot-2 were stolen: its own folder is out of reach, ours forgets it.
    let stolen = fleet.0.join("stolen");
    let copy = Command::new("cp").arg("-r").arg(fleet.0.join("robots/robot-2")).arg(&stolen).status().unwrap();
    assert!(copy.success());
    drop(gone);
    fleet.call("--remove robot-2 --robot robot-3");
    router.close().wait().unwrap();
    let _router = fleet.router(port);
    rewrite(&stolen.join("zenoh.json5"), "robots/robot-2", "stolen");
    let thief = Sender::start("lic/robot-2/camera", &fleet.network("stolen", port));
    let new = Sender::start("lic/robot-3/camera", &fleet.network("robots/robot-3", port));
    let third = Receiver::start("lic/robot-3/camera", &fleet.network("viewers/desk", port));
    until("the thief has sent", || thief.stats().sent > 100);
    other.drain();
    let before = other.frames.borrow().len();
    receiver.drain();
    await_both(&receiver, &third, 50);
    other.drain();
    assert_eq!(other.frames.borrow().len(), before);
    drop((sender, new));
}

fn await_both(one: &Receiver, other: &Receiver, frames: usize) {
    let count = |receiver: &Receiver| receiver.frames.borrow().len();
    let goals = (count(one) + frames, count(other) + frames);
    until("frames for both", || {
        one.drain();
        other.drain();
        count(one) >= goals.0 && count(other) >= goals.1
    });
}
