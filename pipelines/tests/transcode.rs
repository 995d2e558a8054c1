//! Recordings to .lic and back, whole or not at all.

mod common;

use common::{Folder, clip, fails, lic, ok, said, text};
use lic_container::lic::Reader;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

fn times(lic: &Path) -> Vec<u64> {
    let mut r = Reader::open(File::open(lic).unwrap()).unwrap();
    let mut frames = r.frames(0).unwrap();
    std::iter::from_fn(|| frames.next().unwrap()).map(|f| f.time.unwrap()).collect()
}

/// Of every visible file below a folder.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut out = BTreeMap::new();
    for e in fs::read_dir(folder).unwrap().flatten() {
        let name = e.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        if e.path().is_dir() {
            out.extend(contents(&e.path()).into_iter().map(|(k, v)| (format!("{name}/{k}"), v)));
        } else {
            out.insert(name, fs::read(e.path()).unwrap());
        }
    }
    out
}

#[test]
fn a_clip_goes_to_lic_to_jpeg_and_back_with_its_times() {
    let f = Folder::new("forth");
    let (source, coded) = (f.at("a b.mp4"), f.at("out.lic"));
    clip(&f.at("made.mp4"), 40, 0);
    fs::rename(f.at("made.mp4"), &source).unwrap();
    let said = lic(&["transcode", source.to_str().unwrap(), "--to", "lic", "--out", coded.to_str().unwrap(), "--json"]).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    let o = &report["outputs"][0];
    assert_eq!((o["frames"].as_u64(), report["failed"].as_u64(), o["kept"].as_bool()), (Some(40), Some(0), Some(false)));
    assert!(o["warnings"][0].as_str().unwrap().contains("sound"), "{report}");
    // MP4 counts in 1/30000 s here.
    let expected: Vec<u64> = (0..40u64).map(|n| n * 1001 * 1_000_000_000 / 30000).collect();
    let got = times(&coded);
    assert!(got.iter().zip(&expected).all(|(a, b)| a.abs_diff(*b) <= 1), "{got:?}");
    let info: serde_json::Value = serde_json::from_str(&ok(&["info", "--json", coded.to_str().unwrap()])).unwrap();
    assert_eq!(
        (info[0]["frames"].as_u64(), info[0]["indexed"].as_bool(), info[0]["longest_group"].as_u64()),
        (Some(40), Some(true), Some(30))
    );
    assert_eq!((info[0]["notes"]["source"].as_str(), info[0]["streams"][0]["known"].as_bool()), (Some("a b.mp4"), Some(true)));
    assert!(ok(&["verify", "--latents", coded.to_str().unwrap()]).contains("whole"));

    ok(&["transcode", coded.to_str().unwrap(), "--to", "jpeg", "--out", f.at("jpeg").to_str().unwrap()]);
    let folder = f.at("jpeg").join("out");
    assert_eq!(contents(&folder).keys().filter(|k| k.ends_with(".jpg")).count(), 40);
    // Its times come back, through files that have none of their own.
    ok(&["transcode", folder.to_str().unwrap(), "--to", "lic", "--out", f.at("again.lic").to_str().unwrap()]);
    assert_eq!(times(&f.at("again.lic")), got);
    for (to, name) in [("mp4", "v.mp4"), ("mkv", "v.mkv")] {
        ok(&["transcode", source.to_str().unwrap(), "--to", to, "--out", f.at(name).to_str().unwrap()]);
        ok(&["transcode", f.at(name).to_str().unwrap(), "--to", "lic", "--out", f.at("v.lic").to_str().unwrap(), "--overwrite"]);
        assert_eq!(times(&f.at("v.lic")).len(), 40, "{to}");
    }
    // What elements read is what the file says.
    let parsed = Command::new(env!("CARGO_BIN_EXE_lic"))
        .args(["transcode", coded.to_str().unwrap(), "--to", "lic", "--out", f.at("c.lic").to_str().unwrap()])
        .status();
    assert!(parsed.unwrap().success());
    assert_eq!(times(&f.at("c.lic")), got);
}

#[test]
fn a_size_is_kept_and_effort_is_another_way_to_the_same() {
    let f = Folder::new("size");
    clip(&f.at("a.mp4"), 90, 0);
    let bytes = |options: &[&str]| {
        let out = f.at("a.lic");
        let mut all = vec!["transcode", f.0.to_str().unwrap(), "--to", "lic", "--out", f.0.to_str().unwrap(), "--overwrite"];
        let (source, target) = (f.at("a.mp4"), out.clone());
        (all[1], all[5]) = (source.to_str().unwrap(), target.to_str().unwrap());
        all.extend(options);
        ok(&all);
        assert_eq!(times(&out).len(), 90);
        fs::read(&out).unwrap()
    };
    let default = bytes(&[]);
    let max = bytes(&["--effort", "max"]);
    // How much smaller is for real pictures to say: docs/offline.md.
    assert!(max != default && max.len() < 2 * default.len());
    ok(&["verify", "--latents", f.at("a.lic").to_str().unwrap()]);
    let sized = bytes(&["--target-size", "5k"]).len();
    assert!((2_000..=5_500).contains(&sized), "{sized}");
}

/// Kills a batch at moments of all kinds, and lets it go on.
#[test]
fn a_killed_batch_resumes_to_the_same_bytes() {
    let f = Folder::new("kill");
    fs::create_dir_all(f.at("in/below")).unwrap();
    for i in 0..5 {
        clip(&f.at(&format!("in/{}c{i}.{}", if i > 2 { "below/" } else { "" }, if i % 2 == 0 { "mp4" } else { "mkv" })), 30, i);
    }
    let input = f.at("in");
    let run = |out: &Path, jobs: &str, to: &str| {
        let mut c = lic(&["transcode", input.to_str().unwrap(), "--to", to, "--out", out.to_str().unwrap(), "--jobs", jobs, "--resume"]);
        c.stdout(Stdio::null()).stderr(Stdio::null());
        c
    };
    let kills: u64 = std::env::var("LIC_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(6);
    for (to, jobs) in [("lic", ["1", "2"]), ("jpeg", ["2", "1"])] {
        let whole = f.at(&format!("whole-{to}"));
        assert!(run(&whole, jobs[0], to).status().unwrap().success());
        let expected = contents(&whole);
        let out = f.at(&format!("killed-{to}"));
        for i in 0..kills {
            let mut child = run(&out, jobs[1], to).spawn().unwrap();
            // Not a test of time: wherever it is then, nothing unfinished may have a final name.
            std::thread::sleep(Duration::from_millis(20 + i * 137 % 700));
            child.kill().unwrap();
            child.wait().unwrap();
            let there = if out.exists() { contents(&out) } else { BTreeMap::new() };
            assert!(there.iter().all(|(name, bytes)| expected.get(name) == Some(bytes)), "{:?}", there.keys());
            if i % 3 == 2 {
                fs::remove_dir_all(&out).unwrap();
            }
        }
        assert!(run(&out, jobs[1], to).status().unwrap().success());
        assert!(contents(&out) == expected, "{:?}", contents(&out).keys());
        // Once more: everything is kept.
        let kept = run(&out, "1", to).stdout(Stdio::piped()).output().unwrap();
        assert_eq!(text(&kept.stdout).matches("kept").count(), 5);
        let hidden: Vec<_> = fs::read_dir(&out).unwrap().flatten().filter(|e| e.file_name().to_string_lossy().starts_with('.')).collect();
        assert!(hidden.is_empty(), "{hidden:?}");
    }
}

#[test]
fn a_broken_input_stops_no_other_and_nothing_is_overwritten() {
    let f = Folder::new("broken");
    fs::create_dir_all(f.at("in")).unwrap();
    clip(&f.at("in/good.mp4"), 12, 1);
    fs::write(f.at("in/bad.mp4"), b"this is no video").unwrap();
    fs::write(f.at("in/bad2.lic"), b"nor this").unwrap();
    let (input, out) = (f.at("in"), f.at("out"));
    let arguments = ["transcode", input.to_str().unwrap(), "--to", "lic", "--out", out.to_str().unwrap()];
    let said = fails(&arguments);
    assert!(said.contains("bad.mp4") && said.contains("bad2.lic") && said.contains("2 of 3 failed"), "{said}");
    assert_eq!(contents(&out).keys().collect::<Vec<_>>(), ["good.lic"]);
    assert!(fails(&arguments).contains("--resume"));
    let mut other = arguments.to_vec();
    other.extend(["--resume", "--quality", "70"]);
    assert!(fails(&other).contains("other settings"));
    // An input that is also the output, and one that is not there.
    let same = out.join("good.lic");
    let arguments = ["transcode", same.to_str().unwrap(), "--to", "lic", "--out", same.to_str().unwrap(), "--overwrite"];
    let before = fs::read(&same).unwrap();
    assert!(fails(&arguments).contains("is an input") && fs::read(&same).unwrap() == before);
    assert!(fails(&["transcode", f.at("none").to_str().unwrap(), "--to", "lic", "--out", "x"]).contains("no such file"));
}

#[test]
fn full_and_read_only_disks_leave_no_file() {
    let f = Folder::new("full");
    clip(&f.at("a.mp4"), 30, 3);
    for to in ["lic", "mp4", "jpeg"] {
        // No file may grow beyond 4 KiB: what a full disk looks like from here.
        let line = format!(
            "trap '' XFSZ; ulimit -f 4; exec {} transcode {} --to {to} --out {}",
            env!("CARGO_BIN_EXE_lic"),
            f.at("a.mp4").display(),
            f.at("out").display()
        );
        let out = Command::new("bash").args(["-c", &line]).output().unwrap();
        let words = said(&out);
        assert!(words.contains("too large") || words.contains("space") || words.contains("write"), "{to}: {words}");
        assert!(fs::read_dir(f.at("out")).unwrap().next().is_none(), "{to}");
    }
    let words = fails(&["transcode", f.at("a.mp4").to_str().unwrap(), "--to", "lic", "--out", "/proc/lic-test/a.lic"]);
    assert!(words.contains("/proc/lic-test"), "{words}");
}

#[test]
fn two_runs_do_not_write_the_same_output() {
    let f = Folder::new("two");
    clip(&f.at("a.mp4"), 12, 2);
    let lock = File::create(f.at(".a.lic.lic-lock")).unwrap();
    lock.lock().unwrap();
    let arguments =
        ["transcode", f.at("a.mp4").to_str().unwrap(), "--to", "lic", "--out", f.at("a.lic").to_str().unwrap()].map(String::from);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    assert!(fails(&arguments).contains("another run"));
    assert!(!f.at("a.lic").exists());
    drop(lock);
    ok(&arguments);
}

#[test]
fn a_cut_file_gets_its_index_back() {
    let f = Folder::new("cut");
    clip(&f.at("a.mp4"), 40, 3);
    let path = f.at("a.lic");
    ok(&["transcode", f.at("a.mp4").to_str().unwrap(), "--to", "lic", "--out", path.to_str().unwrap()]);
    let whole = fs::read(&path).unwrap();
    let all = times(&path);
    fs::write(&path, &whole[..whole.len() * 2 / 3]).unwrap();
    assert!(fails(&["verify", path.to_str().unwrap()]).contains("no whole frame"));
    ok(&["info", "--reindex", path.to_str().unwrap()]);
    ok(&["verify", "--latents", path.to_str().unwrap()]);
    assert!(times(&path).len() > 20 && all.starts_with(&times(&path)));
    // A flipped bit within a frame is seen when latents are decoded.
    let mut flipped = whole.clone();
    let at = whole.len() / 3;
    flipped[at] ^= 0x10;
    fs::write(&path, flipped).unwrap();
    assert!(
        fails(&["verify", "--latents", path.to_str().unwrap()]).contains("cannot be decoded")
            || fails(&["verify", path.to_str().unwrap()]).contains("no whole frame")
    );
}
