//! The lic codec: learned video compression with a spatiotemporal entropy model.
//!
//! ```text
//! RawFrame -> Encoder -> Packet (codec/BITSTREAM.md) -> Decoder -> PictureMut
//! ```
//!
//! Plain library: no GStreamer, no network. Networks run in ONNX Runtime ([`Runtime`]); everything that
//! decides a probability is integer arithmetic in [`prior`], so every machine decodes the same latents.

pub mod bitstream;
pub mod decoder;
pub mod encoder;
pub mod error;
pub mod frame;
mod held;
pub mod info;
pub mod model;
mod motion;
mod prior;
mod rans;
mod slice;

pub use decoder::{Decoded, Decoder, LatentsView, Shares};
pub use encoder::{Encoder, Inter, Packet, Settings};
pub use error::Error;
pub use frame::{PictureMut, RawFormat, RawFrame};
pub use info::{Colour, StreamInfo};
pub use model::{Pack, Runtime};

/// Latents of a picture: columns and rows of 16x16 pixels.
pub(crate) fn latent_size(info: &StreamInfo) -> (usize, usize) {
    (info.width.div_ceil(16) as usize, info.height.div_ceil(16) as usize)
}

/// 0 is all cores.
pub(crate) fn threads(wanted: u32) -> usize {
    let all = || std::thread::available_parallelism().map_or(1, |n| n.get());
    if wanted == 0 { all() } else { (wanted as usize).min(256) }
}

/// a() here and b() on a second thread.
pub(crate) fn both<A, B: Send>(a: impl FnOnce() -> A, b: impl FnOnce() -> B + Send) -> (A, Option<B>) {
    std::thread::scope(|s| {
        let b = s.spawn(b);
        (a(), Some(b.join().unwrap_or_else(|e| std::panic::resume_unwind(e))))
    })
}

/// f(0), ..., f(n - 1) on up to `threads` threads.
pub(crate) fn parallel<T: Send>(threads: usize, n: usize, f: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let threads = threads.min(n);
    if threads <= 1 {
        return (0..n).map(f).collect();
    }
    let run = |t: usize| (t..n).step_by(threads).map(|i| (i, f(i))).collect::<Vec<_>>();
    let mut all = std::thread::scope(|s| {
        let others: Vec<_> = (1..threads).map(|t| s.spawn(move || run(t))).collect();
        let mut all = run(0);
        for o in others {
            all.extend(o.join().unwrap_or_else(|e| std::panic::resume_unwind(e)));
        }
        all
    });
    all.sort_by_key(|(i, _)| *i);
    all.into_iter().map(|(_, v)| v).collect()
}
