//! Raw picture of any format -> padded I420 planes.

use crate::frame::{RawFormat, RawFrame};
use lic_kernels::planes::{self, Planes};

/// Fills `out`, which has room for the frame's size.
pub(super) fn planes_of(f: &RawFrame, out: &mut Planes) {
    let (w, h, stride) = (f.width, f.height, out.width);
    let (cw, ch) = (w.div_ceil(2), h.div_ceil(2));
    let (first, s) = f.planes[0];
    match f.format {
        RawFormat::I420 | RawFormat::Yv12 => {
            planes::copy(first, s, &mut out.y, stride, w, h);
            let (u, v) = if f.format == RawFormat::I420 { (1, 2) } else { (2, 1) };
            planes::copy(f.planes[u].0, f.planes[u].1, &mut out.u, stride / 2, cw, ch);
            planes::copy(f.planes[v].0, f.planes[v].1, &mut out.v, stride / 2, cw, ch);
        }
        RawFormat::Nv12 | RawFormat::Nv21 => {
            planes::copy(first, s, &mut out.y, stride, w, h);
            let (a, b) = if f.format == RawFormat::Nv12 { (&mut out.u, &mut out.v) } else { (&mut out.v, &mut out.u) };
            planes::split(f.planes[1].0, f.planes[1].1, a, b, stride / 2, cw, ch);
        }
        RawFormat::Gray8 => {
            planes::copy(first, s, &mut out.y, stride, w, h);
            out.u.fill(128);
            out.v.fill(128);
        }
        RawFormat::Yuy2 => planes::packed_422(first, s, 0, w, h, out),
        RawFormat::Uyvy => planes::packed_422(first, s, 1, w, h, out),
        RawFormat::Rgb => planes::rgb(first, s, 3, [0, 1, 2], w, h, out),
        RawFormat::Bgr => planes::rgb(first, s, 3, [2, 1, 0], w, h, out),
        RawFormat::Rgbx => planes::rgb(first, s, 4, [0, 1, 2], w, h, out),
        RawFormat::Bgrx => planes::rgb(first, s, 4, [2, 1, 0], w, h, out),
        RawFormat::Xrgb => planes::rgb(first, s, 4, [1, 2, 3], w, h, out),
        RawFormat::Xbgr => planes::rgb(first, s, 4, [3, 2, 1], w, h, out),
    }
    out.extend(w, h);
}
