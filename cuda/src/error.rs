//! What can be wrong with a device.

/// Why a device does not compute.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no NVIDIA driver: libcuda.so.1 was not found (install the driver, or do without a GPU)")]
    NoDriver,
    #[error("the NVIDIA driver is for CUDA {found}, and {needed} is needed: update it")]
    OldDriver { found: String, needed: String },
    #[error("no CUDA device {index}: there are {count}")]
    NoDevice { index: usize, count: usize },
    #[error("out of memory on the device: {bytes} more bytes were asked for")]
    OutOfMemory { bytes: usize },
    #[error("the device is lost ({0}): nothing more can be computed on it by this process")]
    Lost(String),
    #[error("no kernels for the device: {0}")]
    NoKernels(String),
    #[error("kernel {kernel}: {why}")]
    Kernel { kernel: &'static str, why: String },
    #[error("CUDA: {0}")]
    Driver(String),
    #[error("{0}")]
    Shape(&'static str),
}

pub type Result<T> = std::result::Result<T, Error>;
