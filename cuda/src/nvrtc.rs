//! NVRTC, NVIDIA's compiler as a library, of CUDA 12 or 13: found at run time. (cudarc looks for the versions before 13 alone.)

use crate::source::{OPTIONS, source};
use crate::{Error, Result};
use libloading::{Library, Symbol};
use std::ffi::{CString, c_char, c_int, c_void};
use std::path::Path;

/// Where it is looked for: `$LIC_NVRTC`, a file, then where the dynamic linker looks, then where CUDA is installed.
const NAMES: [&str; 4] = ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so", "/usr/local/cuda/lib64/libnvrtc.so"];

type Program = *mut c_void;
type Size = unsafe extern "C" fn(Program, *mut usize) -> c_int;
type Text = unsafe extern "C" fn(Program, *mut c_char) -> c_int;

struct Nvrtc(Library);

fn no(what: impl std::fmt::Display) -> Error {
    Error::NoKernels(format!("NVRTC: {what}"))
}

impl Nvrtc {
    fn load() -> Result<Nvrtc> {
        if let Some(named) = std::env::var_os("LIC_NVRTC") {
            // SAFETY: the user names it: as trusted as what the linker finds.
            let library = unsafe { Library::new(&named) };
            return library.map(Nvrtc).map_err(|e| no(format!("LIC_NVRTC={}: {e}", Path::new(&named).display())));
        }
        // SAFETY: NVRTC does nothing when it is loaded.
        let found = NAMES.iter().find_map(|n| unsafe { Library::new(*n) }.ok());
        found.map(Nvrtc).ok_or_else(|| no("not found: install CUDA 12 or 13, or name the file in LIC_NVRTC"))
    }

    /// # Safety
    /// `T` is the function's type.
    unsafe fn function<T>(&self, name: &str) -> Result<Symbol<'_, T>> {
        // SAFETY: the caller's.
        unsafe { self.0.get(name.as_bytes()) }.map_err(no)
    }

    /// What `size` and `text` say of a program.
    fn read(&self, program: Program, size: &str, text: &str) -> Result<Vec<u8>> {
        let mut bytes = 0;
        // SAFETY: the functions' types as nvrtc.h has them; as many bytes are written as were asked for.
        unsafe {
            match self.function::<Size>(size)?(program, &mut bytes) {
                0 => {}
                e => return Err(no(format!("{size}: error {e}"))),
            }
            let mut to = vec![0u8; bytes];
            match self.function::<Text>(text)?(program, to.as_mut_ptr() as *mut c_char) {
                0 => Ok(to),
                e => Err(no(format!("{text}: error {e}"))),
            }
        }
    }

    fn compile(&self, source: &str, arch: &str) -> Result<Vec<u8>> {
        type Create =
            unsafe extern "C" fn(*mut Program, *const c_char, *const c_char, c_int, *const *const c_char, *const *const c_char) -> c_int;
        type Compile = unsafe extern "C" fn(Program, c_int, *const *const c_char) -> c_int;
        type Destroy = unsafe extern "C" fn(*mut Program) -> c_int;
        let source = CString::new(source).expect("no zero in the source");
        let arch = CString::new(format!("--gpu-architecture={arch}")).map_err(no)?;
        let others = OPTIONS.map(|o| CString::new(o).expect("no zero in an option"));
        let options: Vec<*const c_char> = std::iter::once(&arch).chain(&others).map(|o| o.as_ptr()).collect();
        let mut program = std::ptr::null_mut();
        // SAFETY: the functions' types as nvrtc.h has them; strings outlive the calls, and the program is destroyed once, at the end.
        unsafe {
            let (create, compile) = (self.function::<Create>("nvrtcCreateProgram")?, self.function::<Compile>("nvrtcCompileProgram")?);
            let destroy = self.function::<Destroy>("nvrtcDestroyProgram")?;
            let none = std::ptr::null();
            match create(&mut program, source.as_ptr(), c"lic.cu".as_ptr(), 0, none, none) {
                0 => {}
                e => return Err(no(format!("create: error {e}"))),
            }
            let made = match compile(program, options.len() as c_int, options.as_ptr()) {
                0 if arch.to_string_lossy().contains("=sm_") => self.read(program, "nvrtcGetCUBINSize", "nvrtcGetCUBIN"),
                0 => self.read(program, "nvrtcGetPTXSize", "nvrtcGetPTX"),
                e => {
                    let log = self.read(program, "nvrtcGetProgramLogSize", "nvrtcGetProgramLog").unwrap_or_default();
                    Err(no(format!("error {e}: {}", String::from_utf8_lossy(&log).trim_end_matches('\0'))))
                }
            };
            destroy(&mut program);
            made
        }
    }
}

/// Code of these sources for `arch`: a cubin for a device (as `sm_90`), PTX for all from one on (as `compute_90`).
pub fn compile(arch: &str) -> Result<Vec<u8>> {
    Nvrtc::load()?.compile(&source(), arch)
}
