//! ONNX Runtime, found on this machine by an explicit search: no build step and no environment is required.

use crate::error::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// ONNX Runtime, loaded once a process.
#[derive(Clone)]
pub struct Runtime {
    pub(crate) environment: ort::environment::Environment,
    path: PathBuf,
}

static LOADED: Mutex<Option<Runtime>> = Mutex::new(None);

impl Runtime {
    /// Looks for libonnxruntime: `$ORT_DYLIB_PATH`, beside this library or program, in `../lic` or `../lib/<triplet>/lic` from there,
    /// `~/.cache/lic/onnxruntime`, system folders.
    /// The error says what to install.
    pub fn find() -> Result<Runtime> {
        let mut loaded = LOADED.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(r) = &*loaded {
            return Ok(r.clone());
        }
        let mut tried = Vec::new();
        for path in candidates() {
            match load(&path) {
                Ok(r) => {
                    *loaded = Some(r.clone());
                    return Ok(r);
                }
                Err(e) => tried.push(format!("{}: {e}", path.display())),
            }
        }
        let tried = if tried.is_empty() { String::new() } else { format!(" (tried: {})", tried.join("; ")) };
        Err(Error::Runtime(format!(
            "ONNX Runtime 1.17 or later was not found{tried}. Install it with: pip download --no-deps onnxruntime && \
             unzip -j onnxruntime-*.whl 'onnxruntime/capi/libonnxruntime.so*' -d ~/.cache/lic/onnxruntime - or set \
             ORT_DYLIB_PATH to the path of libonnxruntime.so"
        )))
    }

    /// The file it was loaded from, links followed.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says of its build: version, commit.
    pub fn build(&self) -> &'static str {
        ort::info()
    }
}

fn load(path: &Path) -> std::result::Result<Runtime, String> {
    let builder = ort::init_from(path).map_err(|e| e.to_string())?;
    let environment = builder.with_telemetry(false).build().map_err(|e| e.to_string())?;
    Ok(Runtime { environment, path: path.canonicalize().unwrap_or_else(|_| path.into()) })
}

/// Files to try, best first. Only existing ones, so that a failure names a real file.
fn candidates() -> Vec<PathBuf> {
    if let Some(p) = std::env::var_os("ORT_DYLIB_PATH").filter(|p| !p.is_empty()) {
        return vec![p.into()]; // a user's explicit choice is never overruled
    }
    let mut folders: Vec<PathBuf> = own_folder().into_iter().collect();
    // Where a package puts it: in `lic`, beside the folder of plugins.
    folders.extend(own_folder().and_then(|f| Some(f.parent()?.join("lic"))));
    // The same as a program in bin sees it.
    let arch = std::env::consts::ARCH;
    folders.extend(own_folder().and_then(|f| Some(f.parent()?.join(format!("lib/{arch}-linux-gnu/lic")))));
    if let Some(home) = std::env::var_os("HOME") {
        folders.push(Path::new(&home).join(".cache/lic/onnxruntime"));
    }
    folders.extend(
        [format!("/usr/lib/{arch}-linux-gnu"), "/usr/local/lib".into(), "/usr/lib".into(), "/opt/onnxruntime/lib".into()]
            .map(PathBuf::from),
    );
    folders.iter().flat_map(|f| libraries(f, 1)).collect()
}

/// libonnxruntime.so* in a folder and, `depth` levels down, in its folders; newest name first.
fn libraries(folder: &Path, depth: usize) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let (mut files, mut deeper) = (Vec::new(), Vec::new());
    for path in entries.flatten().map(|e| e.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("libonnxruntime.so") {
            files.push(path);
        } else if depth > 0 && folder.ends_with("onnxruntime") && path.is_dir() {
            deeper.extend(libraries(&path, depth - 1));
        }
    }
    files.extend(deeper);
    files.sort();
    files.reverse();
    files
}

/// The folder of the shared object or program that this code is in.
pub(crate) fn own_folder() -> Option<PathBuf> {
    let here = own_folder as *const () as usize;
    // The kernel's own table of mappings: no FFI, and it works for a plugin as well as for a program.
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    for line in maps.lines() {
        let mut fields = line.splitn(6, ' ');
        let (from, to) = fields.next()?.split_once('-')?;
        let range = usize::from_str_radix(from, 16).ok()?..usize::from_str_radix(to, 16).ok()?;
        if range.contains(&here) {
            return Path::new(fields.nth(4)?.trim_start()).parent().map(Path::to_path_buf);
        }
    }
    None
}
