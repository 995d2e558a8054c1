//! The threads of one encoder or decoder. They stay: a thread made anew for each piece of work begins on the processor of its maker, behind it.

use crate::error::{Error, Result};
use crossbeam_channel::{Receiver, bounded};
use rayon::prelude::*;
use std::sync::{Arc, OnceLock};

/// Shared by its clones.
#[derive(Clone)]
pub(crate) struct Threads {
    /// None: the caller's thread does everything.
    pools: Option<Arc<Pools>>,
    count: usize,
}

struct Pools {
    front: rayon::ThreadPool,
    /// For what was begun. A thread of the pool that waits for a part of its work takes up other work, which may wait for that which it was
    /// at: so what is begun, and waits for nothing, has a pool of its own, made when it is first wanted. None: no more threads are to be had.
    behind: OnceLock<Option<rayon::ThreadPool>>,
}

impl Threads {
    /// `wanted`: 0 for as many as there are cores.
    pub fn new(wanted: u32) -> Result<Threads> {
        let all = || std::thread::available_parallelism().map_or(1, |n| n.get());
        let count = if wanted == 0 { all() } else { (wanted as usize).min(256) };
        let front = || pool("lic", count).map_err(|e| Error::Runtime(format!("no worker threads: {e}")));
        let pools = (count > 1).then(|| Ok(Pools { front: front()?, behind: OnceLock::new() })).transpose()?;
        Ok(Threads { pools: pools.map(Arc::new), count })
    }

    pub fn count(&self) -> usize {
        self.count
    }

    /// f() with these threads for [`parallel`], [`both`] and the kernels.
    pub fn run<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        match &self.pools {
            Some(pools) => pools.front.install(f),
            None => f(),
        }
    }

    /// f(), which waits for nothing, beside what the caller goes on to do; at once where there is one thread.
    pub fn begin<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> Begun<T> {
        let (done, result) = bounded(1);
        let work = move || {
            // Nobody may wait for it any more.
            let _ = done.send(std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)));
        };
        let behind = self.pools.as_ref().and_then(|p| p.behind.get_or_init(|| pool("lic-picture", self.count).ok()).as_ref());
        match behind {
            Some(pool) => pool.spawn(work),
            None => work(),
        }
        Begun(result)
    }
}

fn pool(name: &'static str, count: usize) -> std::result::Result<rayon::ThreadPool, rayon::ThreadPoolBuildError> {
    rayon::ThreadPoolBuilder::new().num_threads(count).thread_name(move |i| format!("{name}-{i}")).build()
}

/// What [`Threads::begin`] began.
pub(crate) struct Begun<T>(Receiver<std::thread::Result<T>>);

impl<T> Begun<T> {
    /// Its result, as soon as it is there.
    pub fn wait(self) -> T {
        let result = self.0.recv().expect("it sends whatever happens");
        result.unwrap_or_else(|e| std::panic::resume_unwind(e))
    }
}

/// a() and b(), at the same time if `threads` is more than 1 and one is free.
pub(crate) fn both<A: Send, B: Send>(threads: usize, a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B + Send) -> (A, B) {
    if threads <= 1 { (a(), b()) } else { rayon::join(a, b) }
}

/// f(0), ..., f(n - 1), on the pool's threads if `threads` is more than 1.
pub(crate) fn parallel<T: Send>(threads: usize, n: usize, f: impl Fn(usize) -> T + Send + Sync) -> Vec<T> {
    if threads <= 1 || n <= 1 {
        return (0..n).map(f).collect();
    }
    (0..n).into_par_iter().with_max_len(1).map(f).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_those_of_one_thread() {
        for n in [1, 2, 5] {
            let t = Threads::new(n).unwrap();
            let begun = t.begin(|| (0..1000u64).sum::<u64>());
            let (squares, sum) = t.run(move || {
                let squares = parallel(n as usize, 100, |i| parallel(n as usize, i, |j| j).len() * i);
                (squares, both(n as usize, || begun.wait(), || 7))
            });
            assert_eq!((squares, sum), ((0..100).map(|i| i * i).collect(), (499500, 7)));
        }
    }

    #[test]
    #[should_panic(expected = "of its own")]
    fn panics_reach_who_waits() {
        let t = Threads::new(2).unwrap();
        t.begin(|| panic!("of its own")).wait()
    }
}
