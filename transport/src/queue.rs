//! The sender's bounded queue, and which frames it gives up when the network is slower than the stream.
//!
//! | stream | full queue | why |
//! |---|---|---|
//! | numbered frames with references (lic) | refuses the new frame, a recovery point too; a new key frame pushes out the older ones that are none | no queued frame was coded against the newest one, so all that is sent stays decodable; the encoder hears of it and refers to an older frame |
//! | delta units without numbers (H.264) | drops the oldest whole group of pictures; if there is only one, all until the next key unit | half a group shows nothing, or damage |
//! | neither (JPEG, raw) | drops the oldest | each stands for itself, and the newest is worth most |

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::frame::{Frame, MAX_REFERENCES};

/// Bounds of a queue; it is full when any of them is reached. One frame always fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub frames: usize,
    pub bytes: usize,
    /// How long the oldest frame may have waited where giving up means a whole group of pictures. Where it costs a single
    /// frame, a quarter of this: better a lower rate than an old picture.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { frames: 60, bytes: 8 << 20, time: Duration::from_secs(2) }
    }
}

#[derive(Debug)]
pub(crate) struct Item {
    pub sequence: u64,
    pub frame: Frame,
    pub caps: Option<Arc<str>>,
    pub queued: Instant,
}

/// What a push cost.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Pushed {
    pub evicted: usize,
    /// Codec frame numbers of those evicted that have one.
    pub lost: Vec<u32>,
    /// Nothing decodable follows until the encoder makes a key frame.
    pub wants_key: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    References,
    Groups,
    Single,
}

#[derive(Debug)]
pub(crate) struct Queue {
    limits: Limits,
    items: VecDeque<Item>,
    bytes: usize,
    deltas: bool,
    /// Newest evicted frame numbers, to recognise frames coded against them.
    lost: VecDeque<u32>,
    /// Frames in a row that needed a lost one: the encoder does not listen.
    orphans: usize,
    until_key: bool,
}

/// More than any encoder holds or has on its way.
const REMEMBERED: usize = 64;

/// Fractions of [`Limits::time`].
const PROMPT: u32 = 4;
const PATIENT: u32 = 1;

impl Queue {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, items: VecDeque::new(), bytes: 0, deltas: false, lost: VecDeque::new(), orphans: 0, until_key: false }
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether frames depend on earlier ones.
    pub(crate) fn depends(&self) -> bool {
        self.deltas
    }

    /// A new stream format: what was learnt of the old one no longer holds.
    pub(crate) fn reset(&mut self) {
        self.deltas = false;
        self.until_key = false;
        self.orphans = 0;
        self.lost.clear();
    }

    /// The frame that is next to go.
    pub(crate) fn front(&self) -> Option<&Item> {
        self.items.front()
    }

    pub(crate) fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        self.bytes -= item.frame.payload.len();
        Some(item)
    }

    /// Takes a frame in, or gives it or older ones up.
    pub(crate) fn push(&mut self, item: Item) -> Pushed {
        let mut pushed = Pushed::default();
        let info = &item.frame.info;
        let key = info.key;
        self.deltas |= info.delta || !info.references.is_empty();
        let kind = match info.number {
            Some(_) => Kind::References,
            None if self.deltas => Kind::Groups,
            None => Kind::Single,
        };
        if key {
            self.lost.clear();
            self.orphans = 0;
            self.until_key = false;
        }
        let keep = match kind {
            Kind::References => self.room_by_references(&item, &mut pushed),
            Kind::Groups => self.room_by_groups(&item, &mut pushed),
            Kind::Single => {
                while self.full_for(&item, PROMPT) {
                    self.evict(0, &mut pushed);
                }
                true
            }
        };
        if keep {
            self.bytes += item.frame.payload.len();
            self.items.push_back(item);
        } else {
            self.count(&item, &mut pushed);
        }
        pushed
    }

    fn room_by_references(&mut self, item: &Item, pushed: &mut Pushed) -> bool {
        let info = &item.frame.info;
        if info.key {
            let mut at = 0;
            while self.full_for(item, PROMPT) && at < self.items.len() {
                if self.items[at].frame.info.key { at += 1 } else { self.evict(at, pushed) }
            }
            while self.full_for(item, PROMPT) {
                self.evict(0, pushed);
            }
            return true;
        }
        if info.references.iter().any(|number| self.lost.contains(number)) {
            self.orphans += 1;
            pushed.wants_key = self.orphans.is_multiple_of(4 * MAX_REFERENCES);
            return false;
        }
        self.orphans = 0;
        !self.full_for(item, PROMPT)
    }

    fn room_by_groups(&mut self, item: &Item, pushed: &mut Pushed) -> bool {
        if self.until_key {
            return false;
        }
        while self.full_for(item, PATIENT) {
            let next = (1..self.items.len()).find(|&at| self.items[at].frame.info.key);
            match next {
                Some(next) => (0..next).for_each(|_| self.evict(0, pushed)),
                None if item.frame.info.key => (0..self.items.len()).for_each(|_| self.evict(0, pushed)),
                None => {
                    self.until_key = true;
                    pushed.wants_key = true;
                    return false;
                }
            }
        }
        true
    }

    fn full_for(&self, item: &Item, patience: u32) -> bool {
        let Some(oldest) = self.items.front() else { return false };
        self.items.len() >= self.limits.frames
            || self.bytes.saturating_add(item.frame.payload.len()) > self.limits.bytes
            || item.queued.saturating_duration_since(oldest.queued) > self.limits.time / patience
    }

    fn evict(&mut self, at: usize, pushed: &mut Pushed) {
        if let Some(item) = self.items.remove(at) {
            self.bytes -= item.frame.payload.len();
            self.count(&item, pushed);
        }
    }

    fn count(&mut self, item: &Item, pushed: &mut Pushed) {
        pushed.evicted += 1;
        if let Some(number) = item.frame.info.number {
            pushed.lost.push(number);
            if self.lost.len() == REMEMBERED {
                self.lost.pop_front();
            }
            self.lost.push_back(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::FrameInfo;

    struct Bench {
        queue: Queue,
        start: Instant,
        sequence: u64,
    }

    impl Bench {
        fn new(frames: usize) -> Self {
            let limits = Limits { frames, bytes: 1000, time: Duration::from_secs(1) };
            Self { queue: Queue::new(limits), start: Instant::now(), sequence: 0 }
        }

        fn push(&mut self, info: FrameInfo, bytes: usize, millis: u64) -> Pushed {
            self.sequence += 1;
            let frame = Frame { info, payload: vec![0; bytes] };
            self.queue.push(Item { sequence: self.sequence, frame, caps: None, queued: self.start + Duration::from_millis(millis) })
        }

        fn lic(&mut self, number: u32, references: &[u32]) -> Pushed {
            let key = references.is_empty();
            self.push(FrameInfo { key, delta: !key, number: Some(number), references: references.into(), ..Default::default() }, 1, 0)
        }

        fn avc(&mut self, key: bool) -> Pushed {
            self.push(FrameInfo { key, delta: !key, ..Default::default() }, 1, 0)
        }

        fn left(&mut self) -> Vec<u64> {
            std::iter::from_fn(|| self.queue.pop()).map(|item| item.sequence).collect()
        }
    }

    #[test]
    fn a_referring_stream_gives_up_the_newest_and_stays_decodable() {
        let mut bench = Bench::new(3);
        for number in 0..3u32 {
            let before: Vec<u32> = number.checked_sub(1).into_iter().collect();
            assert_eq!(bench.lic(number, &before), Pushed::default());
        }
        assert_eq!(bench.lic(3, &[2]), Pushed { evicted: 1, lost: vec![3], wants_key: false });
        // Coded before the encoder heard of it: needs 3, which was never sent.
        bench.queue.pop();
        assert_eq!(bench.lic(4, &[3]).lost, [4]);
        // The encoder has heard.
        assert_eq!(bench.lic(5, &[2]), Pushed::default());
        assert_eq!(bench.left(), [2, 3, 6]);
    }

    #[test]
    fn a_key_frame_pushes_out_what_it_replaces() {
        let mut bench = Bench::new(3);
        bench.lic(0, &[]);
        bench.lic(1, &[0]);
        bench.lic(2, &[1]);
        assert_eq!(bench.lic(3, &[]), Pushed { evicted: 1, lost: vec![1], wants_key: false });
        assert_eq!(bench.lic(4, &[]).lost, [2]);
        assert_eq!(bench.lic(5, &[]).lost, [0]);
        assert_eq!(bench.left(), [4, 5, 6]);
    }

    #[test]
    fn a_recovery_point_replaces_nothing() {
        let mut bench = Bench::new(2);
        bench.lic(0, &[]);
        bench.lic(1, &[0]);
        let recovery =
            |number| FrameInfo { delta: true, recovery: true, number: Some(number), references: vec![number - 1], ..Default::default() };
        assert_eq!(bench.push(recovery(2), 1, 0).lost, [2]);
        bench.queue.pop();
        assert_eq!(bench.push(recovery(3), 1, 0).lost, [3], "it needs a frame that was never sent");
        assert_eq!(bench.left(), [2]);
    }

    #[test]
    fn a_key_frame_forgets_what_was_lost() {
        let mut bench = Bench::new(1);
        bench.lic(0, &[]);
        assert_eq!(bench.lic(1, &[0]).lost, [1]);
        bench.queue.pop();
        bench.lic(2, &[]);
        bench.queue.pop();
        assert_eq!(bench.lic(3, &[1]), Pushed::default());
    }

    #[test]
    fn an_encoder_that_does_not_listen_is_asked_for_a_key_frame() {
        let mut bench = Bench::new(1);
        bench.lic(0, &[]);
        bench.lic(1, &[0]);
        bench.queue.pop();
        let asked = (2..102).filter(|&number| bench.lic(number, &[number - 1]).wants_key).count();
        assert_eq!(asked, 100 / 32);
    }

    #[test]
    fn groups_go_as_a_whole() {
        let mut bench = Bench::new(4);
        for key in [true, false, false, true] {
            assert_eq!(bench.avc(key), Pushed::default());
        }
        assert_eq!(bench.avc(false), Pushed { evicted: 3, ..Default::default() });
        assert_eq!(bench.left(), [4, 5]);
    }

    #[test]
    fn a_single_group_ends_until_the_next_key_unit() {
        let mut bench = Bench::new(2);
        bench.avc(true);
        bench.avc(false);
        assert_eq!(bench.avc(false), Pushed { evicted: 1, lost: vec![], wants_key: true });
        bench.queue.pop();
        assert_eq!(bench.avc(false), Pushed { evicted: 1, ..Default::default() });
        assert_eq!(bench.avc(true), Pushed::default());
        assert_eq!(bench.avc(true).evicted, 1);
        assert_eq!(bench.left(), [5, 6]);
    }

    #[test]
    fn independent_frames_lose_the_oldest() {
        let mut bench = Bench::new(2);
        for _ in 0..5 {
            bench.avc(true);
        }
        assert_eq!(bench.left(), [4, 5]);
    }

    #[test]
    fn bytes_and_time_bound_too() {
        let key = || FrameInfo { key: true, ..Default::default() };
        let mut bench = Bench::new(100);
        bench.push(key(), 600, 0);
        assert_eq!(bench.push(key(), 600, 0).evicted, 1);
        assert_eq!(bench.push(key(), 5000, 0).evicted, 1);
        assert_eq!(bench.queue.bytes(), 5000);
        assert_eq!(bench.left(), [3]);
        bench.push(key(), 1, 0);
        assert_eq!(bench.push(key(), 1, 250).evicted, 0);
        assert_eq!(bench.push(key(), 1, 251).evicted, 1);
        assert_eq!(bench.left(), [5, 6]);
        assert_eq!(bench.queue.bytes(), 0);
        let delta = || FrameInfo { delta: true, ..Default::default() };
        bench.push(key(), 1, 0);
        assert_eq!(bench.push(delta(), 1, 1000).evicted, 0);
        assert!(bench.push(delta(), 1, 1001).wants_key);
    }
}
