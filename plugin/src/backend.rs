//! What the networks of an element run on.

use crate::stream;
use gst::glib;
use gst::prelude::*;
use lic_codec::{Device, Error};
use std::sync::atomic::{AtomicBool, Ordering};

/// What computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstLicBackend")]
pub enum Backend {
    #[default]
    #[enum_value(name = "A CUDA device where there is one, else the CPU; warns of a device that cannot be used", nick = "auto")]
    Auto,
    #[enum_value(name = "The CPU", nick = "cpu")]
    Cpu,
    #[enum_value(name = "A CUDA device, and an error where there is none", nick = "cuda")]
    Cuda,
}

pub const DEFAULT_DEVICE: u32 = 0;

/// The properties `backend` and `device-id`.
pub fn properties() -> [glib::ParamSpec; 2] {
    [
        glib::ParamSpecEnum::builder_with_default("backend", Backend::default())
            .nick("Backend")
            .blurb("What the networks run on; pictures are the same")
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder("device-id")
            .nick("CUDA device")
            .blurb("Index of the CUDA device")
            .default_value(DEFAULT_DEVICE)
            .mutable_ready()
            .build(),
    ]
}

/// A device, if one is to be used.
#[derive(Default)]
pub struct Chosen {
    pub device: Option<Device>,
    /// Whether it was said that the CPU has taken over.
    said: AtomicBool,
}

impl Chosen {
    /// The warning is for the bus: a device that is there and cannot be used.
    pub fn new(backend: Backend, index: u32) -> Result<(Chosen, Option<String>), gst::ErrorMessage> {
        let none = |warning| Ok((Chosen::default(), warning));
        let opened = match backend {
            Backend::Cpu => return none(None),
            _ => Device::open(index as usize, backend == Backend::Auto),
        };
        match opened {
            Ok(device) => Ok((Chosen { device: Some(device), said: AtomicBool::new(false) }, None)),
            Err(e) if backend == Backend::Cuda => Err(stream::error_message(&e)),
            Err(Error::NoDevice(_)) => none(None),
            Err(e) => none(Some(format!("{e}; the CPU computes instead"))),
        }
    }

    /// What is to be said, once, when the CPU has taken over.
    pub fn failure(&self) -> Option<String> {
        let failure = self.device.as_ref()?.failure()?;
        (!self.said.swap(true, Ordering::Relaxed)).then(|| format!("CUDA device: {failure}; the CPU computes from now on"))
    }

    /// For the log.
    pub fn name(&self) -> String {
        self.device.as_ref().map_or_else(|| "the CPU".into(), Device::name)
    }
}
