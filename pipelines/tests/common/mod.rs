//! Folders of their own, clips that GStreamer makes, and the lic command.
#![allow(dead_code)] // each test uses some

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder that goes when the test ends.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("lic-test-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The command with arguments.
pub fn lic(arguments: &[&str]) -> Command {
    let mut c = Command::new(env!("CARGO_BIN_EXE_lic"));
    c.args(arguments);
    c
}

/// It must succeed: what it printed.
pub fn ok(arguments: &[&str]) -> String {
    let out = lic(arguments).output().unwrap();
    assert!(out.status.success(), "lic {arguments:?}: {}{}", text(&out.stdout), text(&out.stderr));
    text(&out.stdout)
}

/// It must fail with status 1: what it said.
pub fn fails(arguments: &[&str]) -> String {
    said(&lic(arguments).output().unwrap())
}

pub fn said(out: &Output) -> String {
    assert_eq!(out.status.code(), Some(1), "{}{}", text(&out.stdout), text(&out.stderr));
    text(&out.stdout) + &text(&out.stderr)
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A clip of a moving test picture with sound, by its ending; `seed` makes others of the same size.
pub fn clip(path: &Path, frames: u32, seed: u32) {
    let muxer = match path.extension().unwrap().to_str().unwrap() {
        "mp4" => "mp4mux",
        _ => "matroskamux",
    };
    let pattern = ["ball", "smpte", "pinwheel", "snow"][seed as usize % 4];
    let line = format!(
        "videotestsrc pattern={pattern} animation-mode=frames num-buffers={frames} ! video/x-raw,format=I420,width=160,height=96,framerate=30000/1001 ! \
         x264enc speed-preset=ultrafast ! h264parse ! {muxer} name=m ! filesink location={} audiotestsrc num-buffers={frames} ! avenc_aac ! m.",
        path.display()
    );
    let done = Command::new("gst-launch-1.0").arg("-q").args(line.split_whitespace()).status().unwrap();
    assert!(done.success(), "{line}");
}
