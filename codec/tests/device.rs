//! Streams whose pictures a device makes, here emulated: to the bit what the CPU makes of them, and the other way round.

#![cfg(target_arch = "x86_64")] // where the emulation is built

mod common;

use common::{MOVING, golden, runtime, tiny, tiny_motion};
use lic_codec::{Decoder, Device, Encoder, FrameParams, Inter, Region, Settings, bitstream};
use lic_cuda::{Error, Launch, Machine};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn emulated() -> Device {
    Device::on(Arc::new(lic_emulation::Host::default()), false)
}

/// CRC-32C of each picture.
fn pictures(stream: &[u8], device: Option<Device>) -> Vec<u32> {
    decoded(stream, device).into_iter().map(|d| d.1).collect()
}

/// CRC-32C of each frame's latents and picture.
fn decoded(stream: &[u8], device: Option<Device>) -> Vec<(u32, u32)> {
    let mut d = Decoder::new(&runtime(), 2).unwrap();
    d.set_device(device);
    let (mut at, mut out) = (0, vec![]);
    while let bitstream::Scan::Frame(h) = bitstream::scan(&stream[at..]) {
        let latents = d.decode(&stream[at..at + h.length]).unwrap().latents_crc;
        out.push((latents, crc32c::crc32c(&MOVING.picture(&mut d).concat())));
        at += h.length;
    }
    out
}

#[test]
fn golden_pictures_are_the_same() {
    tiny();
    let stream = std::fs::read(golden("shifted.lic")).unwrap();
    let text = std::fs::read_to_string(golden("shifted.crc")).unwrap();
    // Every second line is a picture's.
    let expect: Vec<u32> = text.lines().skip(1).step_by(2).map(|l| u32::from_str_radix(l, 16).unwrap()).collect();
    assert_eq!(pictures(&stream, Some(emulated())), expect);
}

#[test]
fn what_a_device_codes_the_cpu_decodes() {
    let settings = Settings { slices: 2, quality: 45.0, intra_refresh: 3, ..Settings::default() };
    let mut e = Encoder::on(tiny_motion(), &runtime(), MOVING.info(), settings, Some(&emulated())).unwrap();
    let stream: Vec<u8> = (0..6).flat_map(|t| MOVING.encode(&mut e, t, false).data).collect();
    assert_eq!(pictures(&stream, None), pictures(&stream, Some(emulated())));
}

/// Whatever says how finely a key frame is coded.
#[test]
fn key_frames_that_a_device_codes() {
    let settings = Settings { inter: Inter::None, quality: 45.0, ..Settings::default() };
    let roi = Region { x: 16, y: 16, width: 64, height: 48, delta_qp: -6.0 };
    for (settings, regions) in [
        (Settings { slices: 3, threads: 2, ..settings.clone() }, vec![]),
        (Settings { rdo: false, ..settings.clone() }, vec![]),
        (settings.clone(), vec![roi]),
        (Settings { bitrate: 60, ..settings.clone() }, vec![]),
        (Settings { max_frame_bytes: 300, ..settings.clone() }, vec![]),
    ] {
        let device = Arc::new(Fragile { host: Default::default(), left: AtomicUsize::new(usize::MAX) });
        let on = Device::on(device.clone(), false);
        let mut e = Encoder::on(tiny_motion(), &runtime(), MOVING.info(), settings.clone(), Some(&on)).unwrap();
        let frame = FrameParams { key: false, regions };
        let stream: Vec<u8> = (0..3).flat_map(|t| MOVING.encode_with(&mut e, t, &frame).unwrap().data).collect();
        let before = device.left.load(Ordering::Relaxed);
        let cpu = decoded(&stream, None);
        assert_eq!(before, device.left.load(Ordering::Relaxed));
        assert_eq!(cpu, decoded(&stream, Some(on)), "{settings:?}");
        // Entropy model and picture.
        assert!(before - device.left.load(Ordering::Relaxed) > 3 * 10, "{settings:?}");
    }
}

/// A device that is lost after some kernels.
struct Fragile {
    host: lic_emulation::Host,
    left: AtomicUsize,
}

impl Machine for Fragile {
    fn name(&self) -> String {
        "fragile".into()
    }

    fn allocate(&self, bytes: usize) -> lic_cuda::Result<u64> {
        self.host.allocate(bytes)
    }

    unsafe fn free(&self, at: u64) {
        // SAFETY: the caller's, as in all that follows.
        unsafe { self.host.free(at) }
    }

    fn lock(&self, bytes: usize) -> lic_cuda::Result<*mut u8> {
        self.host.lock(bytes)
    }

    unsafe fn unlock(&self, at: *mut u8, bytes: usize) {
        // SAFETY: as above.
        unsafe { self.host.unlock(at, bytes) }
    }

    unsafe fn upload(&self, from: &[u8], to: u64) -> lic_cuda::Result<()> {
        // SAFETY: as above.
        unsafe { self.host.upload(from, to) }
    }

    unsafe fn download(&self, from: u64, to: &mut [u8]) -> lic_cuda::Result<()> {
        // SAFETY: as above.
        unsafe { self.host.download(from, to) }
    }

    unsafe fn copy(&self, from: u64, to: u64, bytes: usize) -> lic_cuda::Result<()> {
        // SAFETY: as above.
        unsafe { self.host.copy(from, to, bytes) }
    }

    unsafe fn launch(&self, l: &Launch) -> lic_cuda::Result<()> {
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
        match left {
            // SAFETY: as above.
            Ok(_) => unsafe { self.host.launch(l) },
            Err(_) => Err(Error::Lost("pulled out".into())),
        }
    }

    fn finish(&self) -> lic_cuda::Result<()> {
        Ok(())
    }

    fn timed(&self, run: &mut dyn FnMut() -> lic_cuda::Result<()>) -> lic_cuda::Result<f32> {
        self.host.timed(run)
    }
}

/// Wherever in a frame that is.
#[test]
fn streams_are_whole_where_a_device_is_lost_while_it_codes() {
    let settings = Settings { inter: Inter::None, quality: 45.0, ..Settings::default() };
    for left in 0..50 {
        let device = Device::on(Arc::new(Fragile { host: Default::default(), left: AtomicUsize::new(left) }), true);
        let mut e = Encoder::on(tiny_motion(), &runtime(), MOVING.info(), settings.clone(), Some(&device)).unwrap();
        let stream: Vec<u8> = (0..3).flat_map(|t| MOVING.encode(&mut e, t, false).data).collect();
        assert!(device.failure().is_some(), "{left} kernels are enough for three frames");
        let expect = decoded(&stream, None);
        let fragile = Device::on(Arc::new(Fragile { host: Default::default(), left: AtomicUsize::new(left) }), true);
        assert_eq!(decoded(&stream, Some(fragile)), expect, "lost after {left} kernels");

        // Asked for a device and nothing else: it says so, and codes nothing.
        let strict = Device::on(Arc::new(Fragile { host: Default::default(), left: AtomicUsize::new(left) }), false);
        let mut e = Encoder::on(tiny_motion(), &runtime(), MOVING.info(), settings.clone(), Some(&strict)).unwrap();
        let refused = |t| MOVING.encode_with(&mut e, t, &FrameParams::default()).err();
        let said: Vec<String> = (0..3).filter_map(refused).map(|e| e.to_string()).collect();
        assert!(said.iter().any(|s| s.contains("the device is lost")), "{said:?} after {left} kernels");
    }
}

#[test]
fn the_cpu_goes_on_where_a_device_is_lost() {
    tiny();
    let stream = std::fs::read(golden("shifted.lic")).unwrap();
    let expect = pictures(&stream, None);
    let fragile = |or_cpu| Device::on(Arc::new(Fragile { host: Default::default(), left: AtomicUsize::new(25) }), or_cpu);
    let device = fragile(true);
    assert_eq!(pictures(&stream, Some(device.clone())), expect);
    assert!(device.failure().is_some_and(|f| f.contains("pulled out")), "{:?}", device.failure());

    // Asked for a device and nothing else: it says so.
    let mut d = Decoder::new(&runtime(), 1).unwrap();
    d.set_device(Some(fragile(false)));
    let (mut at, mut said) = (0, None);
    while let bitstream::Scan::Frame(h) = bitstream::scan(&stream[at..]) {
        if let Err(e) = d.decode(&stream[at..at + h.length]) {
            said.get_or_insert(e.to_string());
        }
        at += h.length;
    }
    assert!(said.as_ref().is_some_and(|s| s.contains("the device is lost")), "{said:?}");
}
