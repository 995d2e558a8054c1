//! The entropy model of pictures without a reference, against its layers on the CPU and a plain copy of what lies between them.

use super::pack::Prior;
use super::{Machine, Outcome, Random, said, same};
use lic_cuda::Buffer;
use lic_cuda::entropy::{Intra, Shape, Space, Step, Tables};
use lic_cuda::prior::{Depthwise, Linear};
use lic_kernels::Level;

/// On the device.
pub fn intra(machine: &Machine, p: &Prior) -> Result<Intra, String> {
    let linear = |name: &str, leaky| Linear::new(machine, &p.named(&format!("intra.{name}"), leaky)?).map_err(said);
    let depthwise = |name: &str| Depthwise::new(machine, p.deep(&format!("intra.{name}"))?).map_err(said);
    let buffer = |v: &[i32]| Buffer::of(machine, v).map_err(said);
    Ok(Intra {
        analysis0: linear("hyper.analysis0", true)?,
        analysis1: linear("hyper.analysis1", false)?,
        synthesis: linear("hyper.synthesis", true)?,
        smooth: depthwise("hyper.smooth")?,
        context: linear("context", true)?,
        first: linear("first", false)?,
        spatial: depthwise("spatial")?,
        second0: linear("second0", true)?,
        second1: linear("second1", false)?,
        tables: Some(Tables {
            low: buffer(&p.tables.low)?,
            entries: buffer(&p.tables.entries)?,
            at: buffer(&p.tables.at)?,
            cost: Buffer::of(machine, &p.tables.cost).map_err(said)?,
            raw: buffer(&p.tables.raw)?,
        }),
    })
}

/// What bits of a symbol cost.
#[derive(Default)]
pub struct Costs {
    pub low: Vec<i32>,
    pub entries: Vec<i32>,
    pub at: Vec<i32>,
    pub cost: Vec<f32>,
    pub raw: Vec<i32>,
}

impl Costs {
    fn bits(&self, k: i32, mean: i32, scale: usize) -> f32 {
        let i = scale * 8 + (mean & 7) as usize;
        let (raw, entries) = (self.raw[scale], self.entries[i]);
        let s = ((k - (mean >> 3)) >> raw) - self.low[i];
        if (0..entries - 1).contains(&s) {
            return self.cost[(self.at[i] + s) as usize] + raw as f32;
        }
        let e = if s < 0 { -s } else { s + 2 - entries };
        self.cost[(self.at[i] + entries - 1) as usize] + 5.0 + e.ilog2() as f32 + raw as f32
    }

    fn choose(&self, lambda: f32, y: f32, mean: i32, scale: usize) -> i32 {
        let k = ((y + 0.5f32.copysign(y)) as i32).clamp(-16383, 16383);
        let likely = (mean + 4) >> 3;
        if k == likely || lambda == 0.0 {
            return k;
        }
        let cost = |k: i32| (y - k as f32) * (y - k as f32) + lambda * self.bits(k, mean, scale);
        let mut best = (k, cost(k));
        for other in [if likely > k { k + 1 } else { k - 1 }, likely] {
            let c = cost(other);
            if c < best.1 {
                best = (other, c);
            }
        }
        best.0
    }
}

/// `[positions][inputs]` of whole pictures through one layer.
fn apply(l: &lic_kernels::Linear, x: &[i16]) -> Vec<i16> {
    let mut out = vec![0; x.len() / l.inputs() * l.outputs()];
    l.apply(Level::best(), x, None, &mut out);
    out
}

/// Symbols, hyper latents, and heads of both halves of one picture.
type Coded = (Vec<i16>, Vec<i16>, [Vec<i16>; 2]);

fn on_cpu(p: &Prior, latents: &[f32], gains: &[f32], lambda: f32, w: usize, h: usize) -> Result<Coded, String> {
    let linear = |name: &str, leaky| p.named(&format!("intra.{name}"), leaky);
    let (m, cw, ch) = (gains.len(), w.div_ceil(2), h.div_ceil(2));
    let y: Vec<f32> = latents.iter().enumerate().map(|(i, v)| v * gains[i % m]).collect();
    let near = |v: f32| (v + 0.5f32.copysign(v)) as i32;
    let x: Vec<i16> = y.iter().map(|v| near(v * 64.0).clamp(-32767, 32767) as i16).collect();
    let mut rows = vec![0i16; cw * ch * 4 * m];
    for (i, row) in rows.chunks_exact_mut(m).enumerate() {
        let (py, px) = (i / 4 / cw * 2 + i % 4 / 2, i / 4 % cw * 2 + i % 2);
        if py < h && px < w {
            row.copy_from_slice(&x[(py * w + px) * m..][..m]);
        }
    }
    let z = apply(&linear("hyper.analysis1", false)?, &apply(&linear("hyper.analysis0", true)?, &rows));
    let z: Vec<i16> = z.iter().map(|&v| ((v as i32 + 32) >> 6) as i16).collect();
    let known = |k: i16| ((k as i32) << 6).clamp(-32767, 32767) as i16;
    let t = apply(&linear("hyper.synthesis", true)?, &z.iter().map(|&k| known(k)).collect::<Vec<_>>());
    let smooth = p.deep("intra.hyper.smooth")?;
    let n = smooth.channels();
    let all: Vec<u32> = (0..(w * h) as u32).collect();
    let mut dense = vec![0i16; w * h * n];
    for (i, row) in dense.chunks_exact_mut(n).enumerate() {
        let (py, px) = (i / w, i % w);
        row.copy_from_slice(&t[((py / 2 * cw + px / 2) * 4 + py % 2 * 2 + px % 2) * n..][..n]);
    }
    let mut smoothed = vec![0i16; w * h * n];
    smooth.apply(Level::best(), &dense, w, h, &all, &mut smoothed, n, 0);
    let context = apply(&linear("context", true)?, &smoothed);
    let c = context.len() / (w * h);
    let (mut values, mut activations) = (vec![0i16; w * h * m], vec![0i16; w * h * m]);
    let mut heads = [vec![], vec![]];
    for (half, heads) in heads.iter_mut().enumerate() {
        let list: Vec<u32> = all.iter().copied().filter(|&p| (p as usize / w + p as usize % w) % 2 == half).collect();
        let stride = c + half * m;
        let mut x = vec![0i16; list.len() * stride];
        x.chunks_exact_mut(stride).zip(&list).for_each(|(x, &p)| x[..c].copy_from_slice(&context[p as usize * c..][..c]));
        let mut out = if half == 0 {
            apply(&linear("first", false)?, &x)
        } else {
            p.deep("intra.spatial")?.apply(Level::best(), &activations, w, h, &list, &mut x, stride, c);
            apply(&linear("second1", false)?, &apply(&linear("second0", true)?, &x))
        };
        for (row, &p_) in out.chunks_exact_mut(2 * m).zip(&list) {
            let (mean, scale) = row.split_at_mut(m);
            for i in 0..m {
                scale[i] = scale[i].clamp(0, 63);
                let at = p_ as usize * m + i;
                let k = p.tables.choose(lambda, y[at], mean[i] as i32, scale[i] as usize) as i16;
                values[at] = k;
                activations[at] = known(k);
            }
        }
        *heads = out;
    }
    Ok((values, z, heads))
}

/// Random pictures' latents; the result counts symbols.
pub fn symbols(machine: &Machine, p: &Prior, sizes: &[(usize, usize, usize)]) -> Outcome {
    let (mut r, mut cases) = (Random::new(73), 0);
    let on = intra(machine, p)?;
    let m = on.spatial.channels();
    for &(w, h, pictures) in sizes {
        // Used again, as what lay there before must not count.
        let mut space = Space::new(machine, Shape { pictures, width: w, height: h }, &on).map_err(said)?;
        for (step, lambda) in [(20, 0.0), (30, 0.12), (45, 0.2)] {
            let gains = &p.gain[step * m..][..m];
            // Sparse and heavy-tailed, as latents are.
            let value = |r: &mut Random, i: usize| r.around(1000) as f32 / 700.0 * [0.3, 1.0, 12.0][r.below(8).min(2)] / gains[i % m];
            let latents: Vec<f32> = (0..pictures * w * h * m).map(|i| value(&mut r, i)).collect();
            let given = Buffer::of(machine, &latents).map_err(said)?;
            let factors = Buffer::of(machine, gains).map_err(said)?;
            on.run(&mut space, &given, &Step { gains: &factors, context_bias: None, lambda }).map_err(said)?;
            let (mut values, mut z, mut heads) = (vec![], vec![], [vec![], vec![]]);
            for latents in latents.chunks_exact(w * h * m) {
                let one = on_cpu(p, latents, gains, lambda, w, h)?;
                values.extend(one.0);
                z.extend(one.1);
                heads.iter_mut().zip(one.2).for_each(|(h, o)| h.extend(o));
            }
            let what = format!("{pictures} pictures of {w}x{h} positions, step {step}");
            same(&format!("{what}, hyper latents"), &space.z.read::<i16>().map_err(said)?, &z)?;
            same(&format!("{what}, first heads"), &space.heads[0].read::<i16>().map_err(said)?, &heads[0])?;
            same(&format!("{what}, second heads"), &space.heads[1].read::<i16>().map_err(said)?, &heads[1])?;
            same(&format!("{what}, symbols"), &space.values.read::<i16>().map_err(said)?, &values)?;
            let some = values.iter().filter(|v| **v != 0).count();
            if some * 50 < values.len() {
                return Err(format!("{what}: the test itself has hardly any symbol but zero"));
            }
            let sizes = &p.step_size[step * m..][..m];
            let mut out = Buffer::new(machine, 4 * values.len()).map_err(said)?;
            on.latents(&space, &Buffer::of(machine, sizes).map_err(said)?, &mut out).map_err(said)?;
            let expected: Vec<f32> = values.iter().enumerate().map(|(i, &k)| (k as i32 * sizes[i % m]) as f32 * (1.0 / 65536.0)).collect();
            same(&format!("{what}, latents"), &out.read::<f32>().map_err(said)?, &expected)?;
            cases += values.len();
        }
    }
    Ok(cases)
}
