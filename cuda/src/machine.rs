//! What runs kernels: memory, launches, order.

use crate::{Error, Result};
use std::sync::Arc;

/// One parameter of a kernel.
#[derive(Clone, Copy, Debug)]
pub enum Arg {
    Int(i32),
    Long(i64),
    Float(f32),
    /// An address on the machine; 0 is null.
    At(u64),
}

impl Arg {
    /// Its bytes, and how many of them count.
    pub fn bytes(self) -> ([u8; 8], usize) {
        match self {
            Arg::Int(v) => ((v as i64).to_le_bytes(), 4),
            Arg::Long(v) => (v.to_le_bytes(), 8),
            Arg::Float(v) => ((v.to_bits() as u64).to_le_bytes(), 4),
            Arg::At(v) => (v.to_le_bytes(), 8),
        }
    }
}

/// A kernel on so many threads.
#[derive(Clone, Copy, Debug)]
pub struct Launch<'a> {
    pub kernel: &'static str,
    pub grid: [u32; 3],
    pub block: [u32; 3],
    /// Bytes of shared memory beside the kernel's own.
    pub shared: usize,
    pub args: &'a [Arg],
}

/// Runs kernels one after the other, in the order in which they are launched.
pub trait Machine: Send + Sync {
    /// What it is, for people.
    fn name(&self) -> String;

    /// Zeroed memory.
    fn allocate(&self, bytes: usize) -> Result<u64>;

    /// # Safety
    /// `at` was allocated here, is not freed twice and not used any more.
    unsafe fn free(&self, at: u64);

    /// Memory of the host that the machine reads and writes without the system's help: copies are faster.
    fn lock(&self, bytes: usize) -> Result<*mut u8>;

    /// # Safety
    /// `at` is from [`lock`](Machine::lock), is not freed twice and not used any more.
    unsafe fn unlock(&self, at: *mut u8, bytes: usize);

    /// # Safety
    /// So many bytes from `to` on were allocated here.
    unsafe fn upload(&self, from: &[u8], to: u64) -> Result<()>;

    /// Waits for all that was launched.
    ///
    /// # Safety
    /// So many bytes from `from` on were allocated here.
    unsafe fn download(&self, from: u64, to: &mut [u8]) -> Result<()>;

    /// # Safety
    /// Both were allocated here with so many bytes.
    unsafe fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<()>;

    /// # Safety
    /// Parameters are those of the kernel, and what it reads and writes was allocated here.
    unsafe fn launch(&self, launch: &Launch) -> Result<()>;

    /// Waits for all that was launched.
    fn finish(&self) -> Result<()>;

    /// Milliseconds that what `run` launches takes on the machine.
    fn timed(&self, run: &mut dyn FnMut() -> Result<()>) -> Result<f32>;
}

/// Memory of a machine, freed when it is dropped.
pub struct Buffer {
    machine: Arc<dyn Machine>,
    at: u64,
    bytes: usize,
}

impl Buffer {
    /// Zeroed.
    pub fn new(machine: &Arc<dyn Machine>, bytes: usize) -> Result<Buffer> {
        Ok(Buffer { machine: machine.clone(), at: machine.allocate(bytes.max(16))?, bytes })
    }

    pub fn of<T: Plain>(machine: &Arc<dyn Machine>, values: &[T]) -> Result<Buffer> {
        let mut buffer = Buffer::new(machine, size_of_val(values))?;
        buffer.write(values)?;
        Ok(buffer)
    }

    pub fn machine(&self) -> &Arc<dyn Machine> {
        &self.machine
    }

    pub fn len(&self) -> usize {
        self.bytes
    }

    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    pub fn arg(&self) -> Arg {
        Arg::At(self.at)
    }

    /// The address of a byte.
    pub fn from(&self, byte: usize) -> Arg {
        assert!(byte <= self.bytes);
        Arg::At(self.at + byte as u64)
    }

    /// Fills the front.
    pub fn write<T: Plain>(&mut self, values: &[T]) -> Result<()> {
        let bytes = bytes_of(values);
        if bytes.len() > self.bytes {
            return Err(Error::Shape("a buffer is too small for what is written"));
        }
        // SAFETY: so many bytes are there.
        unsafe { self.machine.upload(bytes, self.at) }
    }

    /// So many values from its front.
    pub fn read_front<T: Plain>(&self, values: usize) -> Result<Vec<T>> {
        if values * size_of::<T>() > self.bytes {
            return Err(Error::Shape("a buffer is too small for what is read"));
        }
        let mut to = vec![T::default(); values];
        // SAFETY: plain values have no invalid bytes and no gaps; so many bytes are there.
        unsafe {
            let bytes = std::slice::from_raw_parts_mut(to.as_mut_ptr() as *mut u8, values * size_of::<T>());
            self.machine.download(self.at, bytes)?;
        }
        Ok(to)
    }

    /// The front of it, as much as `to` has.
    pub fn read_into(&self, to: &mut [u8]) -> Result<()> {
        if to.len() > self.bytes {
            return Err(Error::Shape("a buffer is too small for what is read"));
        }
        // SAFETY: so many bytes are there.
        unsafe { self.machine.download(self.at, to) }
    }

    /// The whole of it.
    pub fn read<T: Plain>(&self) -> Result<Vec<T>> {
        let mut values = vec![T::default(); self.bytes / size_of::<T>()];
        // SAFETY: plain values have no invalid bytes and no gaps.
        let bytes = unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr() as *mut u8, values.len() * size_of::<T>()) };
        // SAFETY: at most as many bytes are there.
        unsafe { self.machine.download(self.at, bytes)? };
        Ok(values)
    }

    /// All of `from`, which has the same size.
    pub fn copy(&mut self, from: &Buffer) -> Result<()> {
        assert_eq!(from.bytes, self.bytes);
        // SAFETY: both have so many bytes.
        unsafe { self.machine.copy(from.at, self.at, self.bytes) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: allocated in new, and gone after this.
        unsafe { self.machine.free(self.at) }
    }
}

/// Page-locked memory of the host.
pub struct Locked {
    machine: Arc<dyn Machine>,
    at: *mut u8,
    bytes: usize,
}

// SAFETY: memory that only this value refers to.
unsafe impl Send for Locked {}

impl Locked {
    /// Zeroed.
    pub fn new(machine: &Arc<dyn Machine>, bytes: usize) -> Result<Locked> {
        let at = machine.lock(bytes.max(1))?;
        // SAFETY: so many fresh bytes.
        unsafe { std::ptr::write_bytes(at, 0, bytes) };
        Ok(Locked { machine: machine.clone(), at, bytes })
    }
}

impl std::ops::Deref for Locked {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: allocated and written in new.
        unsafe { std::slice::from_raw_parts(self.at, self.bytes) }
    }
}

impl std::ops::DerefMut for Locked {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and nobody else has it.
        unsafe { std::slice::from_raw_parts_mut(self.at, self.bytes) }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // SAFETY: allocated in new, and gone after this. Copies are waited for where they are made.
        unsafe { self.machine.unlock(self.at, self.bytes.max(1)) }
    }
}

/// Numbers that memory of a machine holds.
///
/// # Safety
/// Any bytes are a value, and there are no gaps.
pub unsafe trait Plain: Copy + Default {}

macro_rules! plain {
    ($($t:ty),*) => { $(
        // SAFETY: a number.
        unsafe impl Plain for $t {}
    )* };
}
plain!(u8, i8, u16, i16, u32, i32, f32, u64, i64);

fn bytes_of<T: Plain>(values: &[T]) -> &[u8] {
    // SAFETY: plain values have no gaps.
    unsafe { std::slice::from_raw_parts(values.as_ptr() as *const u8, size_of_val(values)) }
}
