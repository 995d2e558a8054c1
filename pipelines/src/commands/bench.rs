use super::Error;
use crate::inputs;
use crate::measure::{self, Clip, Coded, Cost};
use crate::{media, metrics};
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

/// Measure this machine: speed, CPU time and bytes beside x264, AVIF and JPEG.
///
/// The others are set to lic's quality: the setting whose PSNR (YUV) comes nearest to lic's on the same frames. Everything runs in this process, on raw pictures in
/// memory; times are from the first frame to the last, so that what starts up does not count. Close what else runs.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  lic bench drive.mp4
  lic bench drive.mp4 --frames 300 --quality 30 --json
  lic bench                        on a synthetic picture: speed says something, bytes and quality little

AVIF is AV1 with every frame a key frame (av1enc cpu-used=8), on eight frames spread over the clip, since it takes long. For rates over a ladder of
qualities there is benches/rd.")]
pub struct Args {
    /// A recording (whatever lic transcode reads) [default: a synthetic picture of 640x480]
    clip: Option<PathBuf>,
    /// Frames at most
    #[arg(long, default_value_t = 96, value_parser = clap::value_parser!(u32).range(8..=10_000))]
    frames: u32,
    /// Quality of lic
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(0..=100))]
    quality: u32,
    /// Model pack of lic
    #[arg(long, default_value = "base")]
    model: String,
    /// One JSON document on standard output
    #[arg(long)]
    json: bool,
}

/// A codec of others: its name, elements with {q}, and the range of q.
struct Peer {
    name: &'static str,
    needs: &'static [&'static str],
    encoder: &'static str,
    decoder: &'static str,
    range: (u32, u32),
    /// Frames that it is measured on.
    most: usize,
}

const PEERS: [Peer; 3] = [
    Peer {
        name: "x264 veryfast zerolatency",
        needs: &["x264enc", "h264parse", "avdec_h264"],
        encoder: "x264enc tune=zerolatency speed-preset=veryfast pass=quant quantizer={q} key-int-max=60 ! h264parse",
        decoder: "avdec_h264",
        range: (10, 50),
        most: usize::MAX,
    },
    Peer {
        name: "JPEG",
        needs: &["jpegenc", "jpegdec"],
        encoder: "jpegenc quality={q}",
        decoder: "jpegdec",
        range: (1, 98),
        most: usize::MAX,
    },
    Peer {
        name: "AVIF (AV1 key frames)",
        needs: &["av1enc", "av1dec"],
        encoder: "av1enc cpu-used=8 min-quantizer={q} max-quantizer={q} keyframe-max-dist=0",
        decoder: "av1dec",
        range: (1, 63),
        most: 8,
    },
];

#[derive(Serialize)]
struct Row {
    codec: &'static str,
    setting: String,
    frames: usize,
    bytes_per_frame: f64,
    psnr_y: f64,
    psnr_yuv: f64,
    /// That of lic on the same frames.
    lic_psnr_yuv: f64,
    encode: Cost,
    decode: Cost,
}

pub fn run(args: Args) -> Result<ExitCode, Error> {
    media::init()?;
    let clip = match &args.clip {
        Some(path) => {
            let found = inputs::by_topic(inputs::find(std::slice::from_ref(path))?, &[])?;
            let [input] =
                <[_; 1]>::try_from(found).map_err(|all| format!("{} holds {} recordings; name one", path.display(), all.len()))?;
            Clip::open(&input, args.frames as usize).map_err(|e| format!("{}: {e}", path.display()))?
        }
        None => {
            eprintln!("lic: no clip is named: a synthetic picture stands in, whose bytes and quality say little of real ones");
            Clip::synthetic(640, 480, args.frames)?
        }
    };
    if clip.frames.len() < 2 {
        return Err("at least two frames are needed".into());
    }
    eprintln!("lic: {} frames of {}x{}, {:.4} frames/s", clip.frames.len(), clip.width, clip.height, clip.rate);
    let (ours, quality) = ours(&clip, &args)?;
    let mut rows = vec![ours];
    let mut missing = Vec::new();
    for peer in &PEERS {
        let lacking: Vec<_> = peer.needs.iter().copied().filter(|n| gst::ElementFactory::find(n).is_none()).collect();
        if lacking.is_empty() {
            rows.push(peer.row(&clip, &quality)?);
        } else {
            missing.push(format!("{}: no element {} (lic doctor says what to install)", peer.name, lacking.join(", ")));
        }
    }
    missing.iter().for_each(|m| eprintln!("lic: left out: {m}"));
    if args.json {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        let document = serde_json::json!({
            "clip": args.clip, "frames": clip.frames.len(), "width": clip.width, "height": clip.height, "frame_rate": clip.rate,
            "cores": cores, "codecs": rows, "left_out": missing,
        });
        println!("{}", serde_json::to_string_pretty(&document)?);
    } else {
        say(&rows);
    }
    Ok(ExitCode::SUCCESS)
}

/// The row of lic, and its PSNR (YUV) frame by frame.
fn ours(clip: &Clip, args: &Args) -> Result<(Row, Vec<f64>), Error> {
    if args.model.contains(char::is_whitespace) || args.model.contains(['!', '"', '\'']) {
        return Err(format!("{:?} is no name of a pack", args.model).into());
    }
    let encoder = format!("licenc quality={} model={}", args.quality, args.model);
    let (mut row, quality) = row("lic", format!("quality {}", args.quality), clip, &encoder, "licdec")?;
    row.lic_psnr_yuv = row.psnr_yuv;
    Ok((row, quality))
}

fn row(codec: &'static str, setting: String, clip: &Clip, encoder: &str, decoder: &str) -> Result<(Row, Vec<f64>), Error> {
    let at = |e: Error| Error::from(format!("{codec}: {e}"));
    let Coded { packets, caps, bytes, cost } = measure::encode(clip, encoder).map_err(at)?;
    let (db, _) = measure::decode(&packets, &caps, decoder, clip, true).map_err(at)?;
    let (_, back) = measure::decode(&packets, &caps, decoder, clip, false).map_err(at)?;
    let quality: Vec<f64> = db.iter().map(|&d| metrics::yuv(d)).collect();
    let row = Row {
        codec,
        setting,
        frames: clip.frames.len(),
        bytes_per_frame: bytes as f64 / clip.frames.len() as f64,
        psnr_y: mean(db.iter().map(|d| d[0])),
        psnr_yuv: mean(quality.iter().copied()),
        lic_psnr_yuv: 0.0,
        encode: cost,
        decode: back,
    };
    Ok((row, quality))
}

fn mean(all: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = all.len().max(1) as f64;
    all.sum::<f64>() / n
}

impl Peer {
    fn encoder(&self, q: u32) -> String {
        self.encoder.replace("{q}", &q.to_string())
    }

    /// At the setting whose quality is nearest to lic's on the same frames (`lic`: its PSNR frame by frame), found by halving: on real
    /// pictures quality follows the setting. Where it jumps, as on flat synthetic ones, the two columns of the table say how far off it is.
    fn row(&self, clip: &Clip, lic: &[f64]) -> Result<Row, Error> {
        let all = clip.frames.len();
        let taken: Vec<usize> = if all <= self.most { (0..all).collect() } else { (0..self.most).map(|k| k * all / self.most).collect() };
        let target = mean(taken.iter().map(|&n| lic[n]));
        let frames = taken.iter().map(|&n| clip.frames[n].clone()).collect();
        let clip = Clip { frames, caps: clip.caps.clone(), ..*clip };
        let at = |e: Error| Error::from(format!("{}: {e}", self.name));
        let quality = |q: u32| -> Result<f64, Error> {
            let coded = measure::encode(&clip, &self.encoder(q)).map_err(at)?;
            let (db, _) = measure::decode(&coded.packets, &coded.caps, self.decoder, &clip, true).map_err(at)?;
            Ok(mean(db.iter().map(|&d| metrics::yuv(d))))
        };
        let (mut low, mut high) = self.range;
        let (mut of_low, mut of_high) = (quality(low)?, quality(high)?);
        let rising = of_high > of_low;
        while high - low > 1 {
            let middle = (low + high) / 2;
            let found = quality(middle)?;
            if (found < target) == rising {
                (low, of_low) = (middle, found);
            } else {
                (high, of_high) = (middle, found);
            }
        }
        let q = if (of_low - target).abs() < (of_high - target).abs() { low } else { high };
        let (mut row, _) = row(self.name, format!("{q}"), &clip, &self.encoder(q), self.decoder)?;
        row.lic_psnr_yuv = target;
        Ok(row)
    }
}

fn say(rows: &[Row]) {
    println!(
        "{:26} {:>11} {:>6} {:>12} {:>7} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "codec", "setting", "frames", "bytes/frame", "Y dB", "YUV dB", "lic's", "enc f/s", "CPU ms", "dec f/s", "CPU ms"
    );
    for r in rows {
        println!(
            "{:26} {:>11} {:>6} {:>12.0} {:>7.2} {:>8.2} {:>8.2} {:>8.0} {:>8.1} {:>8.0} {:>8.1}",
            r.codec,
            r.setting,
            r.frames,
            r.bytes_per_frame,
            r.psnr_y,
            r.psnr_yuv,
            r.lic_psnr_yuv,
            r.encode.rate,
            r.encode.cpu_ms,
            r.decode.rate,
            r.decode.cpu_ms
        );
    }
}
