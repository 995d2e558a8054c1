//! Raw pictures of any layout <-> padded planes, for many pictures at a time.

use crate::machine::{Arg, Launch, Machine};
use crate::{Buffer, Error, Result};
use lic_kernels::planes::{Planes, RgbMatrix};
use std::sync::Arc;

/// Padded planes of some pictures of one size: luma of all, u of all, v of all.
pub struct DevicePlanes {
    machine: Arc<dyn Machine>,
    /// Padded, multiples of 16.
    pub width: usize,
    pub height: usize,
    pub pictures: usize,
    planes: [Buffer; 3],
}

impl DevicePlanes {
    pub fn for_size(machine: &Arc<dyn Machine>, width: usize, height: usize, pictures: usize) -> Result<DevicePlanes> {
        let (width, height) = (width.next_multiple_of(16), height.next_multiple_of(16));
        let plane = |part| Buffer::new(machine, pictures * width * height / part);
        Ok(DevicePlanes { machine: machine.clone(), width, height, pictures, planes: [plane(1)?, plane(4)?, plane(4)?] })
    }

    pub fn write(&mut self, pictures: &[Planes]) -> Result<()> {
        if pictures.len() != self.pictures || pictures.iter().any(|p| (p.width, p.height) != (self.width, self.height)) {
            return Err(Error::Shape("pictures of another size or number than the planes"));
        }
        let all = |plane: fn(&Planes) -> &[u8]| pictures.iter().map(plane).collect::<Vec<_>>().concat();
        self.planes[0].write(&all(|p| &p.y))?;
        self.planes[1].write(&all(|p| &p.u))?;
        self.planes[2].write(&all(|p| &p.v))
    }

    /// Lines of blocks of a picture, as many as these planes of one picture have.
    pub fn write_lines(&mut self, from: &Planes, lines: std::ops::Range<usize>) -> Result<()> {
        self.has(from, &lines)?;
        let (luma, chroma) = (16 * from.width, 4 * from.width);
        self.planes[0].write(&from.y[lines.start * luma..lines.end * luma])?;
        self.planes[1].write(&from.u[lines.start * chroma..lines.end * chroma])?;
        self.planes[2].write(&from.v[lines.start * chroma..lines.end * chroma])
    }

    /// The other way.
    pub fn read_lines(&self, to: &mut Planes, lines: std::ops::Range<usize>) -> Result<()> {
        self.has(to, &lines)?;
        let (luma, chroma) = (16 * to.width, 4 * to.width);
        self.planes[0].read_into(&mut to.y[lines.start * luma..lines.end * luma])?;
        self.planes[1].read_into(&mut to.u[lines.start * chroma..lines.end * chroma])?;
        self.planes[2].read_into(&mut to.v[lines.start * chroma..lines.end * chroma])
    }

    fn has(&self, picture: &Planes, lines: &std::ops::Range<usize>) -> Result<()> {
        let fits = (self.pictures, self.width, self.height) == (1, picture.width, 16 * lines.len()) && 16 * lines.end <= picture.height;
        if fits { Ok(()) } else { Err(Error::Shape("lines of another size or number than the planes")) }
    }

    pub fn read(&self) -> Result<Vec<Planes>> {
        let [y, u, v] = &self.planes;
        let (y, u, v) = (y.read::<u8>()?, u.read::<u8>()?, v.read::<u8>()?);
        let (luma, chroma) = (self.width * self.height, self.width * self.height / 4);
        let picture = |i: usize| Planes {
            width: self.width,
            height: self.height,
            y: y[i * luma..][..luma].to_vec(),
            u: u[i * chroma..][..chroma].to_vec(),
            v: v[i * chroma..][..chroma].to_vec(),
        };
        Ok((0..self.pictures).map(picture).collect())
    }

    pub(crate) fn args(&self) -> [Arg; 3] {
        [&self.planes[0], &self.planes[1], &self.planes[2]].map(Buffer::arg)
    }

    /// # Safety
    /// As [`Machine::launch`]; one thread for each block of 8x2 samples.
    unsafe fn launch(&self, kernel: &'static str, args: &[Arg]) -> Result<()> {
        let (across, block) = ((self.width / 8) as u32, [64, 1, 1]);
        let grid = [across.div_ceil(block[0]), (self.height / 2) as u32, self.pictures as u32];
        // SAFETY: the caller's.
        unsafe { self.machine.launch(&Launch { kernel, grid, block, shared: 0, args }) }
    }

    /// The float networks' input, `[pictures][96][height / 8][width / 8]` f32.
    pub fn to_channels(&self, out: &mut Buffer) -> Result<()> {
        if out.len() < self.pictures * self.width * self.height / 64 * 96 * 4 {
            return Err(Error::Shape("too little room for 96 channels"));
        }
        self.channels("to_channels", [&self.args()[..], &[out.arg()]].concat())
    }

    /// The other way.
    pub fn from_channels(&mut self, channels: &Buffer) -> Result<()> {
        if channels.len() < self.pictures * self.width * self.height / 64 * 96 * 4 {
            return Err(Error::Shape("too few values for 96 channels"));
        }
        self.channels("from_channels", [&[channels.arg()], &self.args()[..]].concat())
    }

    fn channels(&self, kernel: &'static str, mut args: Vec<Arg>) -> Result<()> {
        let (w, h) = (self.width / 8, self.height / 8);
        args.extend([Arg::Int(w as i32), Arg::Int(h as i32)]);
        let (grid, block) = ([((w * h) as u32).div_ceil(256), 12, self.pictures as u32], [256, 1, 1]);
        // SAFETY: the kernel's parameters, of checked sizes.
        unsafe { self.machine.launch(&Launch { kernel, grid, block, shared: 0, args: &args }) }
    }
}

/// Where a plane's samples lie, all pictures in one buffer.
#[derive(Clone, Copy)]
pub struct Lines<'a> {
    pub buffer: &'a Buffer,
    /// First byte of the first picture.
    pub offset: usize,
    /// Bytes from line to line.
    pub stride: usize,
    /// Bytes from picture to picture.
    pub step: usize,
}

impl Lines<'_> {
    /// Of all pictures, `lines` lines of `bytes` lie in the buffer.
    fn check(&self, pictures: usize, lines: usize, bytes: usize) -> Result<()> {
        let end = self.offset + (pictures.max(1) - 1) * self.step + (lines.max(1) - 1) * self.stride + bytes;
        let fits = pictures > 0 && lines > 0 && end <= self.buffer.len() && self.stride >= bytes && self.stride < 1 << 31;
        if fits { Ok(()) } else { Err(Error::Shape("lines reach beyond their buffer, or overlap")) }
    }

    fn args(&self) -> [Arg; 3] {
        [self.buffer.from(self.offset), Arg::Int(self.stride as i32), Arg::Long(self.step as i64)]
    }
}

/// Layouts of raw pictures.
#[derive(Clone, Copy)]
pub enum Layout<'a> {
    /// Luma and, unless it is GRAY8, u and v with the same stride and step.
    Planar { y: Lines<'a>, uv: Option<[Lines<'a>; 2]> },
    /// `swapped`: v before u.
    Interleaved { y: Lines<'a>, c: Lines<'a>, swapped: bool },
    /// `luma`: place of the first luma byte of two pixels.
    Packed422 { lines: Lines<'a>, luma: usize },
    /// `bytes` (3 or 4) a pixel, red, green and blue at these places.
    Rgb { lines: Lines<'a>, bytes: usize, order: [usize; 3] },
}

impl Layout<'_> {
    fn check(&self, pictures: usize, width: usize, height: usize) -> Result<()> {
        let (cw, ch) = (width.div_ceil(2), height.div_ceil(2));
        match self {
            Layout::Planar { y, uv } => {
                y.check(pictures, height, width)?;
                let Some([u, v]) = uv else { return Ok(()) };
                if (u.stride, u.step) != (v.stride, v.step) {
                    return Err(Error::Shape("u and v differ in their stride"));
                }
                u.check(pictures, ch, cw)?;
                v.check(pictures, ch, cw)
            }
            Layout::Interleaved { y, c, .. } => {
                y.check(pictures, height, width)?;
                c.check(pictures, ch, 2 * cw)
            }
            Layout::Packed422 { lines, luma } if *luma < 2 => lines.check(pictures, height, 4 * cw),
            Layout::Rgb { lines, bytes: bytes @ (3 | 4), order } if order.iter().all(|o| o < bytes) => {
                lines.check(pictures, height, bytes * width)
            }
            _ => Err(Error::Shape("no such layout")),
        }
    }
}

/// Raw pictures of `width` x `height` -> planes, the edge repeated.
pub fn unpack(from: &Layout, width: usize, height: usize, to: &mut DevicePlanes) -> Result<()> {
    if (to.width, to.height) != (width.next_multiple_of(16), height.next_multiple_of(16)) {
        return Err(Error::Shape("planes of another size than the pictures"));
    }
    from.check(to.pictures, width, height)?;
    let int = |v: usize| Arg::Int(v as i32);
    let (kernel, mut args) = match from {
        Layout::Planar { y, uv } => {
            let chroma = match uv {
                Some([u, v]) => [u.args()[0], v.args()[0], u.args()[1], u.args()[2]],
                None => [Arg::At(0), Arg::At(0), Arg::Int(0), Arg::Long(0)],
            };
            ("unpack_planar", [&y.args()[..], &chroma].concat())
        }
        Layout::Interleaved { y, c, swapped } => ("unpack_interleaved", [&y.args()[..], &c.args(), &[int(*swapped as usize)]].concat()),
        Layout::Packed422 { lines, luma } => ("unpack_422", [&lines.args()[..], &[int(*luma)]].concat()),
        Layout::Rgb { lines, bytes, order } => {
            (if *bytes == 3 { "unpack_rgb24" } else { "unpack_rgb32" }, [&lines.args()[..], &order.map(int)].concat())
        }
    };
    args.extend([int(width), int(height)]);
    args.extend(to.args());
    args.extend([int(to.width), int(to.height)]);
    // SAFETY: the kernel's parameters; lines were checked to lie in their buffers.
    unsafe { to.launch(kernel, &args) }
}

/// Planes -> raw pictures of `width` x `height`: planar, interleaved (u first) or RGB of three bytes with `matrix`.
pub fn pack(from: &DevicePlanes, matrix: RgbMatrix, width: usize, height: usize, to: &Layout) -> Result<()> {
    if (from.width, from.height) != (width.next_multiple_of(16), height.next_multiple_of(16)) {
        return Err(Error::Shape("planes of another size than the pictures"));
    }
    to.check(from.pictures, width, height)?;
    let int = |v: usize| Arg::Int(v as i32);
    let mut args = from.args().to_vec();
    args.extend([int(from.width), int(from.height)]);
    let size = [int(width), int(height)];
    let kernel = match to {
        Layout::Planar { y, uv } => {
            args.extend(y.args());
            args.extend(match uv {
                Some([u, v]) => [u.args()[0], v.args()[0], u.args()[1], u.args()[2]],
                None => [Arg::At(0), Arg::At(0), Arg::Int(0), Arg::Long(0)],
            });
            args.extend(size);
            "pack_planar"
        }
        Layout::Interleaved { y, c, swapped: false } => {
            args.extend(y.args());
            args.extend(c.args());
            args.extend(size);
            "pack_interleaved"
        }
        Layout::Rgb { lines, bytes: 3, order } => {
            args.extend(lines.args());
            args.extend(order.map(int));
            args.extend(size);
            args.extend(matrix.coefficients().map(Arg::Int));
            "pack_rgb"
        }
        _ => return Err(Error::Shape("pictures are not written in this layout")),
    };
    // SAFETY: the kernel's parameters; lines were checked to lie in their buffers.
    unsafe { from.launch(kernel, &args) }
}
