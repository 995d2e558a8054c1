//! Files written, read, cut and damaged. Payloads are noise: nothing here decodes.

use lic_codec::bitstream::{HeaderSource, SliceKind, SliceSource, write_frame};
use lic_codec::{Colour, StreamInfo};
use lic_container::lic::{Frames, Index, Reader, Writer};
use std::io::Cursor;

fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Frames of a stream with a key frame every `gop`, numbered from `first`.
fn stream(frames: u32, gop: u32, first: u32, state: &mut u64) -> Vec<Vec<u8>> {
    let info = StreamInfo { width: 64, height: 48, fps: (30000, 1001), par: (1, 1), colour: Colour::BT709, grey: false };
    let frame = |i: u32| {
        let key = i.is_multiple_of(gop);
        let payload: Vec<u8> = (0..random(state) % 300).map(|_| random(state) as u8).collect();
        let kind = if key { SliceKind::None } else { SliceKind::Motion { distance: 1 } };
        let slice = SliceSource { kind, groups: 8, copies: false, hyper_rows: 1, payload: payload.into() };
        let stream = key.then_some((&info, 4, [3; 16], "tiny"));
        write_frame(&HeaderSource { number: first.wrapping_add(i), step: 20, key, stream, clean: None, slices: &[slice] })
    };
    (0..frames).map(frame).collect()
}

fn written(frames: &[Vec<u8>], times: &[u64]) -> Vec<u8> {
    let mut w = Writer::new(Vec::new());
    frames.iter().zip(times).for_each(|(f, t)| w.push(f, *t).unwrap());
    w.finish([("source".to_string(), "a.mp4".to_string())].into()).unwrap()
}

fn all(file: &[u8]) -> Vec<(u32, Option<u64>)> {
    let mut r = Reader::open(Cursor::new(file)).unwrap();
    let mut frames = r.frames(0).unwrap();
    std::iter::from_fn(|| frames.next().unwrap()).map(|f| (f.header.number, f.time)).collect()
}

#[test]
fn times_are_exact_and_any_frame_is_reached_through_its_group() {
    let mut state = 7;
    // Numbers wrap, times jump about.
    let frames = stream(50, 12, u32::MAX - 20, &mut state);
    let times: Vec<u64> = (0..50).map(|i| i * 33_366_667 + random(&mut state) % 5 + if i % 7 == 3 { 1 << 41 } else { 0 }).collect();
    let file = written(&frames, &times);
    assert_eq!(all(&file).iter().map(|f| f.1.unwrap()).collect::<Vec<_>>(), times);
    let mut r = Reader::open(Cursor::new(&file)).unwrap();
    assert!(r.indexed() && r.index().frames() == 50 && r.index().groups.len() == 5 && r.index().notes["source"] == "a.mp4");
    for n in 0..50 {
        let needed = r.up_to(n).unwrap();
        assert!(needed[0].header.key && needed.len() as u64 == n % 12 + 1);
        assert_eq!(needed.last().unwrap().time, Some(times[n as usize]));
    }
    assert!(r.up_to(50).is_err());
    // What a regular stream pays.
    let regular: Vec<u64> = (0..50).map(|i| i * 1_001_000_000 / 30).collect();
    let bytes: usize = frames.iter().map(Vec::len).sum();
    let index = Reader::open(Cursor::new(written(&frames, &regular))).unwrap().index().end;
    assert!(index as usize <= bytes + 50 * 4 + 5 * 10, "{index} {bytes}");
}

#[test]
fn a_cut_file_reads_to_its_last_whole_frame_and_gets_the_same_index() {
    let mut state = 3;
    let frames = stream(30, 8, 5, &mut state);
    let times: Vec<u64> = (0..30).map(|i| 1_000 + i * 40_000_000).collect();
    let file = written(&frames, &times);
    let end = Reader::open(Cursor::new(&file)).unwrap().index().end as usize;
    for cut in (400..file.len()).step_by(17) {
        let mut r = Reader::open(Cursor::new(&file[..cut])).unwrap();
        assert!(!r.indexed());
        let whole = all(&file[..cut]).len();
        assert_eq!(r.index().frames(), whole as u64);
        assert!(whole == 30 || cut < end);
        assert_eq!(all(&file[..cut]), all(&file)[..whole]);
        if whole == 30 {
            let index = Index { notes: [("source".to_string(), "a.mp4".to_string())].into(), ..r.index().clone() };
            assert_eq!(index.to_bytes(), &file[end..]);
        }
        assert_eq!(r.up_to(0).unwrap().len(), 1);
    }
    assert!(Reader::open(Cursor::new(&file[..40])).is_err() && Reader::open(Cursor::new(b"")).is_err());
}

/// What `licenc ! filesink` writes: the frame rate, which key frames alone tell, is all that is known.
#[test]
fn frames_without_times_follow_the_frame_rate() {
    let mut state = 9;
    let file = stream(20, 8, 0, &mut state).concat();
    let r = Reader::open(Cursor::new(&file)).unwrap();
    let period = 1_001_000_000 / 30;
    assert_eq!(r.index().groups.iter().map(|g| g.time).collect::<Vec<_>>(), [0, 8 * period, 16 * period]);
}

#[test]
fn damage_costs_what_it_hits() {
    let mut state = 11;
    let (frames, times) = (stream(40, 10, 0, &mut state), (0..40).map(|i| i * 33_333_333).collect::<Vec<u64>>());
    let good = written(&frames, &times);
    let count = std::env::var("LIC_MUTANTS").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000);
    let (mut whole, mut refused) = (0u64, 0u64);
    for _ in 0..count {
        let mut file = good.clone();
        for _ in 0..1 + random(&mut state) % 4 {
            let at = random(&mut state) as usize % file.len();
            match random(&mut state) % 4 {
                0 => file[at] ^= 1 << (random(&mut state) % 8),
                1 => drop(file.drain(at..(at + random(&mut state) as usize % 400).min(file.len()))),
                2 => file.truncate(at),
                _ => {
                    let from = random(&mut state) as usize % file.len();
                    let part = file[from..(from + 100).min(file.len())].to_vec();
                    drop(file.splice(at..at, part));
                }
            }
            if file.is_empty() {
                file.push(0);
            }
        }
        let mut direct = Frames::new(&file[..], 0);
        let mut bytes = 0;
        while let Some(f) = direct.next().unwrap() {
            bytes += f.data.len() as u64;
        }
        // Every byte is in a frame, known as damage, or behind the end.
        assert_eq!(bytes + direct.damage().0, direct.position());
        match Reader::open(Cursor::new(&file)) {
            Ok(mut r) => {
                whole += 1;
                for n in 0..r.index().frames().min(60) {
                    let _ = r.up_to(n);
                }
            }
            Err(_) => refused += 1,
        }
    }
    println!("{whole} mutants opened, {refused} refused");
    assert!(whole > count / 2);
}
