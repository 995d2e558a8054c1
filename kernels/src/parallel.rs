//! Work shared between threads: those of the rayon pool that the caller runs in.

use rayon::prelude::*;

/// `run` on each part, on the pool's threads; alone on the caller's if there is one part. A caller outside of any pool uses rayon's global one.
pub fn each<P: Send>(mut parts: Vec<P>, run: impl Fn(P) + Send + Sync) {
    match parts.len() {
        0 | 1 => parts.pop().into_iter().for_each(run),
        _ => parts.into_par_iter().with_max_len(1).for_each(run),
    }
}
