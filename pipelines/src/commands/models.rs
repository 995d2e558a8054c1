use super::Error;
use indicatif::HumanBytes;
use lic_codec::Pack;
use lic_codec::model::{COMPILED_IN, search_path};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// List the model packs: those compiled in, and those in folders.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  lic models
  lic models --path ~/packs        the folder of a pack, or a folder of such folders
  lic send --model lite            a pack is named by its name, or by a path with / in it

Packs are looked for in $LIC_MODELS (folders with : between), ~/.local/share/lic/models, /usr/local/share/lic/models and
/usr/share/lic/models. A stream names its pack by its id, so that a receiver never takes another one.")]
pub struct Args {
    /// Look here as well
    #[arg(long, value_name = "FOLDER")]
    path: Vec<PathBuf>,
    /// One JSON document on standard output
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Result<ExitCode, Error> {
    let mut packs: Vec<(String, Arc<Pack>)> = Vec::new();
    for name in COMPILED_IN {
        packs.push(("compiled in".into(), Pack::open(name)?));
    }
    let mut failed = false;
    let named = args.path.iter().map(|p| (p.clone(), true));
    for (folder, must) in named.chain(search_path().into_iter().map(|p| (p, false))) {
        let found = folders(&folder);
        if must && found.is_empty() {
            eprintln!("lic: {}: no pack there (a folder with model.toml)", folder.display());
            failed = true;
        }
        for path in found {
            // A path, whatever it is called.
            match Pack::open(&format!("{}/", path.display())) {
                Ok(pack) => packs.push((path.display().to_string(), pack)),
                Err(e) => {
                    eprintln!("lic: {e}");
                    failed = true;
                }
            }
        }
    }
    if args.json {
        let all: Vec<_> = packs.iter().map(|(place, p)| json(place, p)).collect();
        println!("{}", serde_json::to_string_pretty(&all)?);
    } else {
        packs.iter().for_each(|(place, p)| say(place, p));
    }
    Ok(if failed { ExitCode::from(super::FAILED) } else { ExitCode::SUCCESS })
}

/// A pack's folder, or those in a folder.
fn folders(folder: &Path) -> Vec<PathBuf> {
    let is_pack = |p: &Path| p.join("model.toml").is_file();
    if is_pack(folder) {
        return vec![folder.to_path_buf()];
    }
    let mut all: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).filter(|p| is_pack(p)).collect();
    all.sort();
    all
}

fn hex(id: &[u8; 32]) -> String {
    id.iter().map(|b| format!("{b:02x}")).collect()
}

fn say(place: &str, p: &Pack) {
    let c = p.card();
    println!("{} ({place}), {}, id {}", p.name(), HumanBytes(p.bytes()), &hex(p.id())[..32]);
    let cost = format!("encoder {}, decoder {} thousand multiplications a pixel", c.encoder_kmac_per_pixel, c.decoder_kmac_per_pixel);
    let range = if c.operating_range.is_empty() { "not said" } else { &c.operating_range };
    for (name, text) in
        [("what", c.about.as_str()), ("range", range), ("cost", &cost), ("licence", &c.licence), ("trained on", &c.training_data)]
    {
        if !text.is_empty() {
            println!("  {name}: {text}");
        }
    }
}

fn json(place: &str, p: &Pack) -> serde_json::Value {
    let c = p.card();
    serde_json::json!({
        "name": p.name(), "place": place, "id": hex(p.id()), "bytes": p.bytes(), "lite": p.is_lite(), "about": c.about, "version": c.version,
        "operating_range": c.operating_range, "encoder_kmac_per_pixel": c.encoder_kmac_per_pixel,
        "decoder_kmac_per_pixel": c.decoder_kmac_per_pixel, "licence": c.licence, "training_data": c.training_data,
    })
}
