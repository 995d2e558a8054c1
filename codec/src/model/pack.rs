//! A model pack: `model.toml`, `analysis.onnx`, `synthesis.onnx`, `prior.safetensors`, and `networks.safetensors` if it has a prior for kind `motion`;
//! or a lite pack: `model.toml`, `synthesis.onnx`, `lite.safetensors`, and `classification.onnx` if its synthesis was tuned for that ([`super::Task`]).

use super::Integers;
use crate::error::{Error, Result};
use crate::lite::{self, Lite};
use crate::prior::Prior;
use serde::Deserialize;
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// A model pack, checked: sizes fit each other and no integer sum can overflow.
pub struct Pack {
    name: String,
    id: [u8; 32],
    pub(crate) analysis: Cow<'static, [u8]>,
    pub(crate) synthesis: Cow<'static, [u8]>,
    /// The same tuned for classifiers: an add-on, and no part of the pack's id.
    pub(crate) classification: Option<Cow<'static, [u8]>>,
    /// The same in exact integers, for the pictures of frames with slices of kind `motion`: where the prior has that kind.
    pub(crate) integers: Option<Integers>,
    /// Of lite packs absent.
    prior: Option<Prior>,
    pub(crate) lite: Option<Arc<Lite>>,
    /// Latent channels.
    pub(crate) channels: usize,
    card: Card,
    bytes: u64,
}

/// What is read of `model.toml`.
#[derive(Deserialize)]
struct Manifest {
    name: String,
    format: u32,
    #[serde(default)]
    card: Card,
}

/// What a pack says of itself, for people; what it does not say is empty.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Card {
    pub about: String,
    pub version: String,
    /// Multiply-accumulates a pixel, in thousands.
    pub encoder_kmac_per_pixel: f64,
    pub decoder_kmac_per_pixel: f64,
    pub licence: String,
    pub training_data: String,
    /// Where it is good.
    pub operating_range: String,
}

const MANIFEST_FORMAT: u32 = 1;

/// Files of one pack in the order they are hashed.
struct Files {
    manifest: Cow<'static, [u8]>,
    analysis: Option<Cow<'static, [u8]>>,
    synthesis: Cow<'static, [u8]>,
    prior: Option<Cow<'static, [u8]>>,
    lite: Option<Cow<'static, [u8]>>,
    integers: Option<Cow<'static, [u8]>>,
    /// Not hashed.
    classification: Option<Cow<'static, [u8]>>,
}

/// Packs that need no folder, the default first.
pub const COMPILED_IN: [&str; 2] = ["base", "lite"];

macro_rules! model {
    ($path:literal) => {
        Cow::Borrowed(include_bytes!(concat!("../../../models/", $path)).as_slice())
    };
}

fn compiled_in(name: &str) -> Option<Result<Arc<Pack>>> {
    static PACKS: [OnceLock<std::result::Result<Arc<Pack>, String>>; COMPILED_IN.len()] = [const { OnceLock::new() }; COMPILED_IN.len()];
    let i = COMPILED_IN.iter().position(|n| *n == name)?;
    let files = || match name {
        "base" => Files {
            manifest: model!("base/model.toml"),
            analysis: Some(model!("base/analysis.onnx")),
            synthesis: model!("base/synthesis.onnx"),
            prior: Some(model!("base/prior.safetensors")),
            lite: None,
            integers: Some(model!("base/networks.safetensors")),
            classification: None,
        },
        _ => Files {
            manifest: model!("lite/model.toml"),
            analysis: None,
            synthesis: model!("lite/synthesis.onnx"),
            prior: None,
            lite: Some(model!("lite/lite.safetensors")),
            integers: None,
            classification: Some(model!("lite/classification.onnx")),
        },
    };
    Some(PACKS[i].get_or_init(|| Pack::build(files()).map(Arc::new).map_err(reason)).clone().map_err(Error::Pack))
}

impl Pack {
    /// By name: one of [`COMPILED_IN`], or a folder of that name in [`search_path`]; or a path to a folder.
    pub fn open(name: &str) -> Result<Arc<Pack>> {
        if let Some(pack) = compiled_in(name) {
            return pack;
        }
        if name.contains('/') {
            return Pack::read(Path::new(name)).map(Arc::new);
        }
        for folder in search_path() {
            if folder.join(name).is_dir() {
                return Pack::read(&folder.join(name)).map(Arc::new);
            }
        }
        let folders = search_path_text();
        Err(Error::Pack(format!(
            "there is no pack {name:?}: {} are compiled in; others are looked for in {folders}",
            COMPILED_IN.map(|n| format!("{n:?}")).join(" and ")
        )))
    }

    /// The pack that a stream names. Its id decides; its name is where to look.
    pub fn for_stream(name: &str, id: &[u8; 16]) -> Result<Arc<Pack>> {
        let fits = |p: &Arc<Pack>| p.id[..16] == id[..];
        if let Some(p) = COMPILED_IN.iter().filter_map(|n| compiled_in(n)?.ok()).find(fits) {
            return Ok(p);
        }
        // A name out of a stream never becomes a path.
        let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        for folder in search_path() {
            let mut folders = vec![];
            if plain {
                folders.push(folder.join(name));
            }
            folders.extend(std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|e| e.path()));
            for f in folders {
                if let Some(p) = f.is_dir().then(|| Pack::read(&f).ok()).flatten().map(Arc::new).filter(fits) {
                    return Ok(p);
                }
            }
        }
        let hex = id.iter().map(|b| format!("{b:02x}")).collect();
        Err(Error::UnknownPack { name: name.into(), id: hex, searched: search_path_text() })
    }

    fn read(folder: &Path) -> Result<Pack> {
        let file = |n: &str| {
            let p = folder.join(n);
            std::fs::read(&p).map(Cow::Owned).map_err(|e| Error::Pack(format!("{}: {e}", p.display())))
        };
        let is_lite = folder.join("lite.safetensors").exists();
        let (of_lite, of_others) = (|n: &str| is_lite.then(|| file(n)).transpose(), |n: &str| (!is_lite).then(|| file(n)).transpose());
        let files = Files {
            integers: if is_lite { None } else { file("networks.safetensors").ok() },
            manifest: file("model.toml")?,
            analysis: of_others("analysis.onnx")?,
            synthesis: file("synthesis.onnx")?,
            prior: of_others("prior.safetensors")?,
            lite: of_lite("lite.safetensors")?,
            classification: file("classification.onnx").ok(),
        };
        Pack::build(files).map_err(|e| Error::Pack(format!("{}: {}", folder.display(), reason(e))))
    }

    fn build(f: Files) -> Result<Pack> {
        let text = std::str::from_utf8(&f.manifest).map_err(|_| Error::Pack("model.toml is not UTF-8".into()))?;
        let manifest: Manifest = toml::from_str(text).map_err(|e| Error::Pack(format!("model.toml: {e}")))?;
        if manifest.format != MANIFEST_FORMAT {
            return Err(Error::Pack(format!("format {} of packs; this version reads {MANIFEST_FORMAT}", manifest.format)));
        }
        // The card may be corrected without making a pack another one: only what computes is hashed.
        let mut hash = blake3::Hasher::new();
        let mut bytes = 0;
        for part in f.analysis.iter().chain([&f.synthesis]).chain(&f.prior).chain(&f.lite).chain(&f.integers) {
            hash.update(&(part.len() as u64).to_le_bytes()).update(part);
            bytes += part.len() as u64;
        }
        let prior = f.prior.map(|p| Prior::parse(&p)).transpose()?;
        let lite = f.lite.map(|l| Lite::parse(&l)).transpose()?.map(Arc::new);
        let channels = prior.as_ref().map_or(lite::CHANNELS, |p| p.channels);
        let integers = f.integers.map(|i| Integers::parse(&i, channels)).transpose()?;
        if prior.as_ref().is_some_and(|p| p.motion.is_some()) && integers.is_none() {
            return Err(Error::Pack("a prior for kind motion without networks.safetensors".into()));
        }
        let (name, card, id) = (manifest.name, manifest.card, hash.finalize().into());
        Ok(Pack {
            name,
            id,
            analysis: f.analysis.unwrap_or_default(),
            synthesis: f.synthesis,
            classification: f.classification,
            integers,
            prior,
            lite,
            channels,
            card,
            bytes,
        })
    }

    /// The prior of any pack but a lite one: callers have looked at `lite` before.
    pub(crate) fn prior(&self) -> &Prior {
        self.prior.as_ref().expect("not a lite pack")
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// A sensor without a network: no slices of kind `motion`, no regions of interest, one thread.
    pub fn is_lite(&self) -> bool {
        self.lite.is_some()
    }

    pub fn card(&self) -> &Card {
        &self.card
    }

    /// Size of the networks, the prior and their tables.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// BLAKE3 of the networks and the prior.
    pub fn id(&self) -> &[u8; 32] {
        &self.id
    }

    pub(crate) fn short_id(&self) -> [u8; 16] {
        self.id[..16].try_into().expect("16 of 32 bytes")
    }
}

/// An error's text without what Error::Pack puts before it.
fn reason(e: Error) -> String {
    match e {
        Error::Pack(s) => s,
        e => e.to_string(),
    }
}

/// Folders searched for packs: those of `$LIC_MODELS` (separated by colons), `~/.local/share/lic/models`,
/// `/usr/local/share/lic/models`, `/usr/share/lic/models`.
pub fn search_path() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::env::var_os("LIC_MODELS").iter().flat_map(std::env::split_paths).collect();
    folders.extend(std::env::var_os("HOME").map(|h| Path::new(&h).join(".local/share/lic/models")));
    folders.extend(["/usr/local/share/lic/models", "/usr/share/lic/models"].map(PathBuf::from));
    folders
}

fn search_path_text() -> String {
    search_path().iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
}
