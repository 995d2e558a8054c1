//! JPEG files: any bytes, and a real file's with others laid over them.

use lic_codec::jpeg::{self, Components, Notes, Options, SEGMENT_NAME};
use lic_codec::{Colour, Error, RawFormat, RawFrame};

const MOST: u64 = 1 << 16;

fn check(file: &[u8]) {
    match jpeg::read(file, MOST) {
        Ok(p) => assert_eq!(p.samples.len(), p.width as usize * p.height as usize * if p.grey { 1 } else { 3 }),
        Err(Error::Damaged(_) | Error::Unsupported(_) | Error::TooLarge { .. }) => {}
        Err(e) => panic!("{e}"),
    }
}

fn files() -> Vec<Vec<u8>> {
    let rgb: Vec<u8> = (0..40 * 24 * 3u32).map(|i| (i.wrapping_mul(2654435761) >> 26) as u8 * 4).collect();
    let picture = RawFrame::new(RawFormat::Rgb, 40, 24, &[(&rgb, 120)]).unwrap();
    let options = Options { components: Components::Learned, quality: 50, ..Options::default() };
    [options, Options { progressive: true, ..options }, Options { restart_rows: 1, optimise: false, ..options }]
        .map(|o| jpeg::write(&picture, Colour::BT709, &o, &Notes::default()).unwrap())
        .to_vec()
}

#[test]
fn file() {
    bolero::check!().for_each(|data: &[u8]| {
        check(data);
        check(&[&[0xFF, 0xD8], data, &[0xFF, 0xD9]].concat());
    });
}

#[test]
fn changed_file() {
    let files = files();
    bolero::check!().for_each(|data: &[u8]| {
        let [which, a, b, rest @ ..] = data else { return };
        let mut file = files[*which as usize % files.len()].clone();
        let at = u16::from_le_bytes([*a, *b]) as usize % file.len();
        file[at..].iter_mut().zip(rest).for_each(|(b, x)| *b ^= x);
        check(&file);
    });
}

/// What lic's own segment may say.
#[test]
fn segment() {
    let file = files().remove(0);
    let own = file.windows(4).position(|w| w == SEGMENT_NAME).unwrap();
    let end = own + 96;
    bolero::check!().for_each(|data: &[u8]| {
        let body = [SEGMENT_NAME, data].concat();
        let length = (body.len() as u16 + 2).to_be_bytes();
        check(&[&file[..own - 2], &length, &body, &file[end..]].concat());
    });
}
