//! Code for a device: made before, or by NVRTC when the device is opened.

use crate::Result;
use crate::nvrtc;
use crate::source::{OPTIONS, source};
use std::path::{Path, PathBuf};

/// Where the device's code comes from.
pub enum Kernels {
    /// From one of these folders or the user's cache if the code there is of these sources; else NVRTC compiles it, and it is kept in the cache.
    Find(Vec<PathBuf>),
    /// A cubin or PTX made before.
    Made(Vec<u8>),
}

/// The file's name of code of these sources for an architecture: a cubin for a device (as `sm_90`), PTX for all from one on (as `compute_75`).
pub fn file_name(arch: &str) -> String {
    let key = blake3::hash(format!("{OPTIONS:?}\n{}", source()).as_bytes()).to_hex();
    format!("lic-{}-{arch}.{}", &key[..16], if arch.starts_with("sm_") { "cubin" } else { "ptx" })
}

/// Architectures whose code devices of `major`.`minor` run, best first: their own, smaller ones of the same generation (but Orin's, which are
/// its own), then PTX.
fn suitable(major: i32, minor: i32) -> Vec<String> {
    let mut all = vec![format!("sm_{major}{minor}")];
    all.extend((0..minor).rev().filter(|m| (major, *m) != (8, 7)).map(|m| format!("sm_{major}{m}")));
    all.extend((75..=10 * major + minor).rev().map(|a| format!("compute_{a}")));
    all
}

/// Where compiled code is kept: `$XDG_CACHE_HOME/lic/cuda`, `~/.cache/lic/cuda`.
pub fn cache() -> Option<PathBuf> {
    let named = |v| std::env::var_os(v).map(PathBuf::from);
    Some(named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(".cache")))?.join("lic").join("cuda"))
}

/// The best code in these folders.
fn made<'a>(folders: impl Iterator<Item = &'a PathBuf> + Clone, major: i32, minor: i32) -> Option<Vec<u8>> {
    let read = |arch: &String| {
        let name = file_name(arch);
        folders.clone().find_map(|f| std::fs::read(f.join(&name)).ok())
    };
    suitable(major, minor).iter().find_map(read)
}

/// Code for a device of `major`.`minor`.
pub(crate) fn find(folders: &[PathBuf], major: i32, minor: i32) -> Result<Vec<u8>> {
    let cache = cache();
    if let Some(code) = made(folders.iter().chain(&cache), major, minor) {
        return Ok(code);
    }
    let arch = format!("sm_{major}{minor}");
    let code = nvrtc::compile(&arch)?;
    if let Some(cache) = cache {
        // Without a cache the next start compiles again.
        let _ = keep(&cache.join(file_name(&arch)), &code);
    }
    Ok(code)
}

/// Whole or not at all, whoever else writes it.
fn keep(file: &Path, code: &[u8]) -> std::io::Result<()> {
    std::fs::create_dir_all(file.parent().expect("in a folder"))?;
    let part = file.with_extension(format!("{}.part", std::process::id()));
    std::fs::write(&part, code)?;
    std::fs::rename(&part, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_of_the_same_generation_is_suitable() {
        let all = suitable(8, 9);
        assert_eq!(all[..3], ["sm_89", "sm_88", "sm_86"]);
        assert!(all.contains(&"sm_80".into()) && all.contains(&"compute_75".into()));
        assert!(!suitable(9, 0).iter().any(|a| a.starts_with("sm_8")));
        assert_eq!(suitable(8, 7)[0], "sm_87");
        assert!(file_name("sm_90").ends_with("-sm_90.cubin") && file_name("compute_75").ends_with(".ptx"));
    }

    #[test]
    fn code_in_a_folder_is_taken() {
        let folder = std::env::temp_dir().join(format!("lic-code-{}", std::process::id()));
        keep(&folder.join(file_name("sm_80")), b"eighty").unwrap();
        keep(&folder.join(file_name("compute_75")), b"text").unwrap();
        let found = |major, minor| made([&folder].into_iter(), major, minor);
        assert_eq!((found(8, 6), found(12, 0), found(7, 0)), (Some(b"eighty".to_vec()), Some(b"text".to_vec()), None));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
