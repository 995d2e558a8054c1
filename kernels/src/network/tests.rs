use super::*;
use crate::Level;
use crate::planes::Planes;

fn random(seed: u64) -> impl FnMut(i32) -> i32 {
    let mut s = seed | 1;
    move |below| {
        s = s.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((s >> 33) as i32).rem_euclid(below)
    }
}

/// Random weights whose outputs fill their range.
fn words(r: &mut impl FnMut(i32) -> i32, inputs: usize, outputs: usize, unit: f32) -> Matrix {
    let w: Vec<i16> = (0..inputs * outputs).map(|_| (r(301) - 150) as i16).collect();
    let bias: Vec<i32> = (0..outputs).map(|_| r(100_001) - 50_000).collect();
    let scale: Vec<f32> = (0..outputs).map(|_| unit * (1 + r(1000)) as f32 / 500.0).collect();
    Matrix::new(inputs, outputs, Weights::Words(&w), &bias, &scale).unwrap()
}

fn bytes(r: &mut impl FnMut(i32) -> i32, inputs: usize, outputs: usize, unit: f32) -> Matrix {
    // Small ones too: AVX2 adds as many of their products in int16 as fit.
    let w: Vec<i8> = (0..inputs * outputs).map(|_| ((r(129) - 64) / [1, 4, 16][r(3) as usize]) as i8).collect();
    let bias: Vec<i32> = (0..outputs).map(|_| r(20_001) - 10_000).collect();
    let scale: Vec<f32> = (0..outputs).map(|_| unit * (1 + r(1000)) as f32 / 500.0).collect();
    Matrix::new(inputs, outputs, Weights::Bytes(&w), &bias, &scale).unwrap()
}

fn block(r: &mut impl FnMut(i32) -> i32, c: usize, e: usize) -> Block<u8> {
    let w: Vec<i16> = (0..9 * c).map(|_| (r(255) - 127) as i16).collect();
    let bias: Vec<i32> = (0..c).map(|_| r(20_001) - 10_000).collect();
    let scale: Vec<f32> = (0..c).map(|_| 0.003 * (1 + r(1000)) as f32 / 500.0).collect();
    let around = Around::new::<u8>(c, &w, &bias, &scale).unwrap();
    Block::new(200 + r(400) as i16, around, bytes(r, c, e, 0.01), bytes(r, e, c, 0.3)).unwrap()
}

fn fine_block(r: &mut impl FnMut(i32) -> i32, c: usize, e: usize) -> Block<i16> {
    let w: Vec<i16> = (0..9 * c).map(|_| (r(4001) - 2000) as i16).collect();
    let bias: Vec<i32> = (0..c).map(|_| r(2_000_001) - 1_000_000).collect();
    let scale: Vec<f32> = (0..c).map(|_| 2e-4 * (1 + r(1000)) as f32 / 500.0).collect();
    let around = Around::new::<i16>(c, &w, &bias, &scale).unwrap();
    Block::new(1, around, words(r, c, e, 0.001), words(r, e, c, 0.001)).unwrap()
}

fn analysis(r: &mut impl FnMut(i32) -> i32, c: usize, m: usize) -> Analysis {
    let first = words(r, 96, c, 0.05);
    Analysis::new(first, vec![block(r, c, 2 * c), block(r, c, 2 * c)], words(r, 4 * c, m, 1e-4)).unwrap()
}

fn synthesis<L: Lane>(r: &mut impl FnMut(i32) -> i32, m: usize, blocks: Vec<Block<L>>) -> Synthesis<L> {
    let entry = (0..m).map(|_| (1 + r(1000)) as f32).collect();
    let d = blocks[0].channels();
    Synthesis::new(entry, words(r, m, 4 * d, 0.001), blocks, words(r, d, 96, 1e-5)).unwrap()
}

fn picture(r: &mut impl FnMut(i32) -> i32, w: usize, h: usize) -> Planes {
    let mut p = Planes::for_size(w, h);
    p.y.iter_mut().chain(&mut p.u).chain(&mut p.v).for_each(|s| *s = r(256) as u8);
    p
}

#[test]
fn twins_agree_with_scalar() {
    let mut r = random(5);
    let sizes = [(96, 128, 7, 5), (64, 48, 1, 1), (32, 16, 3, 9), (128, 128, 6, 4), (32, 16, 1, 1)];
    for (c, m, w, h) in sizes.into_iter().filter(|s| !cfg!(miri) || s.0 * s.2 * s.3 == 32) {
        let a = analysis(&mut r, c, m);
        let (fast, fine) = ((0..3).map(|_| block(&mut r, c, 2 * c)).collect(), (0..3).map(|_| fine_block(&mut r, c, 2 * c)).collect());
        let (fast, fine) = (synthesis(&mut r, m, fast), synthesis(&mut r, m, fine));
        let p = picture(&mut r, 16 * w, 16 * h);
        let wanted: Vec<u32> = (0..(w * h) as u32).filter(|&i| i == 0 || r(3) > 0).collect();
        let positions: Vec<Position> = wanted.iter().map(|&at| Position { at, places: 1 + r(15) as u8 }).collect();
        let latents: Vec<f32> = (0..wanted.len() * m).map(|_| (r(2001) - 1000) as f32 / 50.0).collect();
        let latents = |i: usize, to: &mut [f32]| to.copy_from_slice(&latents[i * m..][..m]);
        let run = |level, threads| {
            let [mut one, mut two] = [(); 2].map(|_| Planes::for_size(16 * w, 16 * h));
            fast.run(level, threads, &positions, latents, 0..h, &mut one);
            fine.run(level, threads, &positions, latents, 0..h, &mut two);
            let v = a.run(level, threads, &p, 0..h, &wanted);
            (v.into_iter().map(f32::to_bits).collect::<Vec<_>>(), one.y, two.y, [one.u, one.v, two.u, two.v].concat())
        };
        let expect = run(Level::Scalar, 1);
        let some = |v: &[u8]| v.iter().filter(|v| !matches!(v, 0 | 255)).count();
        assert!([&expect.1, &expect.2].iter().all(|y| some(y) > y.len() / 20), "the test itself is saturated");
        for level in Level::available() {
            for threads in [1, 3] {
                assert!(run(level, threads) == expect, "{level:?} {c} {m}");
            }
            println!("integer networks of {c} and {m} channels: {level:?} equals scalar");
        }
    }
}

/// Positions crowded in one line and sparse elsewhere: what threads that run ahead of each other get wrong if they can.
#[test]
#[cfg_attr(miri, ignore = "long")]
fn threads_change_nothing() {
    let mut r = random(17);
    let (w, h, m) = (12, 9, 16);
    let a = analysis(&mut r, 32, m);
    let blocks = (0..5).map(|_| block(&mut r, 32, 64)).collect();
    let s = synthesis(&mut r, m, blocks);
    let p = picture(&mut r, 16 * w, 16 * h);
    for round in 0..60 {
        let crowded = r(h as i32);
        let at: Vec<u32> = (0..(w * h) as u32).filter(|&p| p as i32 / w as i32 == crowded || r(1 + round % 12) == 0).collect();
        let positions: Vec<Position> = at.iter().map(|&at| Position { at, places: 1 + r(15) as u8 }).collect();
        let run = |threads| {
            let mut out = Planes::for_size(16 * w, 16 * h);
            s.run(Level::best(), threads, &positions, |i, row| row.fill((i % 23) as f32 - 11.0), 0..h, &mut out);
            (out, a.run(Level::best(), threads, &p, 0..h, &at))
        };
        assert!(run(1) == run(2 + round as usize % 4), "round {round}");
    }
}

#[test]
#[cfg_attr(miri, ignore = "long")]
fn latents_do_not_depend_on_what_else_is_wanted() {
    let mut r = random(9);
    let (w, h, m) = (8, 6, 32);
    let a = analysis(&mut r, 32, m);
    let p = picture(&mut r, 16 * w, 16 * h);
    let all = a.run(Level::best(), 1, &p, 0..h, &(0..(w * h) as u32).collect::<Vec<_>>());
    let wanted = [9u32, 0, 30, 31, 47];
    let some = a.run(Level::best(), 2, &p, 0..h, &wanted);
    for (v, &p) in some.chunks_exact(m).zip(&wanted) {
        assert_eq!(v, &all[p as usize * m..][..m]);
    }
    // Rows of their own are a picture of their own.
    let part = a.run(Level::best(), 1, &p, 2..5, &(0..3 * w as u32).collect::<Vec<_>>());
    let mut cut = Planes::for_size(16 * w, 48);
    cut.y.copy_from_slice(&p.y[16 * w * 32..16 * w * 80]);
    cut.u.copy_from_slice(&p.u[8 * w * 16..8 * w * 40]);
    cut.v.copy_from_slice(&p.v[8 * w * 16..8 * w * 40]);
    assert_eq!(part, a.run(Level::best(), 1, &cut, 0..3, &(0..3 * w as u32).collect::<Vec<_>>()));
}

#[test]
fn refuses_what_could_overflow() {
    let w = [64i8; 4 * 16];
    let new = |w: &[i8], scale| Matrix::new(4, 16, Weights::Bytes(w), &[0; 16], &[scale; 16]);
    assert!(new(&w, 1.0).is_ok());
    assert!(new(&w, 1e9).is_err() && new(&w, f32::NAN).is_err());
    assert!(new(&[65i8; 4 * 16], 1.0).is_err(), "two products");
    assert!(Matrix::new(4, 16, Weights::Words(&[32767; 64]), &[0; 16], &[1.0; 16]).is_err());
}

#[test]
#[ignore = "measures"]
fn speed() {
    let mut r = random(1);
    let (w, h, m) = (40, 30, 128);
    let a = analysis(&mut r, 96, m);
    let (fast, fine) = ((0..5).map(|_| block(&mut r, 128, 256)).collect(), (0..5).map(|_| fine_block(&mut r, 128, 256)).collect());
    let (fast, fine) = (synthesis(&mut r, m, fast), synthesis(&mut r, m, fine));
    let p = picture(&mut r, 640, 480);
    let wanted: Vec<u32> = (0..(w * h) as u32).collect();
    let positions: Vec<Position> = wanted.iter().map(|&at| Position { at, places: 15 }).collect();
    let latents: Vec<f32> = (0..wanted.len() * m).map(|_| (r(2001) - 1000) as f32 / 50.0).collect();
    let latents = |i: usize, to: &mut [f32]| to.copy_from_slice(&latents[i * m..][..m]);
    let mut out = Planes::for_size(16 * w, 16 * h);
    for level in Level::available() {
        for threads in [1, 2] {
            let n = if level == Level::Scalar { 1 } else { 50 };
            let best = |f: &mut dyn FnMut()| {
                (0..n)
                    .map(|_| {
                        let t = std::time::Instant::now();
                        f();
                        t.elapsed().as_secs_f64() * 1e3
                    })
                    .fold(f64::MAX, f64::min)
            };
            let ta = best(&mut || {
                a.run(level, threads, &p, 0..h, &wanted);
            });
            let ts = best(&mut || fast.run(level, threads, &positions, latents, 0..h, &mut out));
            let tf = best(&mut || fine.run(level, threads, &positions, latents, 0..h, &mut out));
            println!("{level:?} {threads} threads: analysis {ta:.2} ms, synthesis {ts:.2} ms, fine {tf:.2} ms");
        }
    }
}
