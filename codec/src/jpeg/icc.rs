//! An ICC profile (ICC.1:2022, version 4) that says what learned colour looks like, for viewers that know nothing else of it: the samples
//! are a device's RGB, and its A2B table is the inverse transform, exactly, then sRGB.
//!
//! ```text
//! A curves: expanding -> CLUT of 2x2x2, which is linear: the matrix -> M curves: sRGB's transfer -> matrix: XYZ of D50
//! ```

use lic_kernels::jpeg::colour::Inverse;

/// sRGB in the profile connection space: Bradford-adapted to D50 (ICC.1, annex E).
const SRGB: [[f64; 3]; 3] =
    [[0.436_065_7, 0.385_147_1, 0.143_066_4], [0.222_488_4, 0.716_873_2, 0.060_607_9], [0.013_916, 0.097_076_4, 0.714_096_1]];
const ADAPTED: [[f64; 3]; 3] =
    [[1.047_882_1, 0.022_918_7, -0.050_201_4], [0.029_586_8, 0.990_478_5, -0.017_059_3], [-0.009_231_6, 0.015_075_7, 0.751_678_5]];
const D50: [f64; 3] = [0.9642, 1.0, 0.8249];

/// Of a curve.
const ENTRIES: usize = 33;

pub fn profile(inverse: &Inverse) -> Vec<u8> {
    let tags: [(&[u8; 4], Vec<u8>); 5] = [
        (b"desc", text("lic learned colour")),
        (b"cprt", text("No copyright, use freely")),
        (b"wtpt", [b"XYZ \0\0\0\0".to_vec(), fixed(D50)].concat()),
        (b"chad", [b"sf32\0\0\0\0".to_vec(), fixed(ADAPTED.into_iter().flatten())].concat()),
        (b"A2B0", to_pcs(inverse)),
    ];
    let mut out = vec![0; 128];
    out[8..12].copy_from_slice(&[4, 0x30, 0, 0]);
    out[12..24].copy_from_slice(b"scnrRGB XYZ ");
    // 2026-01-01, 00:00:00.
    out[24..36].copy_from_slice(&[7, 0xEA, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0]);
    out[36..40].copy_from_slice(b"acsp");
    // Relative colorimetric: what is black here is black.
    out[67] = 1;
    out[68..80].copy_from_slice(&fixed(D50));
    out.extend((tags.len() as u32).to_be_bytes());
    let mut at = 132 + 12 * tags.len();
    for (name, data) in &tags {
        out.extend_from_slice(*name);
        out.extend((at as u32).to_be_bytes());
        out.extend((data.len() as u32).to_be_bytes());
        at += data.len().next_multiple_of(4);
    }
    tags.into_iter().for_each(|(_, data)| aligned(&mut out, data));
    let size = (out.len() as u32).to_be_bytes();
    out[0..4].copy_from_slice(&size);
    out
}

fn aligned(out: &mut Vec<u8>, data: Vec<u8>) {
    out.extend(data);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// s15Fixed16Number.
fn fixed(values: impl IntoIterator<Item = f64>) -> Vec<u8> {
    values.into_iter().flat_map(|v| ((v * 65536.0).round() as i32).to_be_bytes()).collect()
}

fn sixteen(v: f64) -> [u8; 2] {
    ((v * 65535.0).round().clamp(0.0, 65535.0) as u16).to_be_bytes()
}

/// multiLocalizedUnicodeType of one text.
fn text(t: &str) -> Vec<u8> {
    let units: Vec<u8> = t.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let head = [b"mluc\0\0\0\0\0\0\0\x01\0\0\0\x0CenUS".to_vec(), (units.len() as u32).to_be_bytes().to_vec(), vec![0, 0, 0, 28]];
    [head.concat(), units].concat()
}

/// lutAToBType.
fn to_pcs(c: &Inverse) -> Vec<u8> {
    let expanded = |i: usize, sample: f64| {
        let d = sample - 128.0;
        d / (1.0 - c.knee[i] as f64 / 128.0 * d.abs())
    };
    let ends = |i: usize| [expanded(i, 0.0), expanded(i, 255.0)];
    let straight = || b"curv\0\0\0\0\0\0\0\0".to_vec();
    // So smooth that a reader's interpolation between them is off by less than a tenth of a level.
    let curve = |i: usize| {
        let [low, high] = ends(i);
        if c.knee[i] == 0.0 {
            return straight();
        }
        let entries = (0..ENTRIES).flat_map(|n| sixteen((expanded(i, n as f64 * 255.0 / (ENTRIES - 1) as f64) - low) / (high - low)));
        [b"curv\0\0\0\0".to_vec(), (ENTRIES as u32).to_be_bytes().to_vec(), entries.collect()].concat()
    };
    // Red, green and blue at the corners, the first component slowest; beyond 0 to 1, so that all between them is linear.
    let corners: Vec<f64> = (0..8usize)
        .flat_map(|n| {
            let u: [f64; 3] = std::array::from_fn(|i| ends(i)[n >> (2 - i) & 1]);
            std::array::from_fn::<f64, 3, _>(|r| (0..3).map(|i| c.matrix[r][i] as f64 * u[i]).sum::<f64>() + c.offset[r] as f64)
        })
        .map(|v| v / 255.0)
        .collect();
    let low = corners.iter().fold(0.0, |a: f64, b| a.min(*b));
    let high = corners.iter().fold(1.0, |a: f64, b| a.max(*b));
    let span = high - low;
    let mut clut = [[2; 3].to_vec(), vec![0; 13], vec![2, 0, 0, 0]].concat();
    clut.extend(corners.iter().flat_map(|v| sixteen((v - low) / span)));
    // sRGB of low + span x (IEC 61966-2-1): (a x + b)^g from d on, below it c x + f.
    let transfer = [2.4, span / 1.055, (low + 0.055) / 1.055, span / 12.92, (0.04045 - low) / span, 0.0, low / 12.92];
    let transfer = [b"para\0\0\0\0\0\x04\0\0".to_vec(), fixed(transfer)].concat();
    // XYZ's 1 is 32768 of 65535.
    let matrix = fixed(SRGB.into_iter().flatten().map(|v| v * 32768.0 / 65535.0).chain([0.0; 3]));

    let mut out = [b"mAB \0\0\0\0\x03\x03\0\0".to_vec(), vec![0; 20]].concat();
    let parts: [(usize, Vec<Vec<u8>>); 5] = [
        (12, vec![straight(), straight(), straight()]),
        (16, vec![matrix]),
        (20, vec![transfer.clone(), transfer.clone(), transfer]),
        (24, vec![clut]),
        (28, vec![curve(0), curve(1), curve(2)]),
    ];
    for (place, part) in parts {
        let at = (out.len() as u32).to_be_bytes();
        out[place..place + 4].copy_from_slice(&at);
        part.into_iter().for_each(|p| aligned(&mut out, p));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::learned;
    use super::*;

    /// A small profile (4096 bytes would be allowed), and one whose table says what the inverse does: evaluated here as the standard has it.
    #[test]
    fn a_viewer_sees_what_the_inverse_gives() {
        let inverse = learned::inverse(&learned::parameters()).unwrap();
        let p = profile(&inverse);
        assert!(p.len() <= 1024, "{} bytes", p.len());
        assert_eq!(u32::from_be_bytes(p[0..4].try_into().unwrap()) as usize, p.len());
        let word = |at: usize| u32::from_be_bytes(p[at..at + 4].try_into().unwrap());
        let real = |at: usize| word(at) as i32 as f64 / 65536.0;
        let half = |at: usize| u16::from_be_bytes(p[at..at + 2].try_into().unwrap()) as f64 / 65535.0;
        let tag = (0..word(128) as usize).map(|i| 132 + 12 * i).find(|at| &p[*at..at + 4] == b"A2B0").unwrap();
        let lut = word(tag + 4) as usize;
        let part = |n: usize| lut + word(lut + n) as usize;
        for sample in [[0, 0, 0], [128, 128, 128], [255, 200, 40], [90, 170, 99], [33, 128, 255]] {
            let mut at = part(28);
            let a: [f64; 3] = std::array::from_fn(|i| {
                let (entries, n) = (at + 12, word(at + 8) as usize);
                at = (entries + 2 * n).next_multiple_of(4);
                let place = sample[i] as f64 / 255.0 * (n.max(1) - 1) as f64;
                let [low, high] = [place.floor(), place.ceil()].map(|k| if n > 0 { half(entries + 2 * k as usize) } else { 0.0 });
                if n > 0 { low + (high - low) * place.fract() } else { sample[i] as f64 / 255.0 }
            });
            let mut xyz = [0.0; 3];
            for r in 0..3 {
                let mut v = 0.0;
                for n in 0..8usize {
                    let weight: f64 = (0..3).map(|i| if n >> (2 - i) & 1 != 0 { a[i] } else { 1.0 - a[i] }).product();
                    v += weight * half(part(24) + 20 + 6 * n + 2 * r);
                }
                let q: [f64; 7] = std::array::from_fn(|i| real(part(20) + 40 * r + 12 + 4 * i));
                let v = if v >= q[4] { (q[1] * v + q[2]).powf(q[0]) + q[5] } else { q[3] * v + q[6] };
                (0..3).for_each(|k| xyz[k] += v.clamp(0.0, 1.0) * real(part(16) + 4 * (3 * k + r)) * 65535.0 / 32768.0);
            }
            let mut want = sample;
            lic_kernels::jpeg::colour::inverse(lic_kernels::Level::Scalar, &inverse.table(), &mut want);
            let linear = want.map(|v| {
                let v = v as f64 / 255.0;
                if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
            });
            for k in 0..3 {
                let want: f64 = (0..3).map(|r| SRGB[k][r] * linear[r]).sum();
                // Half a level of each colour.
                assert!((xyz[k] - want).abs() < 0.005, "{sample:?}: {xyz:?} instead of {want} at {k}");
            }
        }
    }
}
