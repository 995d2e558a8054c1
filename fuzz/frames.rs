//! The bitstream's headers, the parser's view of a byte stream, and whole frames at a decoder.

use lic_codec::bitstream::{self, HeaderSource, Scan, SliceKind, SliceSource};
use lic_codec::{Decoder, PictureMut, RawFormat, Runtime};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, Once};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../codec/tests/golden")
}

fn decoder() -> Decoder {
    static ONCE: Once = Once::new();
    // SAFETY: every target that reads the environment goes through here first.
    ONCE.call_once(|| unsafe { std::env::set_var("LIC_MODELS", golden()) });
    Decoder::new(&Runtime::find().unwrap(), 1).unwrap()
}

/// Golden streams, cut into frames.
fn frames(name: &str) -> Vec<Vec<u8>> {
    let data = std::fs::read(golden().join(name)).unwrap();
    let (mut at, mut out) = (0, vec![]);
    while let Scan::Frame(h) = bitstream::scan(&data[at..]) {
        out.push(data[at..at + h.length].to_vec());
        at += h.length;
    }
    out
}

/// As it was made, but for what it has loaded.
fn anew(d: &Mutex<Decoder>) -> MutexGuard<'_, Decoder> {
    let mut d = d.lock().unwrap_or_else(|e| e.into_inner());
    d.reset();
    d.trust_payloads(false);
    d
}

fn render(d: &mut Decoder, w: u32, h: u32) {
    let mut y = vec![0; w as usize * h as usize];
    let planes = vec![(&mut y[..], w as usize)];
    d.render(&mut PictureMut::new(RawFormat::Gray8, w, h, planes).unwrap()).unwrap();
}

#[test]
fn header() {
    bolero::check!().for_each(|data: &[u8]| {
        if let Ok(h) = bitstream::parse_header(data) {
            assert_eq!(h.length, data.len());
            assert!(h.slices.iter().all(|s| data.get(s.range.clone()).is_some()));
            let _ = h.slice_rows(9);
        }
    });
}

/// A parser that follows [`Scan`] always moves on.
#[test]
fn scan() {
    bolero::check!().for_each(|data: &[u8]| {
        let mut at = 0;
        while at < data.len() {
            match bitstream::scan(&data[at..]) {
                Scan::Frame(h) => at += h.length,
                Scan::Skip(n) => at += n,
                Scan::NeedMore(n) => {
                    assert!(n > data.len() - at && n <= bitstream::MAX_FRAME);
                    break;
                }
            }
            assert!(at <= data.len());
        }
    });
}

/// Payloads of a frame that others follow: the input's bytes laid over a golden frame's, its checksum not asked.
#[test]
fn payload() {
    // Decoders stay: sessions and packs take longer to make than frames.
    let streams = ["static.lic", "moving.lic", "shifted.lic"].map(|name| (frames(name), Mutex::new(decoder())));
    bolero::check!().for_each(|data: &[u8]| {
        let [stream, n, rest @ ..] = data else { return };
        let (stream, d) = &streams[*stream as usize % streams.len()];
        let n = *n as usize % stream.len();
        let mut d = anew(d);
        stream[..n].iter().for_each(|f| drop(d.decode(f).unwrap()));
        let mut frame = stream[n].clone();
        let first = bitstream::parse_header(&frame).unwrap().slices[0].range.start;
        frame[first..].iter_mut().zip(rest).for_each(|(b, x)| *b ^= x);
        d.trust_payloads(true);
        let decoded = d.decode(&frame).unwrap();
        render(&mut d, decoded.info.width, decoded.info.height);
        if let Some(f) = stream.get(n + 1) {
            let _ = d.decode(f);
        }
    });
}

/// A frame of any header, signed, behind a key frame: random bytes alone never have its CRC.
#[test]
fn frame() {
    let key = frames("shifted.lic").remove(0);
    let h = bitstream::parse_header(&key).unwrap();
    let (id, name) = (h.pack_id.unwrap(), h.pack.clone().unwrap());
    let d = Mutex::new(decoder());
    bolero::check!().for_each(|data: &[u8]| {
        let [flags, number, step, width, height, clean, rest @ ..] = data else { return };
        let mut info = h.stream.unwrap();
        // Another size.
        if flags & 1 != 0 {
            (info.width, info.height) = (1 + 4 * *width as u32, 1 + 4 * *height as u32);
        }
        let stream = (flags & 2 != 0).then_some((&info, 1 + (flags >> 5), id, &name[..]));
        fn slice(b: &[u8]) -> SliceSource<'_> {
            SliceSource {
                kind: match b[0] & 3 {
                    0 => SliceKind::None,
                    1 => SliceKind::Latent { distance: 1 + (b[0] >> 2 & 7) },
                    _ => SliceKind::Motion { distance: 1 + (b[0] >> 2 & 7) },
                },
                groups: 1 + (b[0] >> 5),
                copies: b[1] & 1 != 0,
                hyper_rows: 1 + (b[1] >> 1 & 3) as u32,
                payload: b[2..].into(),
            }
        }
        let n = rest.len() / (1 + (flags >> 2 & 3) as usize);
        let slices: Vec<_> = rest.chunks(n.max(2)).filter(|c| c.len() > 1).map(slice).collect();
        if slices.is_empty() {
            return;
        }
        let clean = (flags & 16 != 0).then_some(*clean as u32);
        let (key_frame, number) = (stream.is_some() && clean.is_none(), h.number.wrapping_add(*number as u32));
        let frame = bitstream::write_frame(&HeaderSource { number, step: step & 63, key: key_frame, stream, clean, slices: &slices });
        let mut d = anew(&d);
        d.decode(&key).unwrap();
        d.trust_payloads(true);
        if let Ok(decoded) = d.decode(&frame)
            && decoded.whole
        {
            render(&mut d, decoded.info.width, decoded.info.height);
        }
    });
}
