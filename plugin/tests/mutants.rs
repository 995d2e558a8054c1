//! Damaged streams at the elements: licparse gives whole frames or nothing, licdec and lictojpeg go on with the next key frame,
//! licjpegdec with the next file, and none panics.

mod common;
#[path = "../../codec/tests/common/mutate.rs"]
mod mutate;

use common::*;
use gst::prelude::*;
use gst_check::Harness;
use lic_codec::bitstream;
use mutate::{Random, change};

const W: u32 = 48;
const H: u32 = 32;
/// Frames from key frame to key frame.
const GOP: usize = 4;

/// The header's CRC as it should be, if the frame still has a header of so many bytes.
fn signed(mut frame: Vec<u8>, header: usize) -> Vec<u8> {
    if frame.len() >= header {
        let crc = crc32c(&frame[..header - 2]) as u16;
        frame[header - 2..header].copy_from_slice(&crc.to_le_bytes());
    }
    frame
}

/// CRC-32C (Castagnoli), bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |c: u32| if c & 1 != 0 { c >> 1 ^ 0x82f6_3b78 } else { c >> 1 };
    !bytes.iter().fold(u32::MAX, |c, b| (0..8).fold(c ^ *b as u32, |c, _| step(c)))
}

/// A frame changed, gone, doubled, or another in its place.
fn damaged(r: &mut Random, frames: &[Vec<u8>], n: usize) -> Vec<u8> {
    let other = &frames[r.next(frames.len())];
    let header = bitstream::parse_header(&frames[n]).unwrap().slices[0].range.start;
    match r.next(10) {
        0 => Vec::new(),
        1 => frames[n].repeat(2),
        2 => other.clone(),
        k => {
            let mut f = frames[n].clone();
            for _ in 0..1 + r.next(3) {
                // Lengths as they were, or the CRC would be of something else.
                let within = if r.once_in(2) { 2..header } else { 0..f.len().max(1) };
                change(r, &mut f, within, other);
            }
            if k < 6 { signed(f, header) } else { f }
        }
    }
}

fn no_panic(bus: &gst::Bus, about: &str) {
    while let Some(m) = message(bus) {
        assert!(!m.to_lowercase().contains("panic"), "{m}; {about}");
    }
}

fn streams() -> Vec<Vec<Vec<u8>>> {
    let of = |launch: &str| coded(launch, W, H, 0..3 * GOP as u64).frames.iter().map(bytes).collect();
    [format!("licenc key-int-max={GOP}"), format!("licenc key-int-max={GOP} inter=latent slices=2")].map(|l| of(&l)).to_vec()
}

fn parser() -> (Harness, gst::Bus) {
    let mut p = Harness::new("licparse");
    let bus = watch(&p.element().unwrap());
    p.play();
    p.push_event(gst::event::StreamStart::new("test"));
    p.push_event(gst::event::Caps::new(&gst::Caps::new_empty_simple("video/x-lic")));
    p.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::format::Bytes>::new()));
    (p, bus)
}

fn parse_mutants(streams: u32, seed: u64) {
    println!("seed {seed}");
    init();
    let sources = self::streams();
    let (mut r, mut mutants, mut whole, mut of) = (Random(seed), 0, 0, 0);
    for _ in 0..streams {
        let about = format!("state {:#x}", r.0);
        let frames = &sources[r.next(sources.len())];
        let mut data = Vec::new();
        let mut last = frames.len();
        for n in 0..frames.len() {
            // The last ones are as they were: whatever came before, they are found.
            if n < 2 * GOP && r.once_in(2) {
                mutants += 1;
                data.extend(damaged(&mut r, frames, n));
            } else {
                last = last.min(n);
                data.extend(&frames[n]);
            }
        }
        let (mut p, bus) = parser();
        let most = if r.once_in(4) { 20 } else { data.len() };
        let chunk = 1 + r.next(most);
        let mut refused = false;
        for c in data.chunks(chunk) {
            refused |= p.push(gst::Buffer::from_mut_slice(c.to_vec())).is_err();
        }
        p.push_event(gst::event::Eos::new());
        let out: Vec<Vec<u8>> = pull_all(&mut p).iter().map(bytes).collect();
        no_panic(&bus, &about);
        for f in &out {
            assert!(bitstream::parse_header(f).is_ok(), "{} bytes that are no frame; {about}", f.len());
            assert!(data.windows(f.len()).any(|w| w == f), "bytes that were not in the stream; {about}");
        }
        assert!(out.iter().map(Vec::len).sum::<usize>() <= data.len(), "{about}");
        // A signed length may be a lie that takes what follows with it; that of the last frames does not reach beyond them.
        of += 1;
        whole += (!refused && out.ends_with(&frames[2 * GOP..])) as u32;
    }
    println!("{mutants} mutants in {of} streams; the end of {whole} was found whole");
    assert!(whole * 10 >= of * 8, "the end of only {whole} of {of} streams was found");
}

#[test]
fn licparse_finds_what_is_whole() {
    parse_mutants(2_000, 1);
}

#[test]
#[ignore = "minutes; make soak"]
fn licparse_finds_what_is_whole_for_long() {
    parse_mutants(50_000, 1000);
}

/// Who starts without the pack is told; who has pictures goes on with the next key frame.
#[test]
fn a_frame_that_names_another_pack_ends_no_stream() {
    let s = coded("licenc", W, H, 0..2);
    let mut other = bytes(&s.frames[0]);
    let header = bitstream::parse_header(&other).unwrap().slices[0].range.start;
    let pack = bitstream::parse_header(&other).unwrap().pack_id.unwrap();
    let at = other.windows(16).position(|w| w == pack).unwrap();
    other[at] ^= 1;
    let other = with_bytes(&s.frames[0], signed(other, header));
    assert!(decoder(&s.caps).push(other.clone()).is_err());
    let mut d = decoder(&s.caps);
    let bus = watch(&d.element().unwrap());
    d.push(s.frames[0].clone()).unwrap();
    assert_eq!(pull_all(&mut d).len(), 1);
    let mut again = [other, s.frames[0].clone()];
    again.iter_mut().zip(1..).for_each(|(b, n)| b.make_mut().set_pts(time(n)));
    for b in again {
        d.push(b).unwrap();
    }
    assert_eq!(pull_all(&mut d).len(), 1);
    assert!(message(&bus).unwrap().contains("needs the model pack"));
}

fn decode_mutants(rounds: u32, seed: u64) {
    println!("seed {seed}");
    init();
    let sources = streams();
    let caps = coded("licenc", W, H, 0..1).caps;
    let mut r = Random(seed);
    let (mut mutants, mut pictures) = (0, 0);
    for conceal in [false, true] {
        let mut d = decoder(&caps);
        d.element().unwrap().set_property("conceal", conceal);
        let bus = watch(&d.element().unwrap());
        let mut time = 0;
        for _ in 0..rounds {
            let about = format!("state {:#x}", r.0);
            let frames = &sources[r.next(sources.len())];
            for n in 0..frames.len() {
                let mutant = n % GOP != 0 && r.once_in(2) || n == GOP && r.once_in(4);
                let data = if mutant { damaged(&mut r, frames, n) } else { frames[n].clone() };
                mutants += mutant as u32;
                let mut b = gst::Buffer::from_mut_slice(data);
                b.make_mut().set_pts(common::time(time));
                time += 1;
                let pushed = d.push(b);
                let out = pull_all(&mut d);
                pictures += out.len();
                assert!(pushed.is_ok(), "{pushed:?} {:?}; {about}", message(&bus));
                if n == 0 {
                    assert!(
                        out.iter().any(|b| !b.flags().contains(gst::BufferFlags::CORRUPTED)),
                        "no picture of a whole key frame; {about}"
                    );
                }
            }
            no_panic(&bus, &about);
        }
    }
    println!("{mutants} mutants, {pictures} pictures");
}

#[test]
fn licdec_goes_on_with_a_key_frame() {
    decode_mutants(200, 2);
}

#[test]
#[ignore = "minutes; make soak"]
fn licdec_goes_on_with_a_key_frame_for_long() {
    decode_mutants(10_000, 2000);
}

fn transcode_mutants(rounds: u32, seed: u64) {
    println!("seed {seed}");
    init();
    let sources = streams();
    let caps = coded("licenc", W, H, 0..1).caps;
    let mut r = Random(seed);
    let mut t = Harness::new("lictojpeg");
    let bus = watch(&t.element().unwrap());
    t.play();
    t.set_src_caps(caps);
    let (mut mutants, mut files) = (0, 0);
    for _ in 0..rounds {
        let about = format!("state {:#x}", r.0);
        let frames = &sources[r.next(sources.len())];
        for n in 0..frames.len() {
            let mutant = n % GOP != 0 && r.once_in(2) || n == GOP && r.once_in(4);
            let data = if mutant { damaged(&mut r, frames, n) } else { frames[n].clone() };
            mutants += mutant as u32;
            let pushed = t.push(gst::Buffer::from_mut_slice(data));
            assert!(pushed.is_ok(), "{pushed:?} {:?}; {about}", message(&bus));
            let out = pull_all(&mut t);
            files += out.len();
            for f in &out {
                let f = bytes(f);
                assert!(f.starts_with(&[0xFF, 0xD8]) && f.ends_with(&[0xFF, 0xD9]), "{about}");
            }
            if n == 0 {
                assert!(out.iter().any(|b| !b.flags().contains(gst::BufferFlags::CORRUPTED)), "no file of a whole key frame; {about}");
            }
        }
        no_panic(&bus, &about);
    }
    println!("{mutants} mutants, {files} files");
}

#[test]
fn lictojpeg_goes_on_with_a_key_frame() {
    transcode_mutants(200, 3);
}

#[test]
#[ignore = "minutes; make soak"]
fn lictojpeg_goes_on_with_a_key_frame_for_long() {
    transcode_mutants(10_000, 3000);
}

fn read_mutants(rounds: u32, seed: u64) {
    println!("seed {seed}");
    init();
    let of = |properties: &str| -> Vec<Vec<u8>> {
        coded(&format!("licenc ! lictojpeg {properties}"), W, H, 0..3).frames.iter().map(bytes).collect()
    };
    let files = [of("colour=learned"), of("colour=learned progressive=true"), of("quality=80 restart-rows=1")].concat();
    let mut r = Random(seed);
    let mut d = Harness::new("licjpegdec");
    let bus = watch(&d.element().unwrap());
    d.play();
    d.set_src_caps_str("image/jpeg,framerate=30/1");
    d.push(gst::Buffer::from_mut_slice(files[0].clone())).unwrap();
    pull_all(&mut d);
    let mut pictures = 0;
    for _ in 0..rounds {
        let about = format!("state {:#x}", r.0);
        let mut file = files[r.next(files.len())].clone();
        let other = &files[r.next(files.len())];
        for _ in 0..1 + r.next(3) {
            let within = 0..file.len().max(1);
            change(&mut r, &mut file, within, other);
        }
        assert!(d.push(gst::Buffer::from_mut_slice(file)).is_ok(), "{:?}; {about}", message(&bus));
        pictures += pull_all(&mut d).len();
        // And the next one whole.
        d.push(gst::Buffer::from_mut_slice(other.clone())).unwrap();
        assert_eq!(pull_all(&mut d).len(), 1, "no picture of a whole file; {about}");
        no_panic(&bus, &about);
    }
    println!("{rounds} mutants, {pictures} pictures");
}

#[test]
fn licjpegdec_goes_on_with_the_next_file() {
    read_mutants(2_000, 4);
}

#[test]
#[ignore = "minutes; make soak"]
fn licjpegdec_goes_on_with_the_next_file_for_long() {
    read_mutants(100_000, 4000);
}
