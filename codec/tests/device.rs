//! Streams whose pictures a device makes, here emulated: to the bit what the CPU makes of them, and the other way round.

#![cfg(target_arch = "x86_64")] // where the emulation is built

mod common;

use common::{MOVING, golden, runtime, tiny, tiny_motion};
use lic_codec::{Decoder, Device, Encoder, Settings, bitstream};
use lic_cuda::{Error, Launch, Machine};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn emulated() -> Device {
    Device::on(Arc::new(lic_emulation::Host::default()), false)
}

/// CRC-32C of each picture.
fn pictures(stream: &[u8], device: Option<Device>) -> Vec<u32> {
    let mut d = Decoder::new(&runtime(), 2).unwrap();
    d.set_device(device);
    let (mut at, mut out) = (0, vec![]);
    while let bitstream::Scan::Frame(h) = bitstream::scan(&stream[at..]) {
        d.decode(&stream[at..at + h.length]).unwrap();
        out.push(crc32c::crc32c(&MOVING.picture(&mut d).concat()));
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
