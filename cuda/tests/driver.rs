//! What is said where there is no driver, an old one, too little memory or a device that is lost: each in a process of its own, with a
//! library in the driver's place.

use lic_cuda::{Buffer, Gpu, Kernels, Machine};
use std::process::Command;
use std::sync::Arc;

/// What the [`child`] says with this driver and these settings of it.
fn said(driver: bool, settings: &[(&str, &str)]) -> String {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args(["--exact", "child", "--ignored", "--nocapture"]);
    command.env("LD_LIBRARY_PATH", if driver { lic_emulation::STUB_DRIVER } else { "/nowhere" });
    // No real driver takes the place of the one that is not there.
    command.envs(settings.iter().copied());
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter_map(|l| l.strip_prefix("said: ")).collect::<Vec<_>>().join("\n")
}

/// Opens a device and copies memory on it three times.
#[test]
#[ignore = "run by the others"]
fn child() {
    let opened = Gpu::open(0, Kernels::Made(b".version of no consequence".to_vec()));
    let run = opened.and_then(|gpu| {
        let machine: Arc<dyn Machine> = Arc::new(gpu);
        let from = Buffer::of(&machine, &[7u8; 4096])?;
        let to = Buffer::new(&machine, 4096)?;
        for _ in 0..3 {
            let args = [from.arg(), to.arg(), lic_cuda::Arg::Long(256)];
            let copy = lic_cuda::Launch { kernel: "copy", grid: [1, 1, 1], block: [256, 1, 1], shared: 0, args: &args };
            // SAFETY: the kernel's parameters; 256 pieces of 16 bytes are there.
            unsafe { machine.launch(&copy)? };
            println!("said: {:?}", &to.read::<u8>()?[4094..]);
        }
        Ok(())
    });
    println!();
    match run {
        Ok(()) => println!("said: well"),
        Err(e) => println!("said: {e}"),
    }
}

#[test]
fn a_device_computes() {
    assert_eq!(said(true, &[]), "[7, 7]\n[7, 7]\n[7, 7]\nwell");
}

#[test]
fn no_driver() {
    // A machine with a driver of its own finds that one.
    if !std::path::Path::new("/dev/nvidiactl").exists() {
        assert!(said(false, &[]).starts_with("no NVIDIA driver: libcuda.so.1 was not found"));
    }
}

#[test]
fn old_driver() {
    assert_eq!(said(true, &[("LIC_STUB_VERSION", "11040")]), "the NVIDIA driver is for CUDA 11.4, and 12.0 is needed: update it");
}

#[test]
fn no_device() {
    assert_eq!(said(true, &[("LIC_STUB_DEVICES", "0")]), "no CUDA device 0: there are 0");
}

#[test]
fn no_memory() {
    let expected = "out of memory on the device: 4096 more bytes were asked for";
    assert_eq!(said(true, &[("LIC_STUB_MEMORY", "5000")]), expected);
}

#[test]
fn lost_device() {
    let text = said(true, &[("LIC_STUB_LAUNCHES", "1")]);
    assert!(text.starts_with("[7, 7]\nthe device is lost (unspecified launch failure)"), "{text}");
}
