//! What activations within blocks are: bytes (fast) or int16 (fine).

use super::matrix::{In, Out};
use super::scratch::Scratch;
use super::{Around, Rows};
use crate::Level;

/// A type of activations.
pub trait Lane: Scratch + Send + Sync {
    /// What stands for zero.
    const OFFSET: i32;
    /// The greatest distance from zero.
    const FAR: i64;
    const ZERO: Self;

    fn value(self) -> i32;
    fn saturating(v: i32) -> Self;
    fn given(x: &[Self]) -> In<'_>;
    /// Where a layer with leaky ReLU writes.
    fn leaky(out: &mut [Self]) -> Out<'_>;
    /// Rows of a stream as a block takes them; `entry`: factor in 1/32768.
    fn enter(level: Level, entry: i16, stream: &[i16], out: &mut [Self]);

    /// # Safety
    /// The processor has what the level says (AVX2 or VNNI); lengths as in [`Around::apply`].
    #[cfg(target_arch = "x86_64")]
    unsafe fn around_x86(level: Level, l: &Around, rows: &Rows, x: *const Self, from: usize, out: &mut [Self]);

    /// # Safety
    /// Lengths as in [`Around::apply`].
    #[cfg(target_arch = "aarch64")]
    unsafe fn around_neon(l: &Around, rows: &Rows, x: *const Self, from: usize, out: &mut [Self]);
}

impl Lane for u8 {
    const OFFSET: i32 = 128;
    const FAR: i64 = 128;
    const ZERO: u8 = 128;

    #[inline(always)]
    fn value(self) -> i32 {
        self as i32
    }

    #[inline(always)]
    fn saturating(v: i32) -> u8 {
        v.clamp(0, 255) as u8
    }

    fn given(x: &[u8]) -> In<'_> {
        In::Bytes(x)
    }

    fn leaky(out: &mut [u8]) -> Out<'_> {
        Out::Leaky(out)
    }

    fn enter(level: Level, entry: i16, stream: &[i16], out: &mut [u8]) {
        assert_eq!(stream.len(), out.len());
        match level {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the level is given only where the processor has the instructions.
            Level::Vnni => unsafe { super::x86::enter_512(entry, stream, out) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Level::Avx2 | Level::AvxVnni => unsafe { super::x86::enter_256(entry, stream, out) },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: every 64-bit ARM has NEON.
            Level::Neon => unsafe { super::neon::enter(entry, stream, out) },
            _ => enter(entry, stream, out),
        }
    }

    #[cfg(target_arch = "x86_64")]
    unsafe fn around_x86(level: Level, l: &Around, rows: &Rows, x: *const u8, from: usize, out: &mut [u8]) {
        // SAFETY: the caller's.
        unsafe {
            match level {
                Level::Vnni => super::x86::around_512(l, rows, x, from, out),
                _ => super::x86::around_bytes(l, rows, x, from, out),
            }
        }
    }

    #[cfg(target_arch = "aarch64")]
    unsafe fn around_neon(l: &Around, rows: &Rows, x: *const u8, from: usize, out: &mut [u8]) {
        // SAFETY: the caller's.
        unsafe { super::neon::around(l, rows, x, from, out) }
    }
}

#[inline(always)]
pub(crate) fn enter(entry: i16, stream: &[i16], out: &mut [u8]) {
    for (o, &s) in out.iter_mut().zip(stream) {
        let v = (s as i32 * entry as i32 + 0x4000) >> 15;
        *o = (v.clamp(-128, 127) + u8::OFFSET) as u8;
    }
}

/// The stream itself: `entry` is not asked.
impl Lane for i16 {
    const OFFSET: i32 = 0;
    const FAR: i64 = 32768;
    const ZERO: i16 = 0;

    #[inline(always)]
    fn value(self) -> i32 {
        self as i32
    }

    #[inline(always)]
    fn saturating(v: i32) -> i16 {
        v.clamp(-32768, 32767) as i16
    }

    fn given(x: &[i16]) -> In<'_> {
        In::Words(x)
    }

    fn leaky(out: &mut [i16]) -> Out<'_> {
        Out::LeakyWords(out)
    }

    fn enter(_: Level, _: i16, stream: &[i16], out: &mut [i16]) {
        out.copy_from_slice(stream);
    }

    #[cfg(target_arch = "x86_64")]
    unsafe fn around_x86(_: Level, l: &Around, rows: &Rows, x: *const i16, from: usize, out: &mut [i16]) {
        // SAFETY: the caller's.
        unsafe { super::x86::around_words(l, rows, x, from, out) }
    }

    #[cfg(target_arch = "aarch64")]
    unsafe fn around_neon(l: &Around, rows: &Rows, x: *const i16, from: usize, out: &mut [i16]) {
        // SAFETY: the caller's.
        unsafe { super::neon::around(l, rows, x, from, out) }
    }
}
