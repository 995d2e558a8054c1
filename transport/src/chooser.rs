//! Which publisher a receiver listens to. Two cameras must never interleave, and a restarted one must come back by itself.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Silence after which a newer stream on the same key takes over, if the old one's token was taken back.
const GONE: Duration = Duration::from_millis(300);
/// The same while the token still stands: a sender that lost power keeps it until its lease ends. The newer stream must be
/// heard that much later, so that a machine that is only busy changes nothing.
const SILENT: Duration = Duration::from_secs(2);
/// Silence after which another key may take over: a restarted sender should find its receiver waiting.
const GRACE: Duration = Duration::from_secs(3);
/// How long a publisher that never sent anything holds the receiver while others wait.
const MUTE: Duration = Duration::from_secs(5);
/// Publishers kept in mind; more than this on one key expression are ignored.
const MOST: usize = 1024;

/// A publisher that a receiver knows of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublisherInfo {
    pub key: String,
    pub stream: u64,
    /// Its token stands.
    pub live: bool,
    /// The one that is received.
    pub locked: bool,
}

pub(crate) type Stream = (String, u64);

#[derive(Debug)]
struct Seen {
    order: u64,
    token: bool,
    /// Its token was taken back; one that was never seen says nothing.
    gone: bool,
    heard: Option<Instant>,
    tried: Option<Instant>,
}

#[derive(Debug, Default)]
pub(crate) struct Chooser {
    known: BTreeMap<Stream, Seen>,
    locked: Option<(Stream, Instant)>,
    order: u64,
}

impl Chooser {
    pub(crate) fn token(&mut self, key: &str, stream: u64, live: bool) {
        if live {
            if let Some(seen) = self.entry(key, stream) {
                seen.token = true;
                seen.gone = false;
            }
        } else if let Some(seen) = self.known.get_mut(&(key.to_string(), stream)) {
            seen.token = false;
            seen.gone = true;
        }
    }

    pub(crate) fn heard(&mut self, key: &str, stream: u64, now: Instant) {
        if let Some(seen) = self.entry(key, stream) {
            seen.heard = Some(now);
        }
    }

    pub(crate) fn locked(&self) -> Option<&Stream> {
        self.locked.as_ref().map(|(stream, _)| stream)
    }

    pub(crate) fn list(&self) -> Vec<PublisherInfo> {
        let info = |(id, seen): (&Stream, &Seen)| PublisherInfo {
            key: id.0.clone(),
            stream: id.1,
            live: seen.token,
            locked: self.locked() == Some(id),
        };
        self.known.iter().map(info).collect()
    }

    /// Nothing is received and nothing is about to be.
    pub(crate) fn waiting(&self, now: Instant) -> bool {
        match &self.locked {
            None => true,
            Some((id, since)) => {
                let gone = self.known.get(id).is_none_or(|seen| !seen.token);
                gone && now.saturating_duration_since(self.last(id, *since)) > GRACE
            }
        }
    }

    /// The stream to lock onto from now on, if that changes.
    pub(crate) fn choose(&mut self, now: Instant) -> Option<Stream> {
        self.forget(now);
        let next = self.pick(now)?;
        if let Some(seen) = self.known.get_mut(&next) {
            seen.tried = Some(now);
        }
        self.locked = Some((next.clone(), now));
        Some(next)
    }

    fn pick(&self, now: Instant) -> Option<Stream> {
        let Some((current, since)) = &self.locked else {
            return self.first(now, |_, _| true);
        };
        let last = self.last(current, *since);
        let silence = now.saturating_duration_since(last);
        let seen = self.known.get(current);
        let token = seen.is_some_and(|seen| seen.token);
        if silence > GONE {
            let order = seen.map_or(0, |seen| seen.order);
            let gone = seen.is_none_or(|seen| seen.gone);
            let outlives = |seen: &Seen| gone || seen.heard.is_some_and(|heard| heard.saturating_duration_since(last) > SILENT);
            let restarted = self.first(now, |id, seen| id.0 == current.0 && id != current && seen.order > order && outlives(seen));
            if restarted.is_some() {
                return restarted;
            }
        }
        let mute = seen.is_none_or(|seen| seen.heard.is_none());
        let given_up = if token { mute && silence > MUTE } else { silence > GRACE };
        if given_up { self.first(now, |id, _| id != current) } else { None }
    }

    /// Of the publishers that are there, the one tried longest ago, then the one known longest.
    fn first(&self, now: Instant, accept: impl Fn(&Stream, &Seen) -> bool) -> Option<Stream> {
        let there = |seen: &Seen| seen.token || seen.heard.is_some_and(|heard| now.saturating_duration_since(heard) < SILENT);
        let fit = self.known.iter().filter(|(id, seen)| there(seen) && accept(id, seen));
        fit.min_by_key(|(_, seen)| (seen.tried, seen.order)).map(|(id, _)| id.clone())
    }

    /// When the stream was last heard, or locked.
    fn last(&self, id: &Stream, since: Instant) -> Instant {
        self.known.get(id).and_then(|seen| seen.heard).unwrap_or(since).max(since)
    }

    fn entry(&mut self, key: &str, stream: u64) -> Option<&mut Seen> {
        let id = (key.to_string(), stream);
        if self.known.len() >= MOST && !self.known.contains_key(&id) {
            return None;
        }
        self.order += 1;
        let order = self.order;
        Some(self.known.entry(id).or_insert(Seen { order, token: false, gone: false, heard: None, tried: None }))
    }

    fn forget(&mut self, now: Instant) {
        let locked = self.locked().cloned();
        let fresh = |seen: &Seen| seen.token || seen.heard.is_some_and(|heard| now.saturating_duration_since(heard) < GRACE);
        self.known.retain(|id, seen| fresh(seen) || Some(id) == locked.as_ref());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(100);

    fn id(key: &str, stream: u64) -> Option<Stream> {
        Some((key.to_string(), stream))
    }

    #[test]
    fn locks_onto_the_first_and_lists_the_others() {
        let now = Instant::now();
        let mut chooser = Chooser::default();
        assert_eq!(chooser.choose(now), None);
        assert!(chooser.waiting(now));
        chooser.token("lic/b/cam", 1, true);
        chooser.token("lic/a/cam", 2, true);
        assert_eq!(chooser.choose(now), id("lic/b/cam", 1));
        chooser.heard("lic/b/cam", 1, now);
        assert_eq!(chooser.choose(now + GRACE * 20), None);
        let list = chooser.list();
        assert_eq!(list.iter().map(|p| (p.stream, p.live, p.locked)).collect::<Vec<_>>(), [(2, true, false), (1, true, true)]);
    }

    #[test]
    fn a_restarted_sender_takes_over_at_once() {
        let now = Instant::now();
        let mut chooser = Chooser::default();
        chooser.token("k", 1, true);
        chooser.choose(now);
        chooser.heard("k", 1, now);
        chooser.token("k", 1, false);
        chooser.token("k", 2, true);
        assert_eq!(chooser.choose(now + GONE), None);
        assert_eq!(chooser.choose(now + GONE + TICK), id("k", 2));
        assert_eq!(chooser.list().len(), 2);
    }

    #[test]
    fn a_sender_that_lost_power_is_replaced_before_its_lease_ends() {
        let now = Instant::now();
        let mut chooser = Chooser::default();
        chooser.token("k", 1, true);
        chooser.choose(now);
        chooser.heard("k", 1, now);
        chooser.heard("k", 2, now + SILENT);
        assert_eq!(chooser.choose(now + SILENT + TICK), None);
        chooser.heard("k", 2, now + SILENT + TICK);
        assert_eq!(chooser.choose(now + SILENT + TICK), id("k", 2));
    }

    #[test]
    fn the_same_robot_started_twice_does_not_flip() {
        let now = Instant::now();
        let mut chooser = Chooser::default();
        chooser.heard("k", 1, now);
        chooser.token("k", 2, true);
        assert_eq!(chooser.choose(now), id("k", 1));
        for step in 0..100 {
            let now = now + TICK * step;
            chooser.heard("k", 1, now);
            chooser.heard("k", 2, now);
            assert_eq!(chooser.choose(now), None);
        }
        // The whole machine stood still; and a token that was never seen is none that is gone.
        assert_eq!(chooser.choose(now + TICK * 99 + GRACE), None);
    }

    #[test]
    fn another_camera_waits_for_the_grace_time() {
        let now = Instant::now();
        let mut chooser = Chooser::default();
        chooser.token("a", 1, true);
        chooser.token("b", 2, true);
        chooser.choose(now);
        chooser.heard("a", 1, now);
        chooser.token("a", 1, false);
        assert_eq!(chooser.choose(now + GRACE), None);
        assert_eq!(chooser.choose(now + GRACE + TICK), id("b", 2));
    }

    #[test]
    fn a_link_that_comes_back_changes_nothing() {
        let now = Instant::now();
        let mut chooser = Chooser::default();
        chooser.token("a", 1, true);
        chooser.choose(now);
        chooser.heard("a", 1, now);
        chooser.token("a", 1, false);
        assert_eq!(chooser.choose(now + GRACE * 2), None);
        assert!(chooser.waiting(now + GRACE * 2));
        chooser.token("a", 1, true);
        assert_eq!(chooser.choose(now + GRACE * 2), None);
        assert!(!chooser.waiting(now + GRACE * 2));
        assert_eq!(chooser.locked(), id("a", 1).as_ref());
    }

    #[test]
    fn a_mute_publisher_does_not_hold_the_receiver() {
        let now = Instant::now();
        let mut chooser = Chooser::default();
        chooser.token("a", 1, true);
        chooser.token("b", 2, true);
        chooser.token("c", 3, true);
        let mut order = vec![];
        for step in 0..200 {
            order.extend(chooser.choose(now + TICK * step).map(|id| id.1));
        }
        assert_eq!(order, [1, 2, 3, 1]);
    }

    #[test]
    fn memory_is_bounded() {
        let mut chooser = Chooser::default();
        for stream in 0..5000 {
            chooser.token("a", stream, true);
        }
        assert_eq!(chooser.list().len(), MOST);
    }
}
