//! Elements made, used and thrown away, again and again, leave nothing behind. One test: what is counted is the whole process's.

mod common;

use common::*;
use std::net::TcpListener;

/// What this process holds.
#[derive(Clone, Copy, Debug)]
struct Held {
    resident_kib: usize,
    threads: usize,
    files: usize,
}

fn held() -> Held {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let field = |name: &str| -> usize {
        let line = status.lines().find_map(|l| l.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    let files = std::fs::read_dir("/proc/self/fd").unwrap().count();
    Held { resident_kib: field("VmRSS:"), threads: field("Threads:"), files }
}

fn workers() -> usize {
    let names = std::fs::read_dir("/proc/self/task").unwrap().filter_map(|t| std::fs::read_to_string(t.ok()?.path().join("comm")).ok());
    names.filter(|n| n.starts_with("lic-")).count()
}

/// Long enough for the busiest machine; whether it came true is for the caller to say.
fn until(mut done: impl FnMut() -> bool) -> bool {
    let tries = std::time::Duration::from_secs(60).as_millis() / PAUSE.as_millis();
    (0..tries).any(|_| {
        let done = done();
        if !done {
            std::thread::sleep(PAUSE);
        }
        done
    })
}

const PAUSE: std::time::Duration = std::time::Duration::from_millis(2);

/// `cycle`, so often that everything made once is there; then again, and what came to be held from the one to the other.
fn grows(name: &str, warm_up: u32, cycles: u32, cycle: impl Fn()) {
    (0..warm_up).for_each(|_| cycle());
    let before = held();
    (0..cycles).for_each(|_| cycle());
    // Threads that end are still counted for a moment.
    let mut after = held();
    until(|| {
        after = held();
        after.threads <= before.threads && after.files <= before.files
    });
    println!("{name}: {cycles} cycles, {before:?} -> {after:?}");
    assert!(after.threads <= before.threads, "{name}: {before:?} -> {after:?}");
    assert!(after.files <= before.files, "{name}: {before:?} -> {after:?}");
    // A plane of one picture or one session kept each time would be several times this.
    assert!(after.resident_kib < before.resident_kib + 16 * cycles as usize + 1024, "{name}: {before:?} -> {after:?}");
}

#[test]
fn two_hundred_lives() {
    init();
    let (w, h) = (320, 192);
    let pictures: Vec<_> = (0..3).map(|n| i420(w, h, n)).collect();
    let s = coded("licenc", w, h, 0..3);
    grows("licenc", 50, 200, || {
        let mut e = encoder("licenc", w, h);
        pictures.iter().for_each(|p| assert!(e.push(p.clone()).is_ok()));
        assert_eq!(pull_all(&mut e).len(), 3);
    });
    grows("licdec", 50, 200, || {
        let mut d = decoder(&s.caps);
        s.frames.iter().for_each(|f| assert!(d.push(f.clone()).is_ok()));
        assert_eq!(pull_all(&mut d).len(), 3);
    });
    // Both ends meet, and a frame passes; a port of their own, so that nothing else on this machine does.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    grows("zenohsink and zenohsrc", 20, 200, || {
        let start = |line: String| {
            let mut h = gst_check::Harness::new_parse(&line);
            h.use_systemclock();
            h
        };
        let mut sink = start(format!("zenohsink key-expr=lic/test/cycles listen=tcp/127.0.0.1:{port}"));
        sink.set_src_caps(s.caps.clone());
        sink.play();
        let mut source = start(format!("zenohsrc connect=tcp/127.0.0.1:{port}"));
        source.play();
        let arrived = until(|| {
            sink.push(s.frames[0].clone()).unwrap();
            source.try_pull().is_some()
        });
        assert!(arrived, "no frame passed");
    });

    // `threads` is how many there are, in each of up to two pools and, with the caller's, in ONNX Runtime, whose threads have the name of
    // whoever made its session; one does without.
    // A thread has its name a moment after it was made.
    let settled = || assert!(until(|| workers() == 0), "threads that stay");
    for n in [1, 3] {
        let expected = if n == 1 { 0..=0 } else { n..=3 * n - 1 };
        settled();
        let mut e = encoder(&format!("licenc threads={n}"), w, h);
        e.push(pictures[0].clone()).unwrap();
        assert!(until(|| expected.contains(&workers())), "{n}: {}", workers());
        drop(e);
        settled();
        let mut d = harness(&format!("licdec threads={n}"));
        d.set_src_caps(s.caps.clone());
        d.push(s.frames[0].clone()).unwrap();
        assert!(until(|| expected.contains(&workers())), "{n}: {}", workers());
        drop(d);
    }
}
