//! JPEG files written and read: colour of both kinds, what they say beside it, and files that are damaged or of a newer lic.

use lic_codec::jpeg::{self, Components, Enhancer, Notes, Options, Picture, SEGMENT_NAME, Subsampling};
use lic_codec::{Colour, Error, RawFormat, RawFrame, Runtime};

const MOST: u64 = 1 << 20;

/// A smooth picture with saturated colours, red, green and blue.
fn rgb(width: usize, height: usize) -> Vec<u8> {
    let wave = |x: usize, period: f32, phase: f32| ((x as f32 / period + phase).sin() * 120.0 + 127.5) as u8;
    (0..height).flat_map(|y| (0..width).flat_map(move |x| [wave(x, 17.0, 0.0), wave(y, 23.0, 1.0), wave(x + 2 * y, 31.0, 2.0)])).collect()
}

fn frame(format: RawFormat, width: usize, height: usize, data: &[u8]) -> RawFrame<'_> {
    let (mut at, mut planes) = (0, Vec::new());
    for (line, lines) in format.planes(width, height) {
        planes.push((&data[at..at + line * lines], line));
        at += line * lines;
    }
    RawFrame::new(format, width as u32, height as u32, &planes).unwrap()
}

/// Flat chroma, luma of waves.
fn i420(width: usize, height: usize) -> Vec<u8> {
    let chroma = width.div_ceil(2) * height.div_ceil(2);
    let luma = rgb(width, height).chunks(3).map(|p| 30 + p[0] / 2).collect::<Vec<u8>>();
    [luma, vec![100; chroma], vec![170; chroma]].concat()
}

fn psnr(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    let sum: f64 = a.iter().zip(b).map(|(a, b)| (*a as f64 - *b as f64).powi(2)).sum();
    10.0 * (255.0 * 255.0 * a.len() as f64 / sum.max(1e-9)).log10()
}

fn notes() -> Notes {
    Notes { time: Some(1_700_000_000_123_456_789), number: 77, pack: *b"0123456789abcdef", step: 40, concealed: true, ..Notes::default() }
}

fn learned(quality: u8) -> Options {
    Options { components: Components::Learned, quality, ..Options::default() }
}

fn write(format: RawFormat, width: usize, height: usize, data: &[u8], options: &Options) -> Vec<u8> {
    jpeg::write(&frame(format, width, height, data), Colour::BT709, options, &notes()).unwrap()
}

fn read(file: &[u8]) -> Picture {
    jpeg::read(file, MOST).unwrap()
}

#[test]
fn learned_colour_comes_back() {
    for (width, height) in [(83, 61), (16, 16), (1, 1), (9, 200)] {
        let source = rgb(width, height);
        let mut last = usize::MAX;
        for (quality, least) in [(100, 42.0), (67, 38.0), (34, 33.0), (1, 27.0)] {
            for plain in
                [Options::default(), Options { progressive: true, ..Options::default() }, Options { restart_rows: 1, ..Options::default() }]
            {
                let options = Options { components: Components::Learned, quality, ..plain };
                let picture = read(&write(RawFormat::Rgb, width, height, &source, &options));
                assert_eq!((picture.width as usize, picture.height as usize, picture.grey), (width, height, false));
                let p = psnr(&picture.samples, &source);
                assert!(p > least, "{width}x{height}, quality {quality}: {p} dB");
                assert_eq!(picture.notes, Some(notes()));
            }
            let size = write(RawFormat::Rgb, width, height, &source, &learned(quality)).len();
            assert!(size <= last);
            last = size;
        }
    }
}

/// From the codec's planes: the same colours as a standard file.
#[test]
fn both_kinds_of_colour_show_the_same() {
    let (width, height) = (83, 61);
    let data = i420(width, height);
    let colours = [Colour::BT709, Colour { full_range: true, matrix: 6, ..Colour::BT709 }];
    for colour in colours {
        let of = |options: Options| {
            let picture = frame(RawFormat::I420, width, height, &data);
            read(&jpeg::write(&picture, colour, &options, &notes()).unwrap())
        };
        let standard = of(Options { quality: 100, subsampling: Subsampling::Yuv444, ..Options::default() });
        let p = psnr(&of(learned(100)).samples, &standard.samples);
        assert!(p > 42.0, "{p} dB");
        assert_eq!(standard.notes, Some(notes()));
    }
}

#[test]
fn grey_pictures_have_no_learned_colour() {
    let (width, height) = (40, 24);
    let data: Vec<u8> = rgb(width, height).chunks(3).map(|p| p[0]).collect();
    let a = write(RawFormat::Gray8, width, height, &data, &learned(90));
    let b = write(RawFormat::Gray8, width, height, &data, &Options { quality: 90, ..Options::default() });
    assert_eq!(a, b);
    let picture = read(&a);
    assert!(picture.grey && picture.samples.len() == width * height);
    assert!(
        write(RawFormat::I420, width, height, &i420(width, height), &Options { subsampling: Subsampling::Grey, ..learned(90) }).len()
            < 2000
    );
}

#[test]
fn what_cannot_be_written_is_named() {
    let (rgb, picture) = (rgb(16, 16), i420(16, 16));
    let refused = |format, data: &[u8], options: &Options, notes: &Notes| {
        jpeg::write(&frame(format, 16, 16, data), Colour::BT709, options, notes).unwrap_err().to_string()
    };
    assert!(refused(RawFormat::Rgb, &rgb, &Options::default(), &notes()).contains("convert it to I420"));
    assert!(refused(RawFormat::Bgr, &rgb, &learned(50), &notes()).contains("not Bgr"));
    assert!(refused(RawFormat::I420, &picture, &learned(101), &notes()).contains("101"));
    let with_profile = Notes { icc: vec![0; 200], ..Notes::default() };
    assert!(refused(RawFormat::I420, &picture, &learned(50), &with_profile).contains("profile of their own"));
}

/// Where lic's segment begins: at its name.
fn own(file: &[u8]) -> usize {
    file.windows(6).position(|w| w[..2] != [0xFF, 0xE1] && &w[..4] == SEGMENT_NAME && w[4] == 1).unwrap()
}

#[test]
fn segments_of_a_newer_lic_are_named() {
    let file = write(RawFormat::Rgb, 16, 16, &rgb(16, 16), &learned(50));
    let at = own(&file);
    let with = |n: usize, value: u8| {
        let mut f = file.clone();
        f[at + n] = value;
        jpeg::read(&f, MOST).unwrap_err()
    };
    for (n, value, name) in [(4, 2, "version 2"), (4, 0, "version 0"), (6, 2, "colour 2")] {
        let e = with(n, value);
        assert!(matches!(&e, Error::Unsupported(t) if t.contains(name) && t.contains("update")), "{e}");
    }
    // The segment says standard colour, and the components red, green and blue: so they are shown.
    assert!(matches!(with(36, 1), Error::Damaged(_)), "a companding without inverse");
}

#[test]
fn others_files_are_just_files() {
    let mut file = write(RawFormat::I420, 32, 16, &i420(32, 16), &Options { quality: 90, ..Options::default() });
    let whole = read(&file);
    let at = own(&file);
    file[at] = b'L';
    let other = read(&file);
    assert_eq!((other.notes, other.samples), (None, whole.samples));
}

#[test]
fn what_is_no_whole_file_is_damaged() {
    let file = write(RawFormat::Rgb, 64, 64, &rgb(64, 64), &learned(67));
    for cut in [0, 1, 2, 20, 150, file.len() / 2, file.len() - 40, file.len() - 1] {
        let e = jpeg::read(&file[..cut], MOST).err();
        assert!(matches!(e, Some(Error::Damaged(_))), "{cut} of {} bytes: {e:?}", file.len());
    }
    // Learned colour in components that are not its own: by Adobe's segment and by their numbers they are YCbCr.
    let mut f = file.clone();
    let place = |what: &[u8]| f.windows(what.len()).position(|w| w == what).unwrap();
    let (adobe, frame, scan) = (place(b"Adobe"), place(&[0xFF, 0xC0]), place(&[0xFF, 0xDA]));
    f[adobe + 11] = 1;
    for i in 0..3 {
        (f[frame + 10 + 3 * i], f[scan + 5 + 2 * i]) = (i as u8 + 1, i as u8 + 1);
    }
    assert!(matches!(jpeg::read(&f, MOST), Err(Error::Damaged(t)) if t.contains("three components")));
}

#[test]
fn large_pictures_are_refused_before_memory_is_taken() {
    let mut file = write(RawFormat::Rgb, 16, 16, &rgb(16, 16), &learned(50));
    let frame = file.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
    file[frame + 5..frame + 9].copy_from_slice(&[0xFF; 4]);
    assert!(matches!(jpeg::read(&file, MOST), Err(Error::TooLarge { width: 65535, height: 65535, most: MOST })));
}

/// Ellipses over each other: edges and flat parts, as pictures of things have them.
fn things(width: usize, height: usize) -> Vec<u8> {
    let mut state = 7u64;
    let mut next = |most: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % most
    };
    let plane = |w: usize, h: usize, next: &mut dyn FnMut(usize) -> usize| {
        let mut p = vec![128u8; w * h];
        for _ in 0..60 {
            let (x, y, a, b, v) = (next(w) as f32, next(h) as f32, 3 + next(w / 4 + 1), 3 + next(h / 4 + 1), 40 + next(170));
            for (i, p) in p.iter_mut().enumerate() {
                let (dx, dy) = (((i % w) as f32 - x) / a as f32, ((i / w) as f32 - y) / b as f32);
                if dx * dx + dy * dy < 1.0 {
                    *p = (v as f32 + 12.0 * (dx + dy)) as u8;
                }
            }
        }
        p
    };
    let (cw, ch) = (width.div_ceil(2), height.div_ceil(2));
    [plane(width, height, &mut next), plane(cw, ch, &mut next), plane(cw, ch, &mut next)].concat()
}

/// Files read with restoration, beside what they were made from.
#[test]
fn restoration_mends_what_rounding_took() {
    let mut enhancer = Enhancer::new(&Runtime::find().unwrap(), 1).unwrap();
    let mut both = |file: &[u8]| (read(file), jpeg::read_enhanced(file, MOST, &mut enhancer).unwrap());
    let (width, height) = (173, 301); // more rows than are restored at a time
    let data = things(width, height);
    let best = Options { quality: 100, ..Options::default() };
    let source = read(&write(RawFormat::I420, width, height, &data, &best));
    for quality in [10, 25, 50] {
        for other in [
            Options::default(),
            Options { progressive: true, ..Options::default() },
            Options { subsampling: Subsampling::Yuv444, ..Options::default() },
        ] {
            let (plain, mended) = both(&write(RawFormat::I420, width, height, &data, &Options { quality, ..other }));
            let [a, b] = [&plain, &mended].map(|p| psnr(&p.samples, &source.samples));
            println!("quality {quality}: {a:.2} dB, restored {b:.2}");
            assert!(b > a + 0.1, "quality {quality}: {a} dB, restored {b}");
        }
    }
    let grey = Options { subsampling: Subsampling::Grey, ..best };
    let source = read(&write(RawFormat::I420, width, height, &data, &grey));
    let (plain, mended) = both(&write(RawFormat::I420, width, height, &data, &Options { quality: 20, ..grey }));
    assert!(mended.grey && psnr(&mended.samples, &source.samples) > psnr(&plain.samples, &source.samples) + 0.1);
    for (width, height) in [(1, 1), (9, 200), (16, 16)] {
        let (plain, mended) = both(&write(RawFormat::I420, width, height, &i420(width, height), &Options { quality: 30, ..best }));
        assert_eq!((mended.width, mended.height, mended.samples.len()), (plain.width, plain.height, plain.samples.len()));
    }
    // Learned colour has tables of another kind: as it is.
    let (plain, mended) = both(&write(RawFormat::Rgb, 64, 48, &rgb(64, 48), &learned(34)));
    assert_eq!(plain.samples, mended.samples);
}
