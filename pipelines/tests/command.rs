//! The subcommands that look at files and at this machine, and what all have in common.

mod common;

use common::{Folder, clip, fails, lic, ok, text};
use std::process::{Command, Stdio};

fn json(arguments: &[&str]) -> serde_json::Value {
    serde_json::from_str(&ok(arguments)).unwrap()
}

#[test]
fn compare_measures_pairs_and_plots() {
    let f = Folder::new("compare");
    let file = |name: &str| f.at(name).to_str().unwrap().to_string();
    clip(&f.at("a.mkv"), 24, 0);
    for (quality, out) in [("20", "low.lic"), ("90", "high.lic")] {
        ok(&["transcode", &file("a.mkv"), "--to", "lic", "--quality", quality, "--out", &file(out)]);
    }
    let same = json(&["compare", &file("a.mkv"), &file("a.mkv"), "--json"]);
    assert_eq!(same["frames"].as_u64(), Some(24));
    assert!((same["psnr_yuv"].as_f64().unwrap() - 68.13).abs() < 0.01, "{same}");
    assert!(same["ms_ssim"].is_null(), "160x96 is too small for it: {same}");
    let (low, high) = (
        json(&["compare", &file("a.mkv"), &file("low.lic"), "--json", "--plot", &file("p.svg")]),
        json(&["compare", &file("a.mkv"), &file("high.lic"), "--json"]),
    );
    assert!(low["psnr_y"].as_f64() < high["psnr_y"].as_f64() && low["b"]["bytes"].as_u64() < high["b"]["bytes"].as_u64(), "{low} {high}");
    assert_eq!(low["b"]["bytes"].as_u64(), Some(std::fs::metadata(f.at("low.lic")).unwrap().len()));
    let plot = std::fs::read_to_string(f.at("p.svg")).unwrap();
    let points = plot.split("points=\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(points.split_whitespace().count(), 24);
    // Two gray pictures that differ by a known step.
    for (name, level) in [("g.mkv", 100u32), ("h.mkv", 110)] {
        let colour = 0xff00_0000u32 | level << 16 | level << 8 | level;
        let line = format!(
            "videotestsrc pattern=solid-color foreground-color={colour} num-buffers=3 ! video/x-raw,format=GRAY8,width=192,height=192,framerate=10/1 ! \
             matroskamux ! filesink location={}",
            file(name)
        );
        assert!(Command::new("gst-launch-1.0").arg("-q").args(line.split_whitespace()).status().unwrap().success());
    }
    let gray = json(&["compare", &file("g.mkv"), &file("h.mkv"), "--json"]);
    // GRAY8 is full range or not by the converter: 10 steps of it are 9 or 10 of I420.
    let y = gray["psnr_y"].as_f64().unwrap();
    assert!((20.0 * (255.0f64 / 10.0).log10() - 0.01..20.0 * (255.0f64 / 8.0).log10() + 0.01).contains(&y), "{gray}");
    assert!(gray["ms_ssim"].as_f64().unwrap() > 0.9, "{gray}");

    assert!(fails(&["compare", &file("a.mkv"), &file("g.mkv")]).contains("160x96"));
    assert!(fails(&["compare", &file("a.mkv"), &file("none")]).contains("none"));
    assert!(fails(&["compare", &file("a.mkv"), &file("a.mkv"), "--plot", &file("p.png")]).contains(".svg"));
}

#[test]
fn compare_pairs_by_time() {
    let f = Folder::new("pairs");
    let file = |name: &str| f.at(name).to_str().unwrap().to_string();
    clip(&f.at("a.mkv"), 24, 0);
    clip(&f.at("b.mkv"), 10, 0);
    let r = json(&["compare", &file("a.mkv"), &file("b.mkv"), "--json"]);
    assert_eq!((r["frames"].as_u64(), r["a"]["alone"].as_u64(), r["b"]["alone"].as_u64()), (Some(10), Some(14), Some(0)), "{r}");
    // Half the frames: each has its partner.
    let line = format!(
        "filesrc location={} ! decodebin ! videorate ! video/x-raw,framerate=30000/2002 ! x264enc ! matroskamux ! filesink location={}",
        file("a.mkv"),
        file("half.mkv")
    );
    assert!(Command::new("gst-launch-1.0").arg("-q").args(line.split_whitespace()).status().unwrap().success());
    let r = json(&["compare", &file("a.mkv"), &file("half.mkv"), "--json"]);
    let (pairs, left) = (r["frames"].as_u64().unwrap(), r["a"]["alone"].as_u64().unwrap());
    assert!((11..=13).contains(&pairs) && pairs + left == 24, "{r}");
}

#[test]
fn bench_measures_what_is_there() {
    let f = Folder::new("bench");
    clip(&f.at("a.mkv"), 40, 2);
    let r = json(&["bench", f.at("a.mkv").to_str().unwrap(), "--frames", "40", "--json"]);
    assert_eq!((r["frames"].as_u64(), r["width"].as_u64()), (Some(40), Some(160)));
    let rows = r["codecs"].as_array().unwrap();
    assert_eq!(rows[0]["codec"].as_str(), Some("lic"));
    assert_eq!(rows.len() + r["left_out"].as_array().unwrap().len(), 4, "{r}");
    for row in rows {
        for number in ["/bytes_per_frame", "/psnr_y", "/psnr_yuv", "/encode/rate", "/decode/rate"] {
            assert!(row.pointer(number).unwrap().as_f64().unwrap() > 0.0, "{number}: {row}");
        }
        // At lic's quality on the same frames: on this picture quality follows the setting, in steps of less than a decibel.
        let [found, target] = ["psnr_yuv", "lic_psnr_yuv"].map(|n| row[n].as_f64().unwrap());
        assert!((found - target).abs() < 0.6, "{row}");
    }
}

#[test]
fn models_are_listed_with_what_they_are_for() {
    let all = json(&["models", "--json"]);
    let base = &all[0];
    assert_eq!((base["name"].as_str(), base["place"].as_str(), base["lite"].as_bool()), (Some("base"), Some("compiled in"), Some(false)));
    assert!(base["bytes"].as_u64() > Some(1 << 20) && base["licence"].as_str().unwrap().contains("non-commercial"));
    assert!(base["operating_range"].as_str().unwrap().contains("bits a pixel"));
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../models");
    let more = json(&["models", "--json", "--path", folder]);
    let read = more.as_array().unwrap().iter().find(|p| p["place"].as_str().unwrap().ends_with("models/base")).unwrap();
    assert_eq!(read["id"], base["id"]);
    assert!(fails(&["models", "--path", "/nonexistent"]).contains("model.toml"));
}

#[test]
fn doctor_says_what_is_missing() {
    let findings = json(&["doctor", "--json"]);
    let state =
        |what: &str| findings.as_array().unwrap().iter().find(|f| f["what"] == what).unwrap()["state"].as_str().unwrap().to_string();
    assert_eq!((state("gstreamer"), state("onnx"), state("speed")), ("found".into(), "found".into(), "found".into()));
    let out = lic(&["doctor"]).env("ORT_DYLIB_PATH", "/nonexistent/libonnxruntime.so").output().unwrap();
    assert_eq!(out.status.code(), Some(1));
    let said = text(&out.stdout);
    assert!(said.lines().any(|l| l.starts_with("!! onnx") && l.contains("/nonexistent/libonnxruntime.so")), "{said}");
}

#[test]
fn completions_and_man_pages_name_every_subcommand() {
    let f = Folder::new("man");
    ok(&["man", f.0.to_str().unwrap()]);
    for name in ["transcode", "info", "verify", "compare", "bench", "send", "receive", "list", "models", "doctor"] {
        assert!(text(&std::fs::read(f.at(&format!("lic-{name}.1"))).unwrap()).contains(".TH"), "{name}");
        for shell in ["bash", "zsh", "fish"] {
            assert!(ok(&["completions", shell]).contains(name), "{shell} {name}");
        }
        assert!(ok(&[name, "--help"]).contains("lic "), "{name}");
    }
    assert!(ok(&["--help"]).contains("Exit status: 0"));
}

#[test]
fn wrong_arguments_end_with_2_and_a_reader_that_leaves_with_nothing() {
    assert_eq!(lic(&["receive", "--frames", "0"]).output().unwrap().status.code(), Some(2));
    assert_eq!(lic(&[]).output().unwrap().status.code(), Some(2));
    // More than a pipe holds, and nobody reads.
    let mut child = lic(&["completions", "bash"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let out = child.wait_with_output().unwrap();
    assert_eq!((out.status.code(), text(&out.stderr).as_str()), (Some(0), ""));
}
