//! A CUDA device.

use crate::code::{Kernels, find};
use crate::{Arg, Error, Launch, Machine, Result};
use cudarc::driver::{CudaContext, CudaStream, result, sys};
use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::sync::{Arc, Mutex};

/// CUDA that the driver must know at least.
const NEEDED: i32 = 12_000;

/// One device with one stream: what is launched runs in that order.
pub struct Gpu {
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    module: sys::CUmodule,
    functions: Mutex<HashMap<&'static str, (usize, usize)>>,
    name: String,
}

// SAFETY: handles of the driver, which takes them from any thread that has bound the context.
unsafe impl Send for Gpu {}
// SAFETY: as above; the map of functions is behind a lock.
unsafe impl Sync for Gpu {}

fn version(v: i32) -> String {
    format!("{}.{}", v / 1000, v % 1000 / 10)
}

fn failed(e: result::DriverError) -> Error {
    use sys::cudaError_enum as e_;
    let what = e.error_string().ok().and_then(|s| s.to_str().ok()).map_or_else(|| format!("{:?}", e.0), str::to_string);
    match e.0 {
        e_::CUDA_ERROR_OUT_OF_MEMORY => Error::OutOfMemory { bytes: 0 },
        e_::CUDA_ERROR_ILLEGAL_ADDRESS
        | e_::CUDA_ERROR_LAUNCH_FAILED
        | e_::CUDA_ERROR_LAUNCH_TIMEOUT
        | e_::CUDA_ERROR_ECC_UNCORRECTABLE
        | e_::CUDA_ERROR_DEVICE_UNAVAILABLE
        | e_::CUDA_ERROR_CONTEXT_IS_DESTROYED
        | e_::CUDA_ERROR_ILLEGAL_INSTRUCTION
        | e_::CUDA_ERROR_MISALIGNED_ADDRESS
        | e_::CUDA_ERROR_INVALID_ADDRESS_SPACE
        | e_::CUDA_ERROR_INVALID_PC
        | e_::CUDA_ERROR_HARDWARE_STACK_ERROR
        | e_::CUDA_ERROR_ASSERT => Error::Lost(what),
        _ => Error::Driver(what),
    }
}

impl Gpu {
    /// The device of this index.
    pub fn open(index: usize, kernels: Kernels) -> Result<Gpu> {
        // SAFETY: only looks for the library and loads it.
        if !unsafe { sys::is_culib_present() } {
            return Err(Error::NoDriver);
        }
        let mut found = 0;
        // SAFETY: writes one int; works before any initialisation.
        unsafe { sys::cuDriverGetVersion(&mut found) }.result().map_err(failed)?;
        if found < NEEDED {
            return Err(Error::OldDriver { found: version(found), needed: version(NEEDED) });
        }
        result::init().map_err(|e| match e.0 {
            sys::cudaError_enum::CUDA_ERROR_NO_DEVICE => Error::NoDevice { index, count: 0 },
            _ => failed(e),
        })?;
        let count = result::device::get_count().map_err(failed)? as usize;
        if index >= count {
            return Err(Error::NoDevice { index, count });
        }
        let context = CudaContext::new(index).map_err(failed)?;
        let stream = context.new_stream().map_err(failed)?;
        let (major, minor) = context.compute_capability().map_err(failed)?;
        let name = format!("{} (sm_{major}{minor}, driver for CUDA {})", context.name().map_err(failed)?, version(found));
        let mut image = match kernels {
            Kernels::Made(image) => image,
            Kernels::Find(folders) => find(&folders, major, minor)?,
        };
        image.push(0); // PTX is a C string
        context.bind_to_thread().map_err(failed)?;
        // SAFETY: an image that ends in zero.
        let module = unsafe { result::module::load_data(image.as_ptr() as *const c_void) };
        let module = module.map_err(|e| Error::NoKernels(format!("the driver refuses the code: {}", failed(e))))?;
        Ok(Gpu { context, stream, module, functions: Mutex::default(), name })
    }

    fn bind(&self) -> Result<()> {
        self.context.bind_to_thread().map_err(failed)
    }

    /// The kernel, allowed so many bytes of shared memory.
    fn function(&self, kernel: &'static str, shared: usize) -> Result<sys::CUfunction> {
        let mut functions = self.functions.lock().expect("nothing panics while it is held");
        let refused = |e| Error::Kernel { kernel, why: failed(e).to_string() };
        let entry = match functions.get_mut(kernel) {
            Some(entry) => entry,
            None => {
                let name = CString::new(kernel).expect("a kernel's name");
                // SAFETY: the module is loaded as long as self lives.
                let f = unsafe { result::module::get_function(self.module, name) }.map_err(refused)?;
                // 48 KiB may be used without being asked for, some of them by arrays of fixed size.
                functions.entry(kernel).or_insert((f as usize, 40 << 10))
            }
        };
        let f = entry.0 as sys::CUfunction;
        if shared > entry.1 {
            let attribute = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            // SAFETY: a function of the module.
            unsafe { result::function::set_function_attribute(f, attribute, shared as i32) }.map_err(refused)?;
            entry.1 = shared;
        }
        Ok(f)
    }
}

impl Machine for Gpu {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn allocate(&self, bytes: usize) -> Result<u64> {
        self.bind()?;
        let short = |e| match failed(e) {
            Error::OutOfMemory { .. } => Error::OutOfMemory { bytes },
            other => other,
        };
        // SAFETY: fresh memory, cleared before anyone has its address.
        unsafe {
            let at = result::malloc_sync(bytes).map_err(short)?;
            result::memset_d8_async(at, 0, bytes, self.stream.cu_stream()).map_err(failed)?;
            Ok(at)
        }
    }

    unsafe fn free(&self, at: u64) {
        // Of a lost device nothing can be freed, and nobody could be told: what matters was reported by the call that lost it.
        if self.finish().is_ok() {
            // SAFETY: the caller's; all that used it is done.
            let _ = unsafe { result::free_sync(at) };
        }
    }

    fn lock(&self, bytes: usize) -> Result<*mut u8> {
        self.bind()?;
        // SAFETY: fresh memory.
        let at = unsafe { result::malloc_host(bytes, 0) };
        at.map(|p| p as *mut u8).map_err(|e| Error::Driver(format!("{bytes} page-locked bytes: {}", failed(e))))
    }

    unsafe fn unlock(&self, at: *mut u8, _: usize) {
        // Of a lost device nothing can be freed.
        if self.bind().is_ok() {
            // SAFETY: the caller's.
            let _ = unsafe { result::free_host(at as *mut c_void) };
        }
    }

    unsafe fn upload(&self, from: &[u8], to: u64) -> Result<()> {
        self.bind()?;
        // SAFETY: the caller's. The driver has read pageable memory before it returns.
        unsafe { result::memcpy_htod_async(to, from, self.stream.cu_stream()) }.map_err(failed)?;
        self.finish()
    }

    unsafe fn download(&self, from: u64, to: &mut [u8]) -> Result<()> {
        self.bind()?;
        // SAFETY: the caller's; waited for below.
        unsafe { result::memcpy_dtoh_async(to, from, self.stream.cu_stream()) }.map_err(failed)?;
        self.finish()
    }

    unsafe fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<()> {
        self.bind()?;
        // SAFETY: the caller's.
        unsafe { result::memcpy_dtod_async(to, from, bytes, self.stream.cu_stream()) }.map_err(failed)
    }

    unsafe fn launch(&self, l: &Launch) -> Result<()> {
        self.bind()?;
        let f = self.function(l.kernel, l.shared)?;
        let mut values: Vec<[u8; 8]> = l.args.iter().map(|a: &Arg| a.bytes().0).collect();
        let mut pointers: Vec<*mut c_void> = values.iter_mut().map(|v| v.as_mut_ptr() as *mut c_void).collect();
        let at = |d: [u32; 3]| (d[0], d[1], d[2]);
        // SAFETY: the caller's; the driver copies parameters before it returns.
        unsafe { result::launch_kernel(f, at(l.grid), at(l.block), l.shared as u32, self.stream.cu_stream(), &mut pointers) }
            .map_err(|e| Error::Kernel { kernel: l.kernel, why: failed(e).to_string() })
    }

    fn finish(&self) -> Result<()> {
        self.bind()?;
        self.stream.synchronize().map_err(failed)
    }

    fn timed(&self, run: &mut dyn FnMut() -> Result<()>) -> Result<f32> {
        self.bind()?;
        let event = || result::event::create(sys::CUevent_flags::CU_EVENT_DEFAULT).map_err(failed);
        let (began, ended) = (event()?, event()?);
        let stream = self.stream.cu_stream();
        // SAFETY: events made above, destroyed below and not used after.
        unsafe {
            let measured = (|| {
                result::event::record(began, stream).map_err(failed)?;
                run()?;
                result::event::record(ended, stream).map_err(failed)?;
                result::event::synchronize(ended).map_err(failed)?;
                result::event::elapsed(began, ended).map_err(failed)
            })();
            let _ = result::event::destroy(began);
            let _ = result::event::destroy(ended);
            measured
        }
    }
}

impl Drop for Gpu {
    fn drop(&mut self) {
        if self.finish().is_ok() {
            // SAFETY: nothing of it runs any more.
            let _ = unsafe { result::module::unload(self.module) };
        }
    }
}
