//! Files and folders that get their names only when they are whole.

use crate::commands::Error;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// One output on its way: written beside its final name, then renamed. Dropped before, it leaves nothing.
pub struct Output {
    target: PathBuf,
    part: PathBuf,
    lock: PathBuf,
    _held: File,
}

impl Output {
    /// Takes the name; nobody else writes to it meanwhile. What an interrupted run left there goes.
    pub fn begin(target: &Path) -> Result<Output, Error> {
        let name = target.file_name().ok_or_else(|| format!("{}: not a name for a file", target.display()))?.to_string_lossy().into_owned();
        let folder = match target.parent() {
            Some(p) if !p.as_os_str().is_empty() => p.to_path_buf(),
            _ => PathBuf::from("."),
        };
        fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let lock = folder.join(format!(".{name}.lic-lock"));
        let held = take(&lock).map_err(|e| format!("{}: {e}", target.display()))?;
        let output = Output { target: target.to_path_buf(), part: folder.join(format!(".{name}.lic-part")), lock, _held: held };
        remove(&output.part).map_err(|e| format!("{}: {e}", output.part.display()))?;
        Ok(output)
    }

    /// Where to write.
    pub fn part(&self) -> &Path {
        &self.part
    }

    /// Everything is written: to the disk with it, and the name is given.
    pub fn finish(self) -> Result<(), Error> {
        let at = |e: io::Error| format!("{}: {e}", self.target.display());
        let part = File::open(&self.part).map_err(at)?;
        if self.part.is_dir() {
            // One sync for all files in it.
            rustix::fs::syncfs(&part).map_err(|e| at(e.into()))?;
            remove(&self.target).map_err(at)?;
        } else {
            part.sync_all().map_err(at)?;
        }
        fs::rename(&self.part, &self.target).map_err(at)?;
        let folder = self.part.parent().expect("it has one");
        File::open(folder).and_then(|f| f.sync_all()).map_err(at)?;
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        let _ = remove(&self.part);
        let _ = fs::remove_file(&self.lock);
    }
}

/// A file or a folder with what is in it, if it is there.
fn remove(path: &Path) -> io::Result<()> {
    let done = match fs::symlink_metadata(path) {
        Ok(m) if m.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(e) => Err(e),
    };
    done.or_else(|e| if e.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(e) })
}

/// A lock that its holder removes: whoever waited for the removed one begins again.
fn take(path: &Path) -> Result<File, String> {
    for _ in 0..100 {
        let file = File::options().create(true).truncate(false).write(true).open(path).map_err(|e| e.to_string())?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err("another run is writing it".into()),
            Err(TryLockError::Error(e)) => return Err(format!("its folder cannot be locked: {e}")),
        }
        let same = fs::metadata(path).is_ok_and(|m| file.metadata().is_ok_and(|f| (f.dev(), f.ino()) == (m.dev(), m.ino())));
        if same {
            return Ok(file);
        }
    }
    Err("its lock is taken and given back all the time".into())
}
