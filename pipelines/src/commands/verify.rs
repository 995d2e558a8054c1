use super::{Error, FAILED};
use crate::survey::survey;
use lic_codec::{Decoder, Runtime};
use lic_container::lic::Frames;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Check .lic files for damage, without decoding a picture.
///
/// Read are the checksums of every header and of the index, and whether frames follow each other without a gap. What is damaged within a
/// frame's entropy-coded bytes is found by decoding them, which --latents does (the checksum of each slice's latents).
#[derive(clap::Args)]
#[command(after_help = "The exit status is 1 if anything is damaged.")]
pub struct Args {
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Decode everything as well, and check latents: as slow as playing the files
    #[arg(long)]
    latents: bool,
    /// One JSON document on standard output
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Result<ExitCode, Error> {
    let mut all = Vec::new();
    for file in &args.files {
        let mut damage = match survey(file) {
            Ok(s) => s.damage,
            Err(e) => vec![e.to_string()],
        };
        if args.latents {
            damage.extend(undecodable(file)?);
        }
        if !args.json {
            if damage.is_empty() {
                println!("{}: whole", file.display());
            }
            damage.iter().for_each(|d| println!("{}: {d}", file.display()));
        }
        all.push(serde_json::json!({ "file": file, "damage": damage }));
    }
    let bad = all.iter().any(|f| f["damage"].as_array().is_some_and(|d| !d.is_empty()));
    if args.json {
        println!("{}", serde_json::to_string_pretty(&all)?);
    }
    Ok(if bad { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

/// Frames that cannot be decoded, in words.
fn undecodable(path: &Path) -> Result<Vec<String>, Error> {
    let mut decoder = Decoder::new(&Runtime::find()?, 0)?;
    let mut frames = Frames::new(BufReader::new(File::open(path).map_err(|e| format!("{}: {e}", path.display()))?), 0);
    let (mut bad, mut first) = (0u64, None);
    let mut n = 0u64;
    while let Some(f) = frames.next()? {
        if let Err(e) = decoder.decode(&f.data) {
            bad += 1;
            first.get_or_insert_with(|| format!("frame {n} at byte {}: {e}", f.offset));
        }
        n += 1;
    }
    Ok(first.map(|f| format!("{bad} of {n} frames cannot be decoded whole; the first is {f}")).into_iter().collect())
}
