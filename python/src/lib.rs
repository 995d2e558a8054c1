//! `lic._lic`: a file's frames as bytes. What is pleasant to use is in lic/__init__.py.

use lic_codec::{RawFormat, Runtime};
use lic_container::lic::Pictures;
use pyo3::exceptions::{PyIndexError, PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::sync::Mutex;

/// An open .lic file.
#[pyclass(name = "File", frozen)]
struct LicFile(Mutex<Pictures<BufReader<File>>>);

fn failed(path: &str, e: lic_container::Error) -> PyErr {
    match e {
        lic_container::Error::Io(e) => PyOSError::new_err(format!("{path}: {e}")),
        lic_container::Error::NoFrame { .. } => PyIndexError::new_err(e.to_string()),
        e => PyValueError::new_err(format!("{path}: {e}")),
    }
}

#[pymethods]
impl LicFile {
    /// threads: 0 for all cores.
    #[new]
    fn open(py: Python, path: &str, threads: u32) -> PyResult<LicFile> {
        py.detach(|| {
            let runtime = Runtime::find().map_err(|e| PyOSError::new_err(e.to_string()))?;
            let file = File::open(path).map_err(|e| PyOSError::new_err(format!("{path}: {e}")))?;
            let pictures = Pictures::open(BufReader::new(file), &runtime, threads).map_err(|e| failed(path, e))?;
            Ok(LicFile(Mutex::new(pictures)))
        })
    }

    fn __len__(&self) -> usize {
        self.0.lock().expect("no panic while it was held").reader().index().frames() as usize
    }

    /// How many frames each group of pictures has.
    fn groups(&self) -> Vec<u32> {
        self.0.lock().expect("no panic while it was held").reader().index().groups.iter().map(|g| g.frames).collect()
    }

    /// Names and values that the file says of itself.
    fn notes(&self) -> BTreeMap<String, String> {
        self.0.lock().expect("no panic while it was held").reader().index().notes.clone()
    }

    /// Samples of frame n from the top left (three a pixel, or one if `grey`), height, width, and its time in nanoseconds.
    fn frame<'py>(&self, py: Python<'py>, n: u64, grey: bool) -> PyResult<(Bound<'py, PyBytes>, u32, u32, Option<u64>)> {
        let format = if grey { RawFormat::Gray8 } else { RawFormat::Rgb };
        // Others may compute meanwhile.
        let picture = py.detach(|| self.0.lock().expect("no panic while it was held").frame(n, format)).map_err(|e| failed("frame", e))?;
        Ok((PyBytes::new(py, &picture.data), picture.info.height, picture.info.width, picture.time))
    }

    /// Time of frame n in nanoseconds, without decoding.
    fn time(&self, py: Python, n: u64) -> PyResult<Option<u64>> {
        py.detach(|| self.0.lock().expect("no panic while it was held").time(n)).map_err(|e| failed("time", e))
    }
}

#[pymodule]
fn _lic(m: &Bound<PyModule>) -> PyResult<()> {
    m.add_class::<LicFile>()
}
