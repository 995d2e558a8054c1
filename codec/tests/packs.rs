//! Damaged model packs: an error that names the file, or a pack that codes; no panic, and no memory beyond that of its files.

#[path = "common/allocations.rs"]
mod allocations;
mod common;
#[path = "common/mutate.rs"]
mod mutate;

use allocations::peak;
use common::{Camera, golden, runtime};
use lic_codec::{Decoder, Encoder, Error, Pack, Settings};
use mutate::{Random, change};
use std::path::{Path, PathBuf};

const FILES: [&str; 5] = ["model.toml", "analysis.onnx", "synthesis.onnx", "prior.safetensors", "networks.safetensors"];

/// A pack whose files can be changed, in a folder of this test's own.
struct Folder {
    path: PathBuf,
    files: Vec<Vec<u8>>,
}

impl Folder {
    fn new(name: &str) -> Folder {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).unwrap();
        let folder = Folder { path, files: FILES.map(|f| std::fs::read(golden("tiny-motion").join(f)).unwrap()).to_vec() };
        (0..FILES.len()).for_each(|i| folder.write(i, &folder.files[i]));
        folder
    }

    fn write(&self, file: usize, bytes: &[u8]) {
        std::fs::write(self.path.join(FILES[file]), bytes).unwrap();
    }

    fn open(&self) -> Result<std::sync::Arc<Pack>, Error> {
        Pack::open(self.path.to_str().unwrap())
    }
}

/// Where the JSON that describes the tensors ends.
fn description(safetensors: &[u8]) -> usize {
    8 + u64::from_le_bytes(safetensors[..8].try_into().unwrap()) as usize
}

/// Changes values of the description: shapes, types, offsets, names.
fn described_anew(r: &mut Random, file: &[u8]) -> Vec<u8> {
    let end = description(file);
    let mut text = file[8..end].to_vec();
    for _ in 0..1 + r.next(2) {
        let digits: Vec<usize> = (0..text.len()).filter(|&i| text[i].is_ascii_digit()).collect();
        let at = digits[r.next(digits.len())];
        match r.next(4) {
            0 => text[at] = b'0' + r.next(10) as u8,
            1 => drop(text.splice(at..at + 1, r.number().to_string().into_bytes())),
            // "I8" may become "U8", "I16" "F16".
            2 => {
                let letters: Vec<usize> = (0..text.len()).filter(|&i| matches!(text[i], b'I' | b'U' | b'F')).collect();
                text[letters[r.next(letters.len())]] = b"IUF"[r.next(3)];
            }
            _ => {
                let n = text.len();
                change(r, &mut text, 0..n, file);
            }
        }
    }
    let mut out = (text.len() as u64).to_le_bytes().to_vec();
    out.extend(text);
    out.extend_from_slice(&file[end..]);
    out
}

/// Codes and decodes a picture: a pack that was taken must be safe to use.
fn used(pack: std::sync::Arc<Pack>) {
    let camera = Camera { width: 33, height: 18, noise: 3, pan: 2 };
    let Ok(mut e) = Encoder::new(pack.clone(), &runtime(), camera.info(), Settings { threads: 1, ..Settings::default() }) else { return };
    let planes = camera.planes(0);
    let cw = camera.width.div_ceil(2);
    let views = [(&planes[0][..], camera.width), (&planes[1][..], cw), (&planes[2][..], cw)];
    let frame = lic_codec::RawFrame::new(lic_codec::RawFormat::I420, 33, 18, &views).unwrap();
    for _ in 0..2 {
        let _ = e.encode(&frame, false);
    }
}

fn check(rounds: u32, seed: u64, folder: &str) {
    println!("seed {seed}");
    let folder = Folder::new(folder);
    let most = folder.files.iter().map(Vec::len).sum::<usize>() * 24;
    folder.open().unwrap();
    let (mut r, mut taken, mut coded) = (Random(seed), 0, 0);
    for _ in 0..rounds {
        let state = r.0;
        let i = [0, 3, 3, 4, 4][r.next(5)];
        let mut f = folder.files[i].clone();
        if i > 0 && r.once_in(3) {
            f = described_anew(&mut r, &f);
        } else {
            let end = if i == 0 { f.len() } else { description(&f) };
            let other = folder.files[r.next(FILES.len())].clone();
            for _ in 0..1 + r.next(3) {
                let within = if r.once_in(2) { 0..end } else { 0..f.len() };
                change(&mut r, &mut f, within, &other);
            }
        }
        folder.write(i, &f);
        let (result, held) = peak(|| std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| folder.open())));
        let about = format!("{}, state {state:#x}", FILES[i]);
        assert!(held <= most, "{held} bytes; {about}");
        match result.unwrap_or_else(|_| panic!("a panic; {about}")) {
            Ok(pack) => {
                taken += 1;
                if r.once_in(8) {
                    coded += 1;
                    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| used(pack)));
                    result.unwrap_or_else(|_| panic!("a panic in use; {about}"));
                }
            }
            Err(Error::Pack(text)) => assert!(text.contains(FILES[i]) || i == 0 && text.contains("format"), "{text}; {about}"),
            Err(e) => panic!("{e}; {about}"),
        }
        folder.write(i, &folder.files[i]);
    }
    println!("{rounds} packs, {taken} taken, {coded} of them coded pictures");
    assert!(taken * 20 > rounds, "{taken} of {rounds} packs were taken");
}

#[test]
fn two_thousand_damaged_packs() {
    check(2_000, 3, "packs");
}

/// `make soak`.
#[test]
#[ignore = "minutes; make soak"]
fn a_hundred_thousand_damaged_packs() {
    check(100_000, 4000, "many-packs");
}

/// Networks that ONNX Runtime runs: none, cut, or of other sizes.
#[test]
fn damaged_float_networks_are_errors() {
    let folder = Folder::new("networks");
    let camera = Camera { width: 32, height: 32, noise: 0, pan: 0 };
    let encoder = |pack| Encoder::new(pack, &runtime(), camera.info(), Settings { threads: 1, ..Settings::default() });
    let analysis = &folder.files[1];
    for bytes in [&[][..], b"no network", &analysis[..analysis.len() / 2], &analysis[..analysis.len() - 1]] {
        folder.write(1, bytes);
        assert!(matches!(encoder(folder.open().unwrap()), Err(Error::Runtime(_) | Error::Pack(_))), "{} bytes", bytes.len());
    }
    // Synthesis in its place takes other channels.
    folder.write(1, &folder.files[2]);
    if let Ok(mut e) = encoder(folder.open().unwrap()) {
        let planes = camera.planes(0);
        let views = [(&planes[0][..], 32), (&planes[1][..], 16), (&planes[2][..], 16)];
        let frame = lic_codec::RawFrame::new(lic_codec::RawFormat::I420, 32, 32, &views).unwrap();
        assert!(matches!(e.encode(&frame, true), Err(Error::Runtime(_) | Error::Pack(_))));
    }
    for file in &FILES[..4] {
        let folder = Folder::new("missing");
        std::fs::remove_file(folder.path.join(file)).unwrap();
        let Err(e) = folder.open() else { panic!("a pack without {file}") };
        assert!(e.to_string().contains(file), "{e}");
    }
    drop(Decoder::new(&runtime(), 1).unwrap());
}
