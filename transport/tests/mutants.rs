//! Damaged attachments: an error, or a header that means what it says; and a timeline that stands whatever times those carry.

#[path = "../../codec/tests/common/mutate.rs"]
mod mutate;

use lic_transport::wire::{Header, MAX_CAPS, Request};
use lic_transport::{FrameInfo, MAX_REFERENCES, Timeline};
use mutate::{Random, change};

fn headers() -> Vec<Vec<u8>> {
    let bare = Header { stream: 1, ..Header::default() };
    let info = FrameInfo { key: true, header: true, number: Some(u32::MAX), pts: Some(5_000_000_000), ..FrameInfo::default() };
    let key = Header { stream: u64::MAX, sequence: 9, info, caps: Some("video/x-lic, width=640".into()), caps_follow: true, acknowledge: true };
    let references = (1..=MAX_REFERENCES as u32).collect();
    let times = (Some(1 << 40), Some(1 << 39), Some(33_333_333));
    let info = FrameInfo { delta: true, references, pts: times.0, dts: times.1, duration: times.2, ..FrameInfo::default() };
    let full = Header { info: FrameInfo { capture: Some(i64::MIN), ..info }, ..key.clone() };
    [bare, key, full].map(|h| h.encode().unwrap()).to_vec()
}

fn check(rounds: u32, seed: u64) {
    println!("seed {seed}");
    let sources = headers();
    let (mut r, mut line, mut taken) = (Random(seed), Timeline::default(), 0);
    let mut arrival = 0;
    for _ in 0..rounds {
        let state = r.0;
        let (from, other) = (&sources[r.next(sources.len())], &sources[r.next(sources.len())]);
        let mut m = from.clone();
        for _ in 0..1 + r.next(3) {
            // Past the magic and the version, most of the time.
            let within = if r.once_in(16) { 0..m.len() } else { 4.min(m.len())..m.len() };
            change(&mut r, &mut m, within, other);
        }
        let _ = Request::decode(&m);
        let Ok(h) = Header::decode(&m) else { continue };
        taken += 1;
        assert!(h.info.references.len() <= MAX_REFERENCES && h.caps.as_ref().is_none_or(|c| c.len() <= MAX_CAPS), "state {state:#x}");
        let again = h.encode().unwrap();
        assert!(again.len() <= m.len(), "{} bytes out of {}, state {state:#x}", again.len(), m.len());
        assert_eq!(Header::decode(&again).as_ref(), Ok(&h), "state {state:#x}");
        // Frames arrive one after the other; what they say of time is anything.
        arrival += r.next(100_000_000) as u64;
        let placed = line.place(h.info.pts, h.info.dts, arrival, h.info.discont);
        assert!(h.info.pts.is_some() || placed.pts == arrival, "state {state:#x}");
        assert!(!placed.resync || h.info.dts.is_some() || placed.pts.abs_diff(arrival) <= 1, "state {state:#x}");
    }
    println!("{rounds} attachments, {taken} taken");
    assert!(taken > rounds / 4, "{taken} of {rounds} attachments were taken");
}

#[test]
fn a_hundred_thousand_attachments() {
    check(100_000, 1);
}

#[test]
#[ignore = "a minute; make soak"]
fn ten_million_attachments() {
    check(10_000_000, 1000);
}
