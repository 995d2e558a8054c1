//! Frames from the network's threads to the one that consumes them: one stream only, in order, bounded.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use zenoh::bytes::ZBytes;

use crate::frame::FrameInfo;
use crate::sequence::{Arrival, Tracker};
use crate::sync::{lock, wait};
use crate::wire::Header;

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
    pub duplicates: u64,
    pub before_key: u64,
    pub overflowed: u64,
    pub foreign: u64,
}

/// What the network's side should do about a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Taken,
    /// Taken, but who can tell whether it is whole before a key frame comes.
    WantsKey,
    /// From a publisher that is not the locked one.
    Unknown,
}

#[derive(Debug)]
struct Locked {
    key: String,
    stream: u64,
    tracker: Tracker,
    caps: Option<Arc<str>>,
    /// Nothing was delivered yet: a stream begins with a frame that stands alone or from which it may be entered, and with its caps.
    starting: bool,
    heard: Option<Instant>,
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
    counts: Counts,
}

#[derive(Debug, Default)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    arrived: Condvar,
}

impl Inbox {
    /// Takes frames of this stream only from now on. Frames of the one before stay deliverable.
    pub(crate) fn lock_onto(&self, key: &str, stream: u64) {
        let mut state = lock(&self.state);
        state.missing = None;
        let tracker = Tracker::default();
        state.locked = Some(Locked { key: key.into(), stream, tracker, caps: None, starting: true, heard: None });
    }

    /// When the locked stream was last heard.
    pub(crate) fn heard(&self) -> Option<Instant> {
        lock(&self.state).locked.as_ref()?.heard
    }

    /// Frames come, but none yet that a stream can start with.
    pub(crate) fn starting(&self) -> bool {
        lock(&self.state).locked.as_ref().is_some_and(|locked| locked.starting && locked.heard.is_some())
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
        let mut gap = None;
        match locked.tracker.arrive(header.sequence) {
            Arrival::InOrder => {}
            Arrival::Gap(missing) => gap = Some(missing),
            Arrival::Late => {
                state.counts.late += 1;
                return Outcome::Taken;
            }
            Arrival::Duplicate => {
                state.counts.duplicates += 1;
                return Outcome::Taken;
            }
        }
        if let Some(caps) = header.caps
            && locked.caps.as_deref() != Some(caps.as_str())
        {
            locked.caps = Some(caps.into());
        }
        let new_stream = locked.starting;
        if locked.starting {
            let info = &header.info;
            if (info.delta && !info.recovery) || (header.caps_follow && locked.caps.is_none()) {
                state.counts.before_key += 1;
                return Outcome::Taken;
            }
            locked.starting = false;
            // What came before the first frame was never this receiver's.
            gap = None;
        }
        let mut outcome = Outcome::Taken;
        if let Some(gap) = gap {
            state.counts.lost = state.counts.lost.saturating_add(gap.end() - gap.start() + 1);
            if header.info.delta && header.info.number.is_none() {
                // Without references nobody can tell whether this frame is whole; a numbered stream's decoder asks itself.
                outcome = Outcome::WantsKey;
            }
            state.missing = Some(join(state.missing.take(), gap));
        }
        state.counts.received += 1;
        state.counts.bytes += raw.len() as u64;
        let received = Received {
            info: header.info,
            payload: Vec::new(),
            caps: locked.caps.clone(),
            stream: header.stream,
            sequence: header.sequence,
            arrived: now,
            new_stream,
            missing: state.missing.take(),
        };
        state.bytes += raw.len();
        state.frames.push_back(Waiting { received, raw });
        while state.frames.len() > MOST_FRAMES || (state.bytes > MOST_BYTES && state.frames.len() > 1) {
            state.drop_oldest();
        }
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
            if let Some(Waiting { mut received, raw }) = state.frames.pop_front() {
                state.bytes -= raw.len();
                drop(state);
                received.payload = raw.to_bytes().into_owned();
                return Ok(received);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(NoFrame::Timeout);
            }
            state = wait(&self.arrived, state, left);
        }
    }
}

impl State {
    fn drop_oldest(&mut self) {
        let Some(Waiting { received: oldest, raw }) = self.frames.pop_front() else { return };
        self.bytes -= raw.len();
        self.counts.overflowed += 1;
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
        Header { stream, sequence, info, caps: key.then(|| "video/x-test".into()), caps_follow: true }
    }

    fn give(inbox: &Inbox, header: Header) -> Outcome {
        inbox.deliver("k", header, ZBytes::from(vec![1, 2, 3]))
    }

    #[test]
    fn a_stream_starts_with_a_key_frame() {
        let inbox = Inbox::default();
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
        let inbox = Inbox::default();
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
        let inbox = Inbox::default();
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
        let inbox = Inbox::default();
        inbox.lock_onto("k", 1);
        assert_eq!(give(&inbox, Header { caps: None, caps_follow: false, ..header(1, 0, true) }), Outcome::Taken);
        assert_eq!(inbox.receive(NOW).unwrap().caps, None);
    }

    #[test]
    fn gaps_are_reported_and_nothing_is_held_back() {
        let inbox = Inbox::default();
        inbox.lock_onto("k", 1);
        give(&inbox, header(1, 0, true));
        assert_eq!(give(&inbox, header(1, 3, false)), Outcome::WantsKey);
        let mut numbered = header(1, 5, false);
        numbered.info.number = Some(5);
        assert_eq!(give(&inbox, numbered), Outcome::Taken);
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
        let inbox = Inbox::default();
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
        let inbox = Inbox::default();
        inbox.lock_onto("k", 1);
        for sequence in 0..3 {
            inbox.deliver("k", header(1, sequence, true), ZBytes::from(vec![0; MOST_BYTES + 1]));
        }
        assert_eq!(inbox.receive(NOW).unwrap().sequence, 2);
    }

    #[test]
    fn an_interrupt_wakes_the_consumer() {
        let inbox = Arc::new(Inbox::default());
        let waiter = std::thread::spawn({
            let inbox = inbox.clone();
            move || inbox.receive(Duration::from_secs(60)).unwrap_err()
        });
        inbox.interrupt(true);
        assert_eq!(waiter.join().unwrap(), NoFrame::Interrupted);
        inbox.interrupt(false);
        assert_eq!(inbox.receive(NOW).unwrap_err(), NoFrame::Timeout);
    }
}
