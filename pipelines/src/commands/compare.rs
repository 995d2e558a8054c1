use super::Error;
use crate::inputs::{self, Input, Kind};
use crate::media::{self, Running};
use crate::metrics;
use crate::outlet::{END, Outlet};
use crate::plot;
use crate::transcode::{sink, source};
use indicatif::HumanBytes;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Measure two recordings against each other: PSNR, MS-SSIM, bytes.
///
/// Pictures are compared as I420 in the colours of the first; PSNR as in benches/rd: each frame's in dB, then the mean; YUV is
/// (6 Y + U + V) / 8. MS-SSIM is that of the luma.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  lic compare drive.mp4 drive.lic
  lic compare drive.mp4 drive.lic --plot psnr.svg
  lic compare frames/ drive.lic --by order --json      a folder of pictures, the nth frame with the nth

By time, counted from the first frame of each, a frame without a partner nearer than half a frame is left out and counted: files with
other frame rates, or one cut short at its end, can be compared. By order frames are paired as they come.")]
pub struct Args {
    /// The original
    a: PathBuf,
    /// What was made of it
    b: PathBuf,
    /// How frames are paired
    #[arg(long, default_value = "time", value_parser = ["time", "order"])]
    by: String,
    /// Of MCAP files and bags: the camera's topic
    #[arg(long)]
    topic: Vec<String>,
    /// Frames a second of folders of pictures without times
    #[arg(long, default_value = "30", value_parser = crate::transcode::fraction)]
    fps: gst::Fraction,
    /// A picture of PSNR over time
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// One JSON document on standard output
    #[arg(long)]
    json: bool,
}

/// One side.
#[derive(Serialize)]
struct Side {
    file: PathBuf,
    bytes: u64,
    frames: u64,
    /// Frames without a partner.
    alone: u64,
}

#[derive(Serialize)]
struct Report {
    width: u32,
    height: u32,
    frames: usize,
    psnr_y: f64,
    psnr_u: f64,
    psnr_v: f64,
    psnr_yuv: f64,
    /// Of the worst frame.
    least_psnr_y: f64,
    ms_ssim: Option<f64>,
    a: Side,
    b: Side,
    by: String,
}

/// One input, playing.
struct Pictures {
    outlet: Outlet,
    _source: source::Source,
    first: Option<u64>,
    side: Side,
    colours: String,
}

/// A picture and its time since the first, in nanoseconds.
struct Picture {
    sample: gst::Sample,
    time: u64,
}

impl Pictures {
    /// `colours`: what its pictures are converted to.
    fn open(path: &Path, args: &Args, colours: Option<&str>) -> Result<Pictures, Error> {
        let input = one(path, &args.topic)?;
        let colours = colours.map(|c| format!(",colorimetry=(string){c}")).unwrap_or_default();
        let running = Running::parse(&format!("{} ! video/x-raw,format=I420{colours} ! {END}", source::raw(&input)?))?;
        let source = source::Source::connect(&running, &input, args.fps)?;
        let side = Side { file: path.into(), bytes: bytes(&input)?, frames: 0, alone: 0 };
        Ok(Pictures { outlet: Outlet::start(running)?, _source: source, first: None, side, colours: String::new() })
    }

    fn next(&mut self) -> Result<Option<Picture>, Error> {
        let at = |e: Error| Error::from(format!("{}: {e}", self.side.file.display()));
        let Some(sample) = self.outlet.next().map_err(at)? else { return Ok(None) };
        let time = sink::time(&sample).map_err(at)?;
        if self.first.is_none() {
            let info = gst_video::VideoInfo::from_caps(sample.caps().ok_or("a picture without caps")?)?;
            self.colours = info.colorimetry().to_string();
        }
        let first = *self.first.get_or_insert(time);
        self.side.frames += 1;
        Ok(Some(Picture { sample, time: time.saturating_sub(first) }))
    }
}

fn one(path: &Path, topics: &[String]) -> Result<Input, Error> {
    let found = inputs::by_topic(inputs::find(&[path.to_path_buf()])?, topics)?;
    <[_; 1]>::try_from(found)
        .map(|[i]| i)
        .map_err(|all| format!("{} holds {} recordings; name one, or one camera with --topic", path.display(), all.len()).into())
}

/// Of the file, or of a folder's pictures.
fn bytes(input: &Input) -> Result<u64, Error> {
    let size = |p: &Path| std::fs::metadata(p).map(|m| m.len()).map_err(|e| Error::from(format!("{}: {e}", p.display())));
    match input.kind {
        Kind::Pictures => inputs::pictures(&input.path)?.iter().map(|p| size(p)).sum(),
        _ => size(&input.path),
    }
}

fn size(p: &Picture) -> Result<(u32, u32, f64), Error> {
    let info = gst_video::VideoInfo::from_caps(p.sample.caps().ok_or("a picture without caps")?)?;
    let fps = info.fps();
    Ok((info.width(), info.height(), if fps.numer() > 0 { fps.numer() as f64 / fps.denom() as f64 } else { 100.0 }))
}

pub fn run(args: Args) -> Result<ExitCode, Error> {
    media::init()?;
    if let Some(p) = args.plot.as_ref().filter(|p| p.extension().is_none_or(|e| !e.eq_ignore_ascii_case("svg"))) {
        return Err(format!("{}: plots are written as .svg", p.display()).into());
    }
    let mut a = Pictures::open(&args.a, &args, None)?;
    let mut left = a.next()?.ok_or_else(|| format!("{}: no picture in it", args.a.display()))?;
    let mut b = Pictures::open(&args.b, &args, Some(&a.colours))?;
    let mut right = b.next()?.ok_or_else(|| format!("{}: no picture in it", args.b.display()))?;
    let ((width, height, fps_a), (w, h, fps_b)) = (size(&left)?, size(&right)?);
    if (width, height) != (w, h) {
        return Err(format!("pictures of {width}x{height} and of {w}x{h} cannot be compared: scale one of them first").into());
    }
    let near = if args.by == "time" { (0.5e9 / fps_a.max(fps_b)) as u64 } else { u64::MAX };
    let (mut points, mut sums, mut similar, mut similar_frames) = (Vec::new(), [0f64; 3], 0f64, 0u64);
    loop {
        if left.time.abs_diff(right.time) <= near {
            let (planes, ssim) = measure(&left, &right)?;
            points.push((left.time as f64 * 1e-9, planes[0]));
            sums.iter_mut().zip(planes).for_each(|(s, p)| *s += p);
            if let Some(s) = ssim {
                similar += s;
                similar_frames += 1;
            }
            match (a.next()?, b.next()?) {
                (Some(l), Some(r)) => (left, right) = (l, r),
                (l, r) => {
                    a.side.alone += l.is_some() as u64;
                    b.side.alone += r.is_some() as u64;
                    break;
                }
            }
        } else if left.time < right.time {
            a.side.alone += 1;
            match a.next()? {
                Some(l) => left = l,
                None => {
                    b.side.alone += 1;
                    break;
                }
            }
        } else {
            b.side.alone += 1;
            match b.next()? {
                Some(r) => right = r,
                None => {
                    a.side.alone += 1;
                    break;
                }
            }
        }
    }
    for side in [&mut a, &mut b] {
        while side.next()?.is_some() {
            side.side.alone += 1;
        }
    }
    if points.is_empty() {
        return Err("no frame of the one is at the time of a frame of the other: --by order pairs them as they come".into());
    }
    let mean = sums.map(|s| s / points.len() as f64);
    let report = Report {
        width,
        height,
        frames: points.len(),
        psnr_y: mean[0],
        psnr_u: mean[1],
        psnr_v: mean[2],
        psnr_yuv: metrics::yuv(mean),
        least_psnr_y: points.iter().map(|p| p.1).fold(f64::INFINITY, f64::min),
        ms_ssim: (similar_frames > 0).then(|| similar / similar_frames as f64),
        a: a.side,
        b: b.side,
        by: args.by.clone(),
    };
    if let Some(path) = &args.plot {
        let title = format!("{} against {}: PSNR of Y, dB", name(&args.b), name(&args.a));
        std::fs::write(path, plot::over_time(&title, &points)).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        say(&report);
    }
    Ok(ExitCode::SUCCESS)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn measure(a: &Picture, b: &Picture) -> Result<([f64; 3], Option<f64>), Error> {
    metrics::planes(&a.sample, |a| {
        metrics::planes(&b.sample, |b| {
            if (a[0].width, a[0].height) != (b[0].width, b[0].height) {
                return Err("the size of the pictures changes on the way".into());
            }
            Ok((metrics::psnr(&a, &b), metrics::ms_ssim(&a[0], &b[0])))
        })
    })??
}

fn say(r: &Report) {
    for (name, side) in [("A", &r.a), ("B", &r.b)] {
        println!("{name}  {}: {}, {} frames", side.file.display(), HumanBytes(side.bytes), side.frames);
    }
    println!("B has {:.2}% of A's bytes", 100.0 * r.b.bytes as f64 / r.a.bytes.max(1) as f64);
    println!("{} pairs of frames by {}, {}x{}", r.frames, r.by, r.width, r.height);
    if r.a.alone + r.b.alone > 0 {
        println!("without a partner, left out: {} of A, {} of B", r.a.alone, r.b.alone);
    }
    println!(
        "PSNR     Y {:.2}  U {:.2}  V {:.2}  YUV {:.2} dB; the worst frame's Y {:.2}",
        r.psnr_y, r.psnr_u, r.psnr_v, r.psnr_yuv, r.least_psnr_y
    );
    match r.ms_ssim {
        Some(s) => println!("MS-SSIM  {s:.5} ({:.2} dB)", -10.0 * (1.0 - s).max(1e-10).log10()),
        None => println!("MS-SSIM  needs pictures of 176x176 at least"),
    }
}
