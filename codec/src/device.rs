//! Pictures on a CUDA device instead of the CPU: the same bits, whoever makes them.

mod entropy;

pub(crate) use entropy::{Entropy, OnSlice};

use crate::error::{Error, Result};
use crate::model::{Integers, Pack};
use crate::prior::Prior;
use lic_cuda::network::{Analysis, Synthesis, Workspace};
use lic_cuda::planes::DevicePlanes;
use lic_cuda::{Buffer, Gpu, Kernels, Machine, Places};
use lic_kernels::network::Position;
use lic_kernels::planes::Planes;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

/// A device for encoders and decoders; clones share it, its memory and what it says.
#[derive(Clone)]
pub struct Device {
    shared: Arc<Shared>,
}

struct Shared {
    machine: Arc<dyn Machine>,
    /// Whether the CPU goes on where the device fails.
    or_cpu: bool,
    failure: Mutex<Option<String>>,
    /// Networks by their pack's id.
    made: Mutex<Vec<([u8; 32], Weak<OnDevice>)>>,
}

fn failed(e: lic_cuda::Error) -> Error {
    match e {
        lic_cuda::Error::NoDriver | lic_cuda::Error::NoDevice { .. } => Error::NoDevice(e.to_string()),
        e => Error::Device(e.to_string()),
    }
}

/// Devices that are open: their index, whether the CPU may go on, and they.
static OPEN: Mutex<Vec<(usize, bool, Weak<Shared>)>> = Mutex::new(Vec::new());

/// Nothing panics while a lock is held that would leave what it guards half done.
fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(|e| e.into_inner())
}

impl Device {
    /// The CUDA device of this index. `or_cpu`: where it fails later, the CPU goes on, and [`failure`](Device::failure) says why.
    /// Takes some tenths of a second; where there is no code for it yet, which NVRTC then compiles and the user's cache keeps, some seconds.
    /// All of a process that are alike share one.
    pub fn open(index: usize, or_cpu: bool) -> Result<Device> {
        let mut open = lock(&OPEN);
        open.retain(|o| o.2.strong_count() > 0);
        let same = open.iter().filter(|o| (o.0, o.1) == (index, or_cpu)).find_map(|o| o.2.upgrade());
        // One that failed is tried anew.
        if let Some(shared) = same.filter(|s| lock(&s.failure).is_none()) {
            return Ok(Device { shared });
        }
        let gpu = Gpu::open(index, Kernels::Find(code_folders())).map_err(failed)?;
        let device = Device::on(Arc::new(gpu), or_cpu);
        open.push((index, or_cpu, Arc::downgrade(&device.shared)));
        Ok(device)
    }

    /// On any machine that runs the kernels.
    pub fn on(machine: Arc<dyn Machine>, or_cpu: bool) -> Device {
        Device { shared: Arc::new(Shared { machine, or_cpu, failure: Mutex::default(), made: Mutex::default() }) }
    }

    /// What it is, for people.
    pub fn name(&self) -> String {
        self.shared.machine.name()
    }

    /// Why the CPU has taken over, if it has.
    pub fn failure(&self) -> Option<String> {
        lock(&self.shared.failure).clone()
    }

    /// The networks of a pack, if it has any that a device computes.
    pub(crate) fn networks(&self, pack: &Pack) -> Result<Option<Arc<OnDevice>>> {
        let Some(integers) = &pack.integers else { return Ok(None) };
        let mut made = lock(&self.shared.made);
        // They hold the device, so it does not hold them.
        made.retain(|m| m.1.strong_count() > 0);
        if let Some(networks) = made.iter().find(|m| m.0 == *pack.id()).and_then(|m| m.1.upgrade()) {
            return Ok(Some(networks));
        }
        let networks = match OnDevice::new(self.shared.clone(), integers, pack.prior()) {
            Ok(n) => Arc::new(n),
            Err(e) if self.shared.or_cpu => {
                *lock(&self.shared.failure) = Some(e.to_string());
                return Ok(None);
            }
            Err(e) => return Err(failed(e)),
        };
        made.push((*pack.id(), Arc::downgrade(&networks)));
        Ok(Some(networks))
    }
}

/// Where packages and users put code for devices: `$LIC_CUDA_CODE`, beside this library or in `../lic` from there.
fn code_folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::env::var_os("LIC_CUDA_CODE").map(PathBuf::from).into_iter().collect();
    if let Some(own) = crate::model::own_folder() {
        folders.extend(own.parent().map(|f| f.join("lic").join("cuda")));
        folders.push(own.join("cuda"));
    }
    folders
}

/// A pack's exact networks on a device, shared by its streams.
pub(crate) struct OnDevice {
    shared: Arc<Shared>,
    analysis: Analysis,
    synthesis: Synthesis,
    whole: Synthesis,
    /// Residual blocks of the analysis.
    blocks: usize,
    space: Mutex<Space>,
    /// None: layers of a shape that kernels do not take.
    entropy: Option<entropy::Layers>,
}

/// What lies on the device from one call to the next.
struct Space {
    work: Workspace,
    planes: Option<DevicePlanes>,
    latents: Option<Buffer>,
}

/// Which synthesis.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Which {
    /// Around what is coded, in bytes.
    Parts,
    /// Of frames without motion, in int16.
    Whole,
}

impl OnDevice {
    fn new(shared: Arc<Shared>, n: &Integers, prior: &Prior) -> lic_cuda::Result<OnDevice> {
        let machine = &shared.machine;
        let entropy = match entropy::Layers::new(machine, prior) {
            Err(lic_cuda::Error::Shape(_)) => None,
            layers => Some(layers?),
        };
        Ok(OnDevice {
            entropy,
            analysis: Analysis::new(machine, &n.analysis)?,
            synthesis: Synthesis::new(machine, &n.synthesis)?,
            whole: Synthesis::new(machine, &n.whole)?,
            blocks: n.analysis.layers().1.len(),
            space: Mutex::new(Space { work: Workspace::new(machine)?, planes: None, latents: None }),
            shared,
        })
    }

    /// What `f` computes on the device; None: the CPU has to, as the device failed and may be done without.
    pub fn attempt<T>(&self, f: impl FnOnce(&OnDevice) -> lic_cuda::Result<T>) -> Result<Option<T>> {
        if self.shared.or_cpu && lock(&self.shared.failure).is_some() {
            return Ok(None);
        }
        match f(self) {
            Ok(v) => Ok(Some(v)),
            Err(e) if self.shared.or_cpu => {
                lock(&self.shared.failure).get_or_insert(e.to_string());
                Ok(None)
            }
            Err(e) => Err(failed(e)),
        }
    }

    /// As [`lic_kernels::network::Analysis::run`].
    pub fn analyse(&self, planes: &Planes, lines: Range<usize>, wanted: &[u32]) -> lic_cuda::Result<Vec<f32>> {
        let (w, h, m) = (planes.width, 16 * lines.len(), self.analysis.latents());
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let machine = &self.shared.machine;
        let mut space = lock(&self.space);
        let Space { work, planes: there, latents } = &mut *space;
        let there = sized(machine, there, w, h)?;
        there.write_lines(planes, lines)?;
        let all = wanted.len() == w * h / 256 && wanted.iter().enumerate().all(|(i, &p)| i == p as usize);
        let places = if all {
            Places::all(w, h, 1)
        } else {
            let wanted: Vec<(usize, u32)> = wanted.iter().map(|&p| (0, p)).collect();
            Places::for_latents(machine, w, h, 1, &wanted, self.blocks)?
        };
        let out = room(machine, latents, 4 * wanted.len() * m)?;
        self.analysis.run(work, there, &places, wanted.len(), out)?;
        out.read_front(wanted.len() * m)
    }

    /// As [`lic_kernels::network::Synthesis::run`]; `latents`: `[positions][channels]`.
    pub fn synthesise(
        &self,
        which: Which,
        positions: &[Position],
        latents: &[f32],
        lines: Range<usize>,
        out: &mut Planes,
    ) -> lic_cuda::Result<()> {
        let (w, h) = (out.width, 16 * lines.len());
        if positions.is_empty() {
            return Ok(());
        }
        let machine = &self.shared.machine;
        let mut space = lock(&self.space);
        let Space { work, planes: there, latents: given } = &mut *space;
        let there = sized(machine, there, w, h)?;
        let given = room(machine, given, size_of_val(latents))?;
        given.write(latents)?;
        let all = positions.len() == w * h / 256 && positions.iter().enumerate().all(|(i, p)| *p == Position { at: i as u32, places: 15 });
        let places = if all {
            Places::all(w, h, 1)
        } else {
            // Samples of other places stay as they are.
            there.write_lines(out, lines.clone())?;
            let positions: Vec<(usize, Position)> = positions.iter().map(|&p| (0, p)).collect();
            Places::for_samples(machine, w, h, 1, &positions)?
        };
        let network = if which == Which::Whole { &self.whole } else { &self.synthesis };
        network.run(work, given, &places, there)?;
        there.read_lines(out, lines)
    }
}

/// Planes of this size, the ones that are there if they have it.
fn sized<'a>(machine: &Arc<dyn Machine>, slot: &'a mut Option<DevicePlanes>, w: usize, h: usize) -> lic_cuda::Result<&'a mut DevicePlanes> {
    if slot.as_ref().is_none_or(|p| (p.width, p.height) != (w, h)) {
        *slot = None;
        *slot = Some(DevicePlanes::for_size(machine, w, h, 1)?);
    }
    Ok(slot.as_mut().expect("made above"))
}

/// Room for so many bytes.
fn room<'a>(machine: &Arc<dyn Machine>, slot: &'a mut Option<Buffer>, bytes: usize) -> lic_cuda::Result<&'a mut Buffer> {
    if slot.as_ref().is_none_or(|b| b.len() < bytes) {
        *slot = None;
        *slot = Some(Buffer::new(machine, bytes)?);
    }
    Ok(slot.as_mut().expect("made above"))
}
