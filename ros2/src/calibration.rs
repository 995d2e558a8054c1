//! A camera's calibration out of the YAML file that ROS's `camera_calibration` writes.

use std::io::Read;
use std::path::Path;

use serde::Deserialize;

use crate::error::Error;
use crate::messages::CameraInfo;

/// More than any calibration has.
const MAX_BYTES: u64 = 1 << 16;

#[derive(Deserialize)]
struct File {
    image_width: u32,
    image_height: u32,
    distortion_model: String,
    distortion_coefficients: Matrix,
    camera_matrix: Matrix,
    rectification_matrix: Matrix,
    projection_matrix: Matrix,
}

#[derive(Deserialize)]
struct Matrix {
    rows: usize,
    cols: usize,
    data: Vec<f64>,
}

/// Reads `path`; the header is left empty.
///
/// # Errors
/// A file that cannot be read, is no such YAML, or holds matrices of other sizes than they say or than the message has.
pub fn load(path: &Path) -> Result<CameraInfo, Error> {
    let wrap = |reason: String| Error::Calibration { path: path.display().to_string(), reason };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|e| wrap(e.to_string()))?;
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(|e| wrap(e.to_string()))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(wrap(format!("it is longer than {MAX_BYTES} bytes")));
    }
    parse(&text).map_err(wrap)
}

/// The same from text; the error is a reason.
///
/// # Errors
/// As [`load`].
pub fn parse(text: &str) -> Result<CameraInfo, String> {
    let file: File = serde_saphyr::from_str(text).map_err(|e| e.to_string().lines().next().unwrap_or("no YAML").to_string())?;
    let d = file.distortion_coefficients;
    if d.rows.checked_mul(d.cols) != Some(d.data.len()) {
        return Err(format!("distortion_coefficients is said to be {}x{} and has {} numbers", d.rows, d.cols, d.data.len()));
    }
    Ok(CameraInfo {
        width: file.image_width,
        height: file.image_height,
        distortion_model: file.distortion_model,
        d: d.data,
        k: fixed("camera_matrix", file.camera_matrix, 3)?,
        r: fixed("rectification_matrix", file.rectification_matrix, 3)?,
        p: fixed("projection_matrix", file.projection_matrix, 4)?,
        ..Default::default()
    })
}

fn fixed<const N: usize>(name: &str, matrix: Matrix, columns: usize) -> Result<[f64; N], String> {
    let Matrix { rows, cols, data } = matrix;
    let count = data.len();
    let wrong = || format!("{name} must be 3x{columns}; it is said to be {rows}x{cols} and has {count} numbers");
    if (rows, cols) != (3, columns) {
        return Err(wrong());
    }
    data.try_into().map_err(|_| wrong())
}
