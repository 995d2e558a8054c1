//! What a sender knows of its last frames: which receivers hold them, whether the network loses any, what is worth sending again.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use zenoh::bytes::ZBytes;

use crate::frame::MAX_REFERENCES;
use crate::wire::{ACKNOWLEDGED, Acknowledgement};

/// A receiver that was silent for so long is waited for no more: it lags or is gone.
const FRESH: Duration = Duration::from_secs(1);
/// After a loss frames refer to acknowledged ones for so long. Each of them costs a few bytes more, a loss among others every frame
/// until news of it came.
const LOSSY: Duration = Duration::from_secs(10);
/// One request for a key frame is explained by a loss that references mend; a second one this soon is not.
const EXCUSED: Duration = Duration::from_millis(1500);
/// Where so many frames are lost that one try more does not mend it in time, each goes out twice, that much later ...
const TWICE: f32 = 0.15;
const TWICE_AFTER: Duration = Duration::from_millis(8);
/// ... until this share lacks both: a tenth of the network's frames is lost then, which sending again mends.
const ONCE: f32 = 0.01;
/// Frames over which the share is taken.
const JUDGED: f32 = 100.0;
/// Before anything was measured.
const ROUND_TRIP: Duration = Duration::from_millis(100);
/// Bytes that are kept to be sent again.
const MOST_COPIES: usize = 16 << 20;
/// Receivers that are kept account of.
const MOST_PEERS: usize = 1024;

/// A frame that went out.
#[derive(Debug)]
pub(crate) struct Sent {
    pub sequence: u64,
    pub number: Option<u32>,
    pub key: bool,
    pub at: Instant,
    pub size: usize,
    /// Payload and attachment, to be sent again.
    pub copy: Option<(ZBytes, ZBytes)>,
}

#[derive(Debug)]
struct Peer {
    heard: Instant,
    last: Acknowledgement,
    /// When a frame was last sent again, by sequence number.
    again: BTreeMap<u64, Instant>,
    excused: Option<Instant>,
    /// Share of frames that were missing when a later one arrived.
    missing: f32,
    twice: bool,
}

/// What an acknowledgement brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct News {
    /// Between sending the newest frame and hearing of it.
    pub round_trip: Option<Duration>,
    /// Frames that are missing and were not known to be.
    pub lost: u64,
    /// A key frame is among them that will not be sent again: nothing helps but another.
    pub lost_key: bool,
    /// Frames that this receiver was not known to have, the oldest first: sequence number, size.
    pub arrived: Vec<(u64, usize)>,
}

#[derive(Debug, Default)]
pub(crate) struct History {
    sent: VecDeque<Sent>,
    copies: usize,
    peers: BTreeMap<u64, Peer>,
    lossy: Option<Instant>,
    round_trip: Option<Duration>,
}

impl Peer {
    fn whole(&self, sequence: u64) -> bool {
        self.last.bit(self.last.whole, sequence) == Some(true)
    }

    fn playout(&self) -> Duration {
        Duration::from_millis(self.last.playout.into())
    }

    fn fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.heard) < FRESH
    }

    fn judge(&mut self, arrived: bool) {
        self.missing += (f32::from(!arrived) - self.missing) / JUDGED;
        self.twice = self.missing >= if self.twice { ONCE } else { TWICE };
    }
}

impl History {
    /// A frame went out. Its copy is kept while somebody may ask for it.
    pub(crate) fn sent(&mut self, mut frame: Sent) {
        if !self.resends(frame.at) {
            frame.copy = None;
        }
        self.copies += frame.copy.as_ref().map_or(0, |_| frame.size);
        self.sent.push_back(frame);
        if self.sent.len() as u64 > ACKNOWLEDGED {
            let gone = self.sent.pop_front();
            self.copies -= gone.filter(|sent| sent.copy.is_some()).map_or(0, |sent| sent.size);
        }
        for sent in &mut self.sent {
            if self.copies <= MOST_COPIES {
                break;
            }
            self.copies -= sent.copy.take().map_or(0, |_| sent.size);
        }
    }

    /// Whether some receiver wants what it lost sent again.
    pub(crate) fn resends(&self, now: Instant) -> bool {
        self.peers.values().any(|peer| peer.last.playout > 0 && peer.fresh(now))
    }

    pub(crate) fn acknowledge(&mut self, ack: Acknowledgement, now: Instant) -> News {
        if self.peers.len() >= MOST_PEERS && !self.peers.contains_key(&ack.receiver) {
            return News::default();
        }
        let before = self.peers.get(&ack.receiver).map(|peer| peer.last);
        if before.is_some_and(|before| before.newest > ack.newest) {
            // Overtaken by a later one, which says all that this does.
            return News::default();
        }
        let peer = self.peers.entry(ack.receiver).or_insert(Peer {
            heard: now,
            last: ack,
            again: BTreeMap::new(),
            excused: None,
            missing: 0.0,
            twice: false,
        });
        (peer.heard, peer.last) = (now, ack);
        let mut news = News::default();
        let known = |sequence: u64| match before {
            // Who joins has had nothing before.
            None => sequence < ack.newest,
            Some(last) => last.has(sequence) == Some(true),
        };
        let judged = before.map_or(ack.newest, |before| before.newest);
        for sent in self.sent.iter().filter(|sent| sent.sequence <= ack.newest) {
            if sent.sequence > judged {
                peer.judge(ack.has(sent.sequence) == Some(true));
            }
            if ack.has(sent.sequence) == Some(true) {
                peer.again.remove(&sent.sequence);
                if !known(sent.sequence) {
                    news.arrived.push((sent.sequence, sent.size));
                }
            } else if sent.sequence > judged {
                news.lost += 1;
                news.lost_key |= sent.key && (peer.last.playout == 0 || sent.copy.is_none());
            }
        }
        let newest = self.sent.iter().find(|sent| sent.sequence == ack.newest && before.is_none_or(|before| before.newest < ack.newest));
        news.round_trip = newest.map(|sent| now.saturating_duration_since(sent.at));
        if let Some(sample) = news.round_trip {
            self.round_trip = Some(self.round_trip.map_or(sample, |mean| (7 * mean + sample) / 8));
        }
        if news.lost > 0 {
            self.lossy = Some(now);
        }
        news
    }

    /// Frames went out and no receiver ever said anything.
    pub(crate) fn unheard(&self) -> bool {
        self.peers.is_empty() && !self.sent.is_empty()
    }

    pub(crate) fn left(&mut self, receiver: u64) {
        self.peers.remove(&receiver);
    }

    /// Another session: nothing that was said before holds.
    pub(crate) fn clear_peers(&mut self) {
        self.peers.clear();
        self.lossy = None;
    }

    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// Bytes of frames that went out and of which nothing is known at the receiver that is furthest behind.
    pub(crate) fn in_flight(&self, now: Instant) -> usize {
        let of = |peer: &Peer| self.sent.iter().filter(|sent| sent.sequence > peer.last.newest).map(|sent| sent.size).sum();
        self.peers.values().filter(|peer| peer.fresh(now)).map(of).max().unwrap_or(0)
    }

    /// Whether the network loses frames.
    fn loses(&self, now: Instant) -> bool {
        self.lossy.is_some_and(|last| now.saturating_duration_since(last) < LOSSY)
    }

    /// The encoder holds nothing that is older.
    fn newest_key(&self) -> u64 {
        self.sent.iter().rev().find(|sent| sent.key).map_or(0, |sent| sent.sequence)
    }

    /// While the network loses frames: numbers of those that every receiver can decode, the newest first.
    pub(crate) fn acknowledged(&self, now: Instant) -> Option<Vec<u32>> {
        if !self.loses(now) {
            return None;
        }
        // Who knows that it lost the newest key frame needs another: it holds nothing that the encoder still does.
        let key = self.newest_key();
        let since = |peer: &Peer| self.sent.iter().any(|sent| sent.sequence >= key && peer.whole(sent.sequence));
        let counts = |peer: &&Peer| peer.fresh(now) && (peer.last.newest < key || since(peer));
        let peers: Vec<&Peer> = self.peers.values().filter(counts).collect();
        if peers.is_empty() {
            return None;
        }
        let held = self.sent.iter().rev().filter(|sent| peers.iter().all(|peer| peer.whole(sent.sequence)));
        Some(held.filter_map(|sent| sent.number).take(MAX_REFERENCES).collect())
    }

    /// Whether a request for a key frame can be left to references: its receiver lost something lately and holds something newer than the
    /// last key frame that the encoder will refer to.
    pub(crate) fn excuses(&mut self, receiver: u64, now: Instant) -> bool {
        let loses = self.loses(now);
        let key = self.newest_key();
        let Some(peer) = self.peers.get_mut(&receiver).filter(|peer| loses && peer.fresh(now)) else { return false };
        let numbered = self.sent.iter().filter(|sent| sent.sequence >= key && sent.sequence <= peer.last.newest && sent.number.is_some());
        let (whole, broken): (Vec<_>, Vec<_>) = numbered.partition(|sent| peer.whole(sent.sequence));
        let again = peer.excused.is_some_and(|last| now.saturating_duration_since(last) < EXCUSED);
        let excused = !whole.is_empty() && !broken.is_empty() && !again;
        if excused {
            peer.excused = Some(now);
        }
        excused
    }

    /// What to send again now, and to whom: receiver, payload, attachment. `spare`: nothing before it is known to be needed, as where
    /// losses may come of too many bytes.
    pub(crate) fn again(&mut self, now: Instant, spare: bool) -> Vec<(u64, ZBytes, ZBytes)> {
        let round_trip = self.round_trip.unwrap_or(ROUND_TRIP);
        let mut due = Vec::new();
        for (receiver, peer) in self.peers.iter_mut().filter(|(_, peer)| peer.last.playout > 0 && peer.fresh(now)) {
            peer.again.retain(|sequence, _| peer.last.newest.saturating_sub(*sequence) < ACKNOWLEDGED);
            for sent in &self.sent {
                let Some((payload, attachment)) = &sent.copy else { continue };
                let arrived = peer.last.has(sent.sequence);
                // Of frames above the newest that arrived nothing is known; they are given more time.
                let last = peer.again.get(&sent.sequence).copied();
                let patience = match arrived {
                    None if peer.twice && last.is_none() && !spare => TWICE_AFTER,
                    None => round_trip + round_trip / 2 + Duration::from_millis(10),
                    Some(_) => round_trip,
                };
                let last = last.unwrap_or(sent.at);
                let useful = now.saturating_duration_since(sent.at) < peer.playout();
                if arrived != Some(true) && useful && now.saturating_duration_since(last) >= patience {
                    peer.again.insert(sent.sequence, now);
                    due.push((*receiver, payload.clone(), attachment.clone()));
                }
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// 30 frames a second from frame 0, a key frame, on.
    struct Play {
        history: History,
        start: Instant,
        next: u64,
    }

    impl Play {
        fn new() -> Self {
            Self { history: History::default(), start: Instant::now(), next: 0 }
        }

        fn at(&self, ms: u32) -> Instant {
            self.start + ms * MS
        }

        fn send(&mut self, frames: u64) {
            for _ in 0..frames {
                let n = self.next;
                let (at, copy) = (self.at(33 * n as u32), Some((ZBytes::from(vec![n as u8]), ZBytes::new())));
                self.history.sent(Sent { sequence: n, number: Some(n as u32), key: n == 0, at, size: 1000, copy });
                self.next += 1;
            }
        }

        /// `arrived` and `whole`: bits of the newest frames; older ones all did.
        fn hear(&mut self, receiver: u64, newest: u64, missing: u64, broken: u64, playout: u16, ms: u32) -> News {
            let ack = Acknowledgement { receiver, newest, arrived: !missing, whole: !broken, at: 0, playout };
            self.history.acknowledge(ack, self.at(ms))
        }

        fn again(&mut self, ms: u32) -> Vec<(u64, u8)> {
            let now = self.at(ms);
            self.history.again(now, false).into_iter().map(|(to, payload, _)| (to, payload.to_bytes()[0])).collect()
        }
    }

    #[test]
    fn without_losses_the_encoder_is_left_alone() {
        let mut play = Play::new();
        play.send(3);
        let news = play.hear(1, 1, 0, 0, 0, 80);
        assert_eq!((news.lost, news.round_trip), (0, Some(47 * MS)));
        assert_eq!(play.hear(1, 2, 0, 0, 0, 113).arrived, [(2, 1000)]);
        assert_eq!(play.history.acknowledged(play.at(113)), None);
        assert!(!play.history.excuses(1, play.at(113)));
    }

    #[test]
    fn after_a_loss_references_are_what_all_hold_for_a_while() {
        let mut play = Play::new();
        play.send(6);
        play.hear(1, 1, 0, 0, 0, 80);
        play.hear(2, 1, 0, 0, 0, 80);
        let news = play.hear(1, 4, 0b100, 0b111, 0, 200);
        assert_eq!((news.lost, news.lost_key, news.arrived), (1, false, vec![(3, 1000), (4, 1000)]));
        assert_eq!(play.hear(1, 4, 0b100, 0b111, 0, 201).lost, 0, "known");
        assert_eq!(play.history.acknowledged(play.at(201)), Some(vec![1, 0]));
        play.hear(2, 4, 0, 0, 0, 202);
        assert_eq!(play.history.acknowledged(play.at(202)), Some(vec![1, 0]));
        play.hear(1, 5, 0b1000, 0b1110, 0, 240);
        assert_eq!(play.history.acknowledged(play.at(240)), Some(vec![1, 0]), "receiver 2 has said nothing of 5");
        play.hear(2, 5, 0, 0, 0, 241);
        assert_eq!(play.history.acknowledged(play.at(241)), Some(vec![5, 1, 0]));
        assert!(play.history.acknowledged(play.at(1200)).is_some_and(|list| list.len() == 3));
        assert_eq!(play.history.acknowledged(play.at(1300)), None, "both are silent");
        play.hear(1, 5, 0b1000, 0b1110, 0, 9000);
        assert!(play.history.acknowledged(play.at(9001)).is_some());
        play.hear(1, 5, 0b1000, 0b1110, 0, 10_100);
        assert_eq!(play.history.acknowledged(play.at(10_300)), None, "ten seconds without loss");
    }

    #[test]
    fn a_lagging_or_lost_receiver_leaves_the_set() {
        let mut play = Play::new();
        play.send(4);
        play.hear(1, 0, 0, 0, 0, 50);
        play.hear(2, 0, 0, 0, 0, 50);
        play.hear(1, 3, 0b10, 0b10, 0, 150);
        assert_eq!(play.history.acknowledged(play.at(150)), Some(vec![0]));
        assert_eq!(play.history.acknowledged(play.at(1060)), Some(vec![3, 1, 0]));
        play.hear(2, 3, 0b111, 0b1111, 0, 1070);
        assert_eq!(play.history.acknowledged(play.at(1071)), Some(vec![3, 1, 0]), "nothing of what 2 holds is of use");
        play.history.left(1);
        assert_eq!(play.history.acknowledged(play.at(1071)), None);
    }

    #[test]
    fn where_many_are_lost_each_goes_out_twice() {
        let mut play = Play::new();
        let twice = |play: &mut Play, lost: fn(u64) -> bool| {
            let from = play.next;
            for n in from..from + 400 {
                play.send(1);
                if lost(n) {
                    continue;
                }
                let missing = (0..63).filter(|i| n.checked_sub(*i).is_some_and(lost)).fold(0, |bits, i| bits | 1 << i);
                play.hear(1, n, missing, 0, 150, 33 * n as u32 + 25);
            }
            play.send(1);
            // The newest frame, of which nothing is known yet.
            let n = play.next - 1;
            let now = play.at(33 * n as u32 + 9);
            let again =
                |play: &mut Play, spare| play.history.again(now, spare).iter().any(|(_, payload, _)| payload.to_bytes()[0] == n as u8);
            (!again(play, true)) && again(play, false)
        };
        assert!(!twice(&mut play, |n| n % 10 == 0), "a tenth");
        assert!(twice(&mut play, |n| n % 10 < 3), "three tenths");
        assert!(twice(&mut play, |n| n % 16 == 0), "some of them lack both");
        assert!(!twice(&mut play, |_| false), "nothing is lost any more");
    }

    #[test]
    fn a_lost_key_frame_is_named_unless_it_is_sent_again() {
        for (playout, named) in [(0, true), (150, false)] {
            let mut play = Play::new();
            play.send(1);
            play.hear(1, 0, 0, 0, playout, 50);
            let at = play.at(33);
            let copy = Some((ZBytes::from(vec![1]), ZBytes::new()));
            play.history.sent(Sent { sequence: 1, number: Some(1), key: true, at, size: 9000, copy });
            play.next = 2;
            play.send(1);
            let news = play.hear(1, 2, 0b10, 0b11, playout, 150);
            assert_eq!((news.lost, news.lost_key), (1, named));
        }
    }

    #[test]
    fn what_is_missing_is_sent_again_while_it_can_still_be_shown() {
        let mut play = Play::new();
        play.send(1);
        play.hear(1, 0, 0, 0, 150, 50);
        play.hear(2, 0, 0, 0, 0, 50);
        play.send(4);
        assert_eq!(play.hear(1, 2, 0b10, 0b11, 150, 116).lost, 1);
        play.hear(2, 2, 0b10, 0b11, 0, 116);
        assert_eq!(play.again(116), [(1, 1)], "receiver 2 does not wait");
        assert_eq!(play.again(120), []);
        play.hear(1, 4, 0b1000, 0b1111, 150, 182);
        assert_eq!(play.again(182), [(1, 1)], "the second try");
        assert_eq!(play.again(240), [], "too late");
        play.hear(1, 4, 0, 0, 150, 241);
        assert_eq!(play.again(400), []);
    }

    #[test]
    fn the_last_frame_is_sent_again_without_news_of_later_ones() {
        let mut play = Play::new();
        play.send(1);
        play.hear(1, 0, 0, 0, 200, 50);
        play.send(1);
        assert_eq!(play.again(33 + 84), []);
        assert_eq!(play.again(33 + 86), [(1, 1)]);
        assert_eq!(play.again(33 + 90), []);
    }

    #[test]
    fn one_request_for_a_key_frame_is_excused_by_a_loss() {
        let mut play = Play::new();
        play.send(5);
        play.hear(1, 1, 0, 0, 0, 80);
        play.hear(1, 4, 0b100, 0b111, 0, 200);
        assert!(!play.history.excuses(7, play.at(200)), "unknown");
        assert!(play.history.excuses(1, play.at(200)));
        assert!(!play.history.excuses(1, play.at(900)), "it insists");
        play.hear(1, 4, 0b11111, 0b11111, 0, 2500);
        assert!(!play.history.excuses(1, play.at(2500)), "it holds nothing");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut history = History::default();
        let now = Instant::now();
        history.acknowledge(Acknowledgement { receiver: 1, playout: 100, ..Default::default() }, now);
        for sequence in 0..200 {
            let copy = Some((ZBytes::from(vec![0; 1 << 20]), ZBytes::new()));
            history.sent(Sent { sequence, number: None, key: true, at: now, size: 1 << 20, copy });
        }
        let kept: usize = history.sent.iter().filter(|sent| sent.copy.is_some()).map(|sent| sent.size).sum();
        assert_eq!((history.sent.len(), kept, history.copies), (64, 16 << 20, 16 << 20));
        (0..5000).for_each(|receiver| drop(history.acknowledge(Acknowledgement { receiver, ..Default::default() }, now)));
        assert_eq!(history.peers.len(), MOST_PEERS);
    }
}
