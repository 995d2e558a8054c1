//! Elements on a CUDA device, without one: a library takes the driver's place, kernels are emulated. Each case in a process of its own.
#![cfg(target_arch = "x86_64")] // where the emulation is built

mod common;

use common::*;
use gst::prelude::*;
use gst_check::Harness;
use gst_video::VideoFormat;
use std::process::Command;

const W: u32 = 80;
const H: u32 = 64;

/// What the [`child`] says with these elements and settings of the driver.
fn said(driver: bool, encoder: &str, decoder: &str, settings: &[(&str, &str)]) -> String {
    let code = std::env::temp_dir().join(format!("lic-backend-{}", std::process::id()));
    std::fs::create_dir_all(&code).unwrap();
    // The stub runs the kernels that it was built with, whatever it is given.
    std::fs::write(code.join(lic_cuda::file_name("sm_90")), b".version of no consequence").unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--ignored", "--nocapture"]);
    command.env("LD_LIBRARY_PATH", if driver { lic_emulation::STUB_DRIVER } else { "/nowhere" });
    command.env("LIC_CUDA_CODE", &code).env("ENCODER", encoder).env("DECODER", decoder);
    command.envs(settings.iter().copied());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text.lines().filter_map(|l| l.split_once("said: ")).map(|l| l.1).collect::<Vec<_>>().join("\n")
}

/// An element, playing; says what is wrong instead where it does not start.
fn playing(name: &str, backend: &str) -> Option<(Harness, gst::Bus)> {
    let element = gst::ElementFactory::make(name).property_from_str("backend", backend).build().unwrap();
    if name == "licenc" {
        element.set_property("model", "tiny-motion");
    }
    let bus = watch(&element);
    // A harness does not survive an element that does not start.
    if element.set_state(gst::State::Paused).is_err() {
        println!("\nsaid: {}", message(&bus).unwrap_or_default());
        return None;
    }
    element.set_state(gst::State::Null).unwrap();
    while message(&bus).is_some() {}
    let mut h = Harness::with_element(&element, Some("sink"), Some("src"));
    h.play();
    Some((h, bus))
}

/// Codes and decodes some frames; says errors and warnings of the elements, and how the pictures differ from the CPU's.
#[test]
#[ignore = "run by the others"]
fn child() {
    init();
    let named = |v: &str| std::env::var(v).unwrap();
    let Some((mut e, e_bus)) = playing("licenc", &named("ENCODER")) else { return };
    let Some((mut d, d_bus)) = playing("licdec", &named("DECODER")) else { return };
    let (mut cpu, _) = playing("licdec", "cpu").unwrap();
    e.set_src_caps(info(VideoFormat::I420, W, H).to_caps().unwrap());
    let mut alike = Vec::new();
    for n in 0..5 {
        if e.push(i420(W, H, n)).is_err() {
            break;
        }
        for frame in pull_all(&mut e) {
            for h in [&mut d, &mut cpu].into_iter().filter(|_| n == 0) {
                h.set_src_caps(caps_of(&e));
            }
            if d.push(frame.clone()).is_err() {
                break;
            }
            cpu.push(frame).unwrap();
            let [a, b] = [&mut d, &mut cpu].map(|h| pull_all(h).iter().map(bytes).collect::<Vec<_>>());
            alike.push(!a.is_empty() && a == b);
        }
    }
    println!();
    for bus in [e_bus, d_bus] {
        while let Some(text) = message(&bus) {
            println!("said: {text}");
        }
    }
    println!("said: {} pictures, all alike: {}", alike.len(), alike.iter().all(|a| *a));
}

#[test]
fn both_on_a_device() {
    for (e, d) in [("cuda", "cuda"), ("cpu", "cuda"), ("cuda", "cpu"), ("auto", "auto")] {
        assert_eq!(said(true, e, d, &[]), "5 pictures, all alike: true", "{e} {d}");
    }
}

#[test]
fn no_driver() {
    // A machine with a driver of its own finds that one.
    if std::path::Path::new("/dev/nvidiactl").exists() {
        return;
    }
    assert_eq!(said(false, "auto", "auto", &[]), "5 pictures, all alike: true");
    assert!(said(false, "cuda", "cpu", &[]).starts_with("no NVIDIA driver"));
    assert!(said(false, "cpu", "cuda", &[]).starts_with("no NVIDIA driver"));
}

#[test]
fn a_device_that_cannot_be_used() {
    for (setting, text) in
        [(("LIC_STUB_VERSION", "11040"), "the NVIDIA driver is for CUDA 11.4"), (("LIC_STUB_MEMORY", "5000"), "out of memory")]
    {
        let auto = said(true, "cpu", "auto", &[setting]);
        assert!(auto.contains(text) && auto.ends_with("5 pictures, all alike: true"), "{auto}");
        let cuda = said(true, "cpu", "cuda", &[setting]);
        assert!(cuda.contains(text) && !cuda.contains("5 pictures"), "{cuda}");
    }
    assert!(said(true, "cpu", "cuda", &[("LIC_STUB_DEVICES", "0")]).starts_with("no CUDA device 0"));
}

#[test]
fn a_device_that_is_lost() {
    let lost = [("LIC_STUB_LAUNCHES", "8")];
    for (e, d) in [("cpu", "auto"), ("auto", "cpu")] {
        let text = said(true, e, d, &lost);
        assert!(text.contains("the device is lost") && text.contains("the CPU computes from now on"), "{text}");
        assert!(text.ends_with("5 pictures, all alike: true"), "{text}");
    }
    for (e, d) in [("cpu", "cuda"), ("cuda", "cpu")] {
        let text = said(true, e, d, &lost);
        assert!(text.contains("the device is lost") && !text.contains("5 pictures, all alike: true"), "{text}");
    }
}
