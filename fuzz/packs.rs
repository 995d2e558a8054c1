//! Files of a model pack.

use lic_codec::{Error, Pack};
use std::path::Path;

/// The input's bytes laid over a golden pack's file from a place that it chooses: random bytes alone are never a file of tensors.
fn over(file: &[u8], data: &[u8]) -> Vec<u8> {
    let mut out = file.to_vec();
    if let [a, b, c, rest @ ..] = data {
        let at = u32::from_le_bytes([*a, *b, *c, 0]) as usize % out.len();
        out[at..].iter_mut().zip(rest).for_each(|(o, r)| *o ^= r);
    }
    out
}

fn check(changed: &str) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../codec/tests/golden/tiny-motion");
    let folder = std::env::temp_dir().join(format!("lic-fuzz-{}-{changed}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for f in std::fs::read_dir(&golden).unwrap() {
        let name = f.unwrap().file_name();
        std::fs::copy(golden.join(&name), folder.join(&name)).unwrap();
    }
    let file = std::fs::read(golden.join(changed)).unwrap();
    bolero::check!().for_each(|data: &[u8]| {
        std::fs::write(folder.join(changed), over(&file, data)).unwrap();
        match Pack::open(folder.to_str().unwrap()) {
            Ok(_) | Err(Error::Pack(_)) => {}
            Err(e) => panic!("{e}"),
        }
    });
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn manifest() {
    check("model.toml");
}

#[test]
fn prior() {
    check("prior.safetensors");
}

#[test]
fn networks() {
    check("networks.safetensors");
}
