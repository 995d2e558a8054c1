//! The CUDA kernels of `../cuda` on the host, so that they are executed and compared with the CPU's functions where there is no GPU.
//!
//! `src/emulated.h` is the shim: threads are fibres, tensor core and other instructions are loops. What this cannot show: races
//! within a warp, memory that other threads do not see yet, and what only a device does (alignment traps, its limits).

use lic_cuda::{Error, Launch, Machine, Result};
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::HashMap;
use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::sync::Mutex;

unsafe extern "C" {
    fn lic_emulate(
        name: *const c_char,
        grid: *const c_uint,
        block: *const c_uint,
        shared: c_uint,
        parameters: *mut *mut c_void,
        sizes: *const c_uint,
        given: c_uint,
    ) -> c_int;
}

/// The folder of a driver library without a device, on whose path the dynamic linker finds it: see `src/driver.cpp`.
pub const STUB_DRIVER: &str = env!("LIC_STUB_DRIVER");

/// The host as a machine for kernels.
#[derive(Default)]
pub struct Host {
    allocated: Mutex<HashMap<u64, Layout>>,
}

impl Machine for Host {
    fn name(&self) -> String {
        "emulation on the host".into()
    }

    fn allocate(&self, bytes: usize) -> Result<u64> {
        let layout = Layout::from_size_align(bytes.max(1), 256).map_err(|_| Error::OutOfMemory { bytes })?;
        // SAFETY: at least one byte.
        let at = unsafe { alloc_zeroed(layout) } as u64;
        if at == 0 {
            return Err(Error::OutOfMemory { bytes });
        }
        self.allocated.lock().expect("nothing panics while it is held").insert(at, layout);
        Ok(at)
    }

    unsafe fn free(&self, at: u64) {
        let layout = self.allocated.lock().expect("nothing panics while it is held").remove(&at);
        // SAFETY: allocated with this layout, as the map says.
        unsafe { dealloc(at as *mut u8, layout.expect("allocated here")) }
    }

    fn lock(&self, bytes: usize) -> Result<*mut u8> {
        Ok(self.allocate(bytes)? as *mut u8)
    }

    unsafe fn unlock(&self, at: *mut u8, _: usize) {
        // SAFETY: the caller's.
        unsafe { self.free(at as u64) }
    }

    unsafe fn upload(&self, from: &[u8], to: u64) -> Result<()> {
        // SAFETY: the caller's.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), to as *mut u8, from.len()) };
        Ok(())
    }

    unsafe fn download(&self, from: u64, to: &mut [u8]) -> Result<()> {
        // SAFETY: the caller's.
        unsafe { std::ptr::copy_nonoverlapping(from as *const u8, to.as_mut_ptr(), to.len()) };
        Ok(())
    }

    unsafe fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<()> {
        // SAFETY: the caller's.
        unsafe { std::ptr::copy(from as *const u8, to as *mut u8, bytes) };
        Ok(())
    }

    unsafe fn launch(&self, l: &Launch) -> Result<()> {
        let name = CString::new(l.kernel).expect("a kernel's name");
        let mut values: Vec<[u8; 8]> = l.args.iter().map(|a| a.bytes().0).collect();
        let sizes: Vec<c_uint> = l.args.iter().map(|a| a.bytes().1 as c_uint).collect();
        let mut pointers: Vec<*mut c_void> = values.iter_mut().map(|v| v.as_mut_ptr() as *mut c_void).collect();
        // SAFETY: as many parameters and sizes as are said; what the kernel does with them is the caller's.
        let done = unsafe {
            lic_emulate(
                name.as_ptr(),
                l.grid.as_ptr(),
                l.block.as_ptr(),
                l.shared as c_uint,
                pointers.as_mut_ptr(),
                sizes.as_ptr(),
                sizes.len() as c_uint,
            )
        };
        match done {
            0 => Ok(()),
            1 => Err(Error::Kernel { kernel: l.kernel, why: "there is none of this name".into() }),
            _ => Err(Error::Kernel { kernel: l.kernel, why: "it takes other parameters".into() }),
        }
    }

    fn finish(&self) -> Result<()> {
        Ok(())
    }

    fn timed(&self, run: &mut dyn FnMut() -> Result<()>) -> Result<f32> {
        let began = std::time::Instant::now();
        run()?;
        Ok(began.elapsed().as_secs_f32() * 1e3)
    }
}
