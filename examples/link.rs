//! A bad link for trying things out: passes UDP datagrams on, late, not all of them, and not faster than it should.
//!
//! ```text
//! lic-link HERE THERE [delay=MS] [jitter=MS] [loss=PERCENT] [burst=N] [rate=KBIT/S[,SECONDS]...] [queue=MS] [seed=N] [after=SECONDS]
//!
//! lic-link 127.0.0.1:7000 127.0.0.1:7001 delay=25 loss=5
//!     zenohsrc listen=udp/127.0.0.1:7001      zenohsink connect=udp/127.0.0.1:7000
//! ```
//!
//! delay and jitter are one way, in both directions; of every datagram as large as a frame the link loses `loss` percent, in runs of `burst`
//! on average, and of all others as many. `rate=4000,30,1000,30,4000`: 4 Mbit/s for 30 s, then 1 for 30, then 4, towards THERE; a queue of
//! `queue` milliseconds (1000) waits for it, and what comes when it is full is lost. With `after`
//! nothing is lost for so long. Ends when its standard input does.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::error::Error;
use std::io::Read;
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[derive(Clone, Debug)]
pub struct Link {
    pub delay: Duration,
    pub jitter: Duration,
    /// Share of datagrams.
    pub loss: f64,
    /// Mean length of a run of lost ones.
    pub burst: f64,
    /// From which second on, bit/s; empty: no limit.
    pub rate: Vec<(f64, f64)>,
    pub queue: Duration,
    pub seed: u64,
    pub after: Duration,
}

impl Default for Link {
    fn default() -> Link {
        Link {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: 0.0,
            burst: 1.0,
            rate: vec![],
            queue: Duration::from_secs(1),
            seed: 1,
            after: Duration::ZERO,
        }
    }
}

impl Link {
    fn parse(words: &[String]) -> Result<Link, Box<dyn Error>> {
        let ms = |value: &str| value.parse::<f64>().map(|v| Duration::from_secs_f64(v / 1e3));
        let mut link = Link::default();
        for word in words {
            let (name, value) = word.split_once('=').ok_or_else(|| format!("{word}: not NAME=VALUE"))?;
            match name {
                "delay" => link.delay = ms(value)?,
                "jitter" => link.jitter = ms(value)?,
                "queue" => link.queue = ms(value)?,
                "after" => link.after = Duration::from_secs_f64(value.parse()?),
                "loss" => link.loss = value.parse::<f64>()? / 100.0,
                "burst" => link.burst = value.parse::<f64>()?.max(1.0),
                "seed" => link.seed = value.parse()?,
                "rate" => {
                    let numbers = value.split(',').map(str::parse).collect::<Result<Vec<f64>, _>>()?;
                    let mut from = 0.0;
                    for step in numbers.chunks(2) {
                        link.rate.push((from, step[0] * 1e3));
                        from += step.get(1).copied().unwrap_or(f64::INFINITY);
                    }
                }
                _ => return Err(format!("{name}: not delay, jitter, loss, burst, rate, queue, seed or after").into()),
            }
        }
        Ok(link)
    }

    /// Bit/s after so many seconds.
    fn rate_at(&self, seconds: f64) -> Option<f64> {
        self.rate.iter().rev().find(|(from, _)| *from <= seconds).map(|(_, rate)| *rate)
    }
}

/// xorshift64*: the same losses each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// A two-state loss (Gilbert): runs of `burst` datagrams on average, `loss` of all.
struct Losses {
    dice: Dice,
    losing: bool,
}

impl Losses {
    fn next(&mut self, link: &Link) -> bool {
        if link.loss <= 0.0 {
            return false;
        }
        let end = 1.0 / link.burst;
        let begin = (end * link.loss / (1.0 - link.loss).max(1e-9)).min(1.0);
        // A burst of one is independent loss.
        self.losing = if link.burst == 1.0 {
            self.dice.roll() < link.loss
        } else if self.losing {
            self.dice.roll() >= end
        } else {
            self.dice.roll() < begin
        };
        self.losing
    }
}

/// Sends datagrams when they are due.
fn deliver(due: Receiver<(Instant, Vec<u8>)>, mut send: impl FnMut(&[u8])) {
    let mut waiting: BinaryHeap<Reverse<(Instant, u64, Vec<u8>)>> = BinaryHeap::new();
    let mut order = 0;
    loop {
        let now = Instant::now();
        while waiting.peek().is_some_and(|Reverse((at, ..))| *at <= now) {
            let Some(Reverse((_, _, data))) = waiting.pop() else { break };
            send(&data);
        }
        let nap = waiting.peek().map_or(Duration::from_secs(1), |Reverse((at, ..))| at.saturating_duration_since(now));
        match due.recv_timeout(nap) {
            Ok((at, data)) => {
                waiting.push(Reverse((at, order, data)));
                order += 1;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Takes datagrams from `socket`; `capped`: this direction has a rate.
fn carry(socket: UdpSocket, link: Link, capped: bool, seed: u64, out: Sender<(Instant, Vec<u8>)>, mut from: impl FnMut(SocketAddr)) {
    let mut losses = Losses { dice: Dice(seed | 1), losing: false };
    let mut small = Losses { dice: Dice((seed ^ 0x5555_5555) | 1), losing: false };
    let mut jitter = Dice((seed ^ 0xaaaa_aaaa) | 1);
    let (made, mut free) = (Instant::now(), Instant::now());
    let mut start: Option<Instant> = None;
    let mut buffer = vec![0; 65536];
    while let Ok((length, sender)) = socket.recv_from(&mut buffer) {
        from(sender);
        let now = Instant::now();
        let lost = if length > 200 { losses.next(&link) } else { small.next(&link) };
        if lost && made.elapsed() >= link.after {
            continue;
        }
        let mut at = now;
        if capped {
            // The clock of a changing rate begins with the stream.
            let began = *start.get_or_insert(now);
            if let Some(rate) = link.rate_at(now.duration_since(began).as_secs_f64()) {
                if free.saturating_duration_since(now) > link.queue {
                    continue;
                }
                free = free.max(now) + Duration::from_secs_f64(8.0 * length as f64 / rate);
                at = free;
            }
        }
        let at = at + link.delay + link.jitter.mul_f64(jitter.roll());
        if out.send((at, buffer[..length].to_vec())).is_err() {
            return;
        }
    }
}

/// Passes on what comes to `near`, and what comes back, until the process ends.
pub fn start(near: UdpSocket, there: SocketAddr, link: &Link) -> std::io::Result<()> {
    let far = UdpSocket::bind("0.0.0.0:0")?;
    far.connect(there)?;
    let client: Arc<Mutex<Option<SocketAddr>>> = Arc::default();
    let (to_far, due_far) = channel();
    let (to_near, due_near) = channel();
    let (out_far, out_near) = (far.try_clone()?, near.try_clone()?);
    let seed = link.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (known, forth, back) = (client.clone(), link.clone(), link.clone());
    let set = move |from| *known.lock().unwrap_or_else(|e| e.into_inner()) = Some(from);
    std::thread::spawn(move || carry(near, forth, true, seed, to_far, set));
    std::thread::spawn(move || carry(far, back, false, seed ^ 0x1234_5678, to_near, |_| {}));
    std::thread::spawn(move || deliver(due_far, |data| drop(out_far.send(data))));
    std::thread::spawn(move || {
        deliver(due_near, |data| {
            let client = *client.lock().unwrap_or_else(|e| e.into_inner());
            client.into_iter().for_each(|client| drop(out_near.send_to(data, client)));
        })
    });
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [here, there, options @ ..] = &words[..] else { return Err("usage: lic-link HERE THERE [NAME=VALUE]...".into()) };
    start(UdpSocket::bind(here)?, there.parse()?, &Link::parse(options)?)?;
    let mut rest = Vec::new();
    std::io::stdin().read_to_end(&mut rest)?;
    Ok(())
}
