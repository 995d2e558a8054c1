//! Frames from the network's threads to the one that consumes them: one stream only, in order, bounded. With a playout delay,
//! frames behind a gap wait for what is sent again, as long as they themselves may.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use zenoh::bytes::ZBytes;

use crate::clock::unix_now;
use crate::frame::FrameInfo;
use crate::sequence::{Arrival, Tracker};
use crate::sync::{lock, wait};
use crate::window::Window;
use crate::wire::{Acknowledgement, Header};

/// What a consumer that stands still may hold back: memory, and how old frames get.
const MOST_FRAMES: usize = 120;
const MOST_BYTES: usize = 64 << 20;

/// A frame as received.
#[derive(Debug, Clone)]
pub struct Received {
    pub info: FrameInfo,
    pub payload: Vec<u8>,
    /// The stream's caps, in force from this frame on.
    pub caps: Option<Arc<str>>,
    pub stream: u64,
    pub sequence: u64,
    /// When the network handed it over.
    pub arrived: Instant,
    /// First frame of another stream than before.
    pub new_stream: bool,
    /// It arrived after a newer one: lost at first and sent again, or overtaken.
    pub recovered: bool,
    /// Sequence numbers right before this one that did not arrive, or were dropped here.
    pub missing: Option<RangeInclusive<u64>>,
}

/// Why a wait for a frame ended without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoFrame {
    Timeout,
    /// [`crate::Subscriber::interrupt`] was called.
    Interrupted,
}

/// What the receiver has counted since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub received: u64,
    pub bytes: u64,
    pub lost: u64,
    pub late: u64,
    pub recovered: u64,
    pub duplicates: u64,
    pub before_key: u64,
    pub overflowed: u64,
    pub foreign: u64,
    /// Bit/s of the last whole second.
    pub bit_rate: u64,
    /// From capture to arrival, by the clocks of both machines: nanoseconds, a mean over some frames.
    pub delay: Option<i64>,
}

/// What the network's side should do about a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Taken,
    /// Its sender wants to know what arrived.
    Acknowledge,
    /// From a publisher that is not the locked one.
    Unknown,
}

#[derive(Debug)]
struct Locked {
    key: String,
    stream: u64,
    tracker: Tracker,
    window: Window,
    caps: Option<Arc<str>>,
    /// The next frame to hand out; `None`: nothing was yet, for a stream begins with a frame that stands alone or from which it may be
    /// entered, and with its caps.
    next: Option<u64>,
    heard: Option<Instant>,
    /// When the frame with the highest number arrived.
    newest: Option<Instant>,
    /// Behind a gap.
    pending: BTreeMap<u64, Waiting>,
    pending_bytes: usize,
}

#[derive(Debug)]
struct Waiting {
    received: Received,
    raw: ZBytes,
}

#[derive(Debug, Default)]
struct State {
    locked: Option<Locked>,
    frames: VecDeque<Waiting>,
    bytes: usize,
    missing: Option<RangeInclusive<u64>>,
    interrupted: bool,
    wants_key: bool,
    counts: Counts,
    /// When the second began that is being counted, and its bytes.
    second: Option<(Instant, u64)>,
}

#[derive(Debug)]
pub(crate) struct Inbox {
    playout: Duration,
    began: Instant,
    state: Mutex<State>,
    arrived: Condvar,
}

impl Inbox {
    /// `playout`: how long a frame may wait for one that is missing before it.
    pub(crate) fn new(playout: Duration) -> Self {
        Self { playout, began: Instant::now(), state: Mutex::default(), arrived: Condvar::new() }
    }

    /// Takes frames of this stream only from now on. Frames of the one before stay deliverable.
    pub(crate) fn lock_onto(&self, key: &str, stream: u64) {
        let mut state = lock(&self.state);
        state.missing = None;
        state.wants_key = false;
        state.locked = Some(Locked {
            key: key.into(),
            stream,
            tracker: Tracker::default(),
            window: Window::default(),
            caps: None,
            next: None,
            heard: None,
            newest: None,
            pending: BTreeMap::new(),
            pending_bytes: 0,
        });
    }

    /// When the locked stream was last heard.
    pub(crate) fn heard(&self) -> Option<Instant> {
        lock(&self.state).locked.as_ref()?.heard
    }

    /// Frames come, but none yet that a stream can start with.
    pub(crate) fn starting(&self) -> bool {
        lock(&self.state).locked.as_ref().is_some_and(|locked| locked.next.is_none() && locked.heard.is_some())
    }

    /// Whether a gap was passed after which nobody can tell what is whole before a key frame comes; asked once.
    pub(crate) fn take_wants_key(&self) -> bool {
        std::mem::take(&mut lock(&self.state).wants_key)
    }

    /// What arrived of the locked stream.
    pub(crate) fn acknowledgement(&self, receiver: u64) -> Option<Acknowledgement> {
        let state = lock(&self.state);
        let locked = state.locked.as_ref()?;
        let at = locked.newest?.saturating_duration_since(self.began).as_nanos();
        Some(Acknowledgement {
            receiver,
            newest: locked.tracker.newest()?,
            arrived: locked.tracker.arrived(),
            whole: locked.window.whole(&locked.tracker),
            at: u64::try_from(at).unwrap_or(u64::MAX),
            playout: u16::try_from(self.playout.as_millis()).unwrap_or(u16::MAX),
        })
    }

    pub(crate) fn counts(&self) -> Counts {
        lock(&self.state).counts
    }

    pub(crate) fn foreign(&self) {
        lock(&self.state).counts.foreign += 1;
    }

    pub(crate) fn interrupt(&self, on: bool) {
        lock(&self.state).interrupted = on;
        self.arrived.notify_all();
    }

    /// Takes a frame in from the network. `key` is the key it was published on.
    pub(crate) fn deliver(&self, key: &str, header: Header, raw: ZBytes) -> Outcome {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        let Some(locked) = state.locked.as_mut().filter(|locked| locked.stream == header.stream && locked.key == key) else {
            return Outcome::Unknown;
        };
        let now = Instant::now();
        locked.heard = Some(now);
        let (began, bytes) = state.second.get_or_insert((now, 0));
        *bytes += raw.len() as u64;
        let passed = now.saturating_duration_since(*began);
        if passed >= Duration::from_secs(1) {
            state.counts.bit_rate = (8.0 * *bytes as f64 / passed.as_secs_f64()) as u64;
            state.second = Some((now, 0));
        }
        let outcome = if header.acknowledge || !self.playout.is_zero() { Outcome::Acknowledge } else { Outcome::Taken };
        let overtaken = match locked.tracker.arrive(header.sequence) {
            Arrival::InOrder | Arrival::Gap(_) => {
                locked.newest = Some(now);
                false
            }
            Arrival::Late => true,
            Arrival::Duplicate => {
                state.counts.duplicates += 1;
                return outcome;
            }
        };
        if locked.next.is_some_and(|next| header.sequence < next) {
            state.counts.late += 1;
            return outcome;
        }
        if let Some(caps) = header.caps
            && (!overtaken || locked.next.is_none())
            && locked.caps.as_deref() != Some(caps.as_str())
        {
            locked.caps = Some(caps.into());
        }
        let new_stream = locked.next.is_none();
        if new_stream {
            let info = &header.info;
            if (info.delta && !info.recovery) || (header.caps_follow && locked.caps.is_none()) {
                state.counts.before_key += 1;
                return outcome;
            }
            // What came before the first frame was never this receiver's.
            locked.next = Some(header.sequence);
        }
        locked.window.keep(header.sequence, &header.info);
        if let Some(capture) = header.info.capture.filter(|_| !overtaken) {
            let delay = unix_now().saturating_sub(capture);
            state.counts.delay = Some(state.counts.delay.map_or(delay, |mean| mean.saturating_add(delay.saturating_sub(mean) / 8)));
        }
        let received = Received {
            info: header.info,
            payload: Vec::new(),
            caps: locked.caps.clone(),
            stream: header.stream,
            sequence: header.sequence,
            arrived: now,
            new_stream,
            recovered: overtaken,
            missing: None,
        };
        state.counts.recovered += u64::from(overtaken);
        locked.pending_bytes += raw.len();
        locked.pending.insert(header.sequence, Waiting { received, raw });
        state.release(now, self.playout);
        drop(guard);
        self.arrived.notify_one();
        outcome
    }

    /// Waits at most `time` for the next frame.
    pub(crate) fn receive(&self, time: Duration) -> Result<Received, NoFrame> {
        let deadline = Instant::now() + time;
        let mut state = lock(&self.state);
        loop {
            if state.interrupted {
                return Err(NoFrame::Interrupted);
            }
            let now = Instant::now();
            let due = state.release(now, self.playout);
            if let Some(Waiting { mut received, raw }) = state.frames.pop_front() {
                state.bytes -= raw.len();
                drop(state);
                received.payload = raw.to_bytes().into_owned();
                return Ok(received);
            }
            let left = due.map_or(deadline, |due| due.min(deadline)).saturating_duration_since(now);
            if deadline <= now {
                return Err(NoFrame::Timeout);
            }
            state = wait(&self.arrived, state, left);
        }
    }
}

impl State {
    /// Hands out what is next, and what is behind a gap that was waited for long enough. Returns when the next such wait ends.
    fn release(&mut self, now: Instant, playout: Duration) -> Option<Instant> {
        loop {
            let locked = self.locked.as_mut()?;
            let (next, first) = (locked.next?, locked.pending.first_entry()?);
            let due = first.get().received.arrived + playout;
            let full = locked.pending_bytes > MOST_BYTES;
            if *first.key() > next && now < due && !full {
                return Some(due);
            }
            let (sequence, waiting) = first.remove_entry();
            locked.pending_bytes -= waiting.raw.len();
            locked.next = Some(sequence.saturating_add(1));
            self.hand_out(waiting, (sequence > next).then(|| next..=sequence - 1));
        }
    }

    fn hand_out(&mut self, mut waiting: Waiting, gap: Option<RangeInclusive<u64>>) {
        let info = &waiting.received.info;
        if let Some(gap) = gap {
            self.counts.lost = self.counts.lost.saturating_add(gap.end() - gap.start() + 1);
            // Without references nobody can tell whether this frame is whole; a numbered stream's decoder asks itself.
            self.wants_key |= info.delta && info.number.is_none();
            self.missing = Some(join(self.missing.take(), gap));
        }
        self.counts.received += 1;
        self.counts.bytes += waiting.raw.len() as u64;
        waiting.received.missing = self.missing.take();
        self.bytes += waiting.raw.len();
        self.frames.push_back(waiting);
        while self.frames.len() > MOST_FRAMES || (self.bytes > MOST_BYTES && self.frames.len() > 1) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some(Waiting { received: oldest, raw }) = self.frames.pop_front() else { return };
        self.bytes -= raw.len();
        self.counts.overflowed += 1;
        if let Some(locked) = self.locked.as_mut().filter(|locked| locked.stream == oldest.stream) {
            locked.window.drop(oldest.sequence);
        }
        if let Some(next) = self.frames.front_mut() {
            let next = &mut next.received;
            if next.stream == oldest.stream {
                let gap = join(oldest.missing, oldest.sequence..=oldest.sequence);
                next.missing = Some(join(Some(gap), next.missing.take().unwrap_or(oldest.sequence..=oldest.sequence)));
                next.new_stream |= oldest.new_stream;
            }
        }
    }
}

fn join(before: Option<RangeInclusive<u64>>, after: RangeInclusive<u64>) -> RangeInclusive<u64> {
    let start = before.map_or(*after.start(), |before| *before.start().min(after.start()));
    start..=*after.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    fn header(stream: u64, sequence: u64, key: bool) -> Header {
        let info = FrameInfo { key, delta: !key, ..Default::default() };
        Header { stream, sequence, info, caps: key.then(|| "video/x-test".into()), caps_follow: true, acknowledge: false }
    }

    fn give(inbox: &Inbox, header: Header) -> Outcome {
        inbox.deliver("k", header, ZBytes::from(vec![1, 2, 3]))
    }

    #[test]
    fn a_stream_starts_with_a_key_frame() {
        let inbox = Inbox::new(Duration::ZERO);
        assert_eq!(give(&inbox, header(1, 0, true)), Outcome::Unknown);
        inbox.lock_onto("k", 1);
        assert!(!inbox.starting());
        assert_eq!(give(&inbox, header(1, 5, false)), Outcome::Taken);
        assert!(inbox.starting());
        assert_eq!(give(&inbox, header(2, 6, true)), Outcome::Unknown);
        assert_eq!(inbox.deliver("other", header(1, 6, true), ZBytes::new()), Outcome::Unknown);
        assert_eq!(give(&inbox, header(1, 8, true)), Outcome::Taken);
        let first = inbox.receive(NOW).unwrap();
        assert_eq!((first.sequence, first.new_stream, first.missing, first.payload.len()), (8, true, None, 3));
        assert_eq!(first.caps.as_deref(), Some("video/x-test"));
        assert_eq!(inbox.receive(NOW).unwrap_err(), NoFrame::Timeout);
        assert_eq!((inbox.counts().before_key, inbox.counts().lost), (1, 0));
    }

    #[test]
    fn a_stream_may_be_entered_at_a_recovery_point() {
        let inbox = Inbox::new(Duration::ZERO);
        inbox.lock_onto("k", 1);
        let mut recovery = header(1, 6, false);
        recovery.info.recovery = true;
        give(&inbox, header(1, 5, false));
        give(&inbox, recovery.clone());
        assert!(inbox.starting(), "its caps are missing");
        (recovery.sequence, recovery.caps) = (7, Some("video/x-test".into()));
        give(&inbox, recovery);
        give(&inbox, header(1, 8, false));
        let first = inbox.receive(NOW).unwrap();
        assert_eq!((first.sequence, first.new_stream, first.missing), (7, true, None));
        assert_eq!(inbox.receive(NOW).unwrap().sequence, 8);
        assert_eq!(inbox.counts().before_key, 2);
    }

    #[test]
    fn independent_frames_wait_for_their_caps() {
        let inbox = Inbox::new(Duration::ZERO);
        inbox.lock_onto("k", 1);
        let bare = |sequence| Header { caps: None, ..header(1, sequence, true) };
        give(&inbox, bare(0));
        assert!(inbox.starting());
        give(&inbox, header(1, 1, true));
        assert!(!inbox.starting());
        give(&inbox, bare(2));
        assert_eq!(inbox.receive(NOW).unwrap().sequence, 1);
        assert!(inbox.receive(NOW).unwrap().caps.is_some());
    }

    #[test]
    fn a_sender_without_caps_is_delivered_as_it_is() {
        let inbox = Inbox::new(Duration::ZERO);
        inbox.lock_onto("k", 1);
        assert_eq!(give(&inbox, Header { caps: None, caps_follow: false, ..header(1, 0, true) }), Outcome::Taken);
        assert_eq!(inbox.receive(NOW).unwrap().caps, None);
    }

    #[test]
    fn gaps_are_reported_and_nothing_is_held_back() {
        let inbox = Inbox::new(Duration::ZERO);
        inbox.lock_onto("k", 1);
        give(&inbox, header(1, 0, true));
        give(&inbox, header(1, 3, false));
        assert!(inbox.take_wants_key());
        let mut numbered = header(1, 5, false);
        numbered.info.number = Some(5);
        give(&inbox, numbered);
        assert!(!inbox.take_wants_key());
        give(&inbox, header(1, 4, false));
        give(&inbox, header(1, 5, false));
        assert_eq!(inbox.receive(NOW).unwrap().missing, None);
        assert_eq!(inbox.receive(NOW).unwrap().missing, Some(1..=2));
        assert_eq!(inbox.receive(NOW).unwrap().missing, Some(4..=4));
        assert!(inbox.receive(NOW).is_err());
        let counts = inbox.counts();
        assert_eq!((counts.received, counts.lost, counts.late, counts.duplicates), (3, 3, 1, 1));
    }

    #[test]
    fn a_slow_consumer_loses_the_oldest_and_is_told() {
        let inbox = Inbox::new(Duration::ZERO);
        inbox.lock_onto("k", 1);
        for sequence in 0..(MOST_FRAMES as u64 + 10) {
            give(&inbox, header(1, sequence, sequence == 0));
        }
        let first = inbox.receive(NOW).unwrap();
        assert_eq!((first.sequence, first.missing, first.new_stream), (10, Some(0..=9), true));
        assert_eq!(inbox.receive(NOW).unwrap().missing, None);
        assert_eq!(inbox.counts().overflowed, 10);
    }

    #[test]
    fn bytes_are_bounded_but_one_frame_always_passes() {
        let inbox = Inbox::new(Duration::ZERO);
        inbox.lock_onto("k", 1);
        for sequence in 0..3 {
            inbox.deliver("k", header(1, sequence, true), ZBytes::from(vec![0; MOST_BYTES + 1]));
        }
        assert_eq!(inbox.receive(NOW).unwrap().sequence, 2);
    }

    #[test]
    fn an_interrupt_wakes_the_consumer() {
        let inbox = Arc::new(Inbox::new(Duration::ZERO));
        let waiter = std::thread::spawn({
            let inbox = inbox.clone();
            move || inbox.receive(Duration::from_secs(60)).unwrap_err()
        });
        inbox.interrupt(true);
        assert_eq!(waiter.join().unwrap(), NoFrame::Interrupted);
        inbox.interrupt(false);
        assert_eq!(inbox.receive(NOW).unwrap_err(), NoFrame::Timeout);
    }

    fn sequences(inbox: &Inbox) -> Vec<(u64, bool, Option<RangeInclusive<u64>>)> {
        std::iter::from_fn(|| inbox.receive(NOW).ok()).map(|r| (r.sequence, r.recovered, r.missing)).collect()
    }

    #[test]
    fn frames_behind_a_gap_wait_for_what_is_sent_again() {
        let inbox = Inbox::new(Duration::from_secs(3600));
        inbox.lock_onto("k", 1);
        for (n, key) in [(0, true), (1, false), (4, false), (3, false)] {
            give(&inbox, header(1, n, key));
        }
        assert_eq!(sequences(&inbox), [(0, false, None), (1, false, None)]);
        assert_eq!(inbox.acknowledgement(9).unwrap().arrived & 0b11111, 0b11011);
        give(&inbox, header(1, 2, false));
        give(&inbox, header(1, 2, false));
        assert_eq!(sequences(&inbox), [(2, true, None), (3, true, None), (4, false, None)]);
        let counts = inbox.counts();
        assert_eq!((counts.received, counts.lost, counts.recovered, counts.duplicates), (5, 0, 2, 1));
    }

    #[test]
    fn they_wait_no_longer_than_the_playout_delay() {
        let inbox = Inbox::new(Duration::from_millis(20));
        inbox.lock_onto("k", 1);
        for (n, key) in [(0, true), (2, false), (3, false)] {
            give(&inbox, header(1, n, key));
        }
        assert_eq!(inbox.receive(NOW).unwrap().sequence, 0);
        let second = inbox.receive(Duration::from_secs(30)).unwrap();
        assert_eq!((second.sequence, second.missing), (2, Some(1..=1)));
        assert!(second.arrived.elapsed() >= Duration::from_millis(20));
        give(&inbox, header(1, 1, false));
        assert_eq!((inbox.counts().late, inbox.counts().lost), (1, 1));
        assert!(inbox.take_wants_key(), "passed in the consumer's thread");
    }

    #[test]
    fn what_arrived_is_acknowledged_where_the_sender_asks() {
        let inbox = Inbox::new(Duration::ZERO);
        inbox.lock_onto("k", 1);
        assert_eq!(inbox.acknowledgement(9), None);
        let numbered = |sequence: u64, references: &[u32]| {
            let key = references.is_empty();
            let mut header = Header { acknowledge: true, ..header(1, sequence, key) };
            (header.info.number, header.info.references) = (Some(sequence as u32 + 100), references.to_vec());
            header
        };
        assert_eq!(give(&inbox, numbered(5, &[])), Outcome::Acknowledge);
        give(&inbox, numbered(7, &[106]));
        give(&inbox, numbered(8, &[105]));
        let ack = inbox.acknowledgement(9).unwrap();
        assert_eq!((ack.receiver, ack.newest, ack.whole, ack.playout), (9, 8, 0b1001, 0));
        assert_eq!(ack.arrived, u64::MAX - 0b100);
    }
}
