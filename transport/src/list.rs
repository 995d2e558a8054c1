//! All streams that are there, each with its receivers and its format.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use zenoh::sample::{Sample, SampleKind};
use zenoh::{Session, Wait};

use crate::config::Network;
use crate::error::Error;
use crate::key;
use crate::link::{Link, LinkEvent, Role};
use crate::sync::{Threads, lock};
use crate::wire::Header;

/// Streams that are listed; more are left out.
const MOST: usize = 1024;
/// Once connected, so long without news of a stream whose format is known: that is all.
const QUIET: Duration = Duration::from_millis(700);
const STOP: Duration = Duration::from_millis(1000);

/// A stream that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub key: String,
    /// Its publisher's random number.
    pub stream: u64,
    /// How many are locked onto it.
    pub receivers: usize,
    /// GStreamer caps, if a frame told them.
    pub caps: Option<String>,
}

/// What [`list`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Sorted by key.
    pub streams: Vec<Listed>,
    pub connected: bool,
    /// Why not, and what a user can do.
    pub trouble: Option<String>,
}

#[derive(Default)]
struct Found {
    streams: BTreeMap<(String, u64), Option<String>>,
    receivers: BTreeSet<(String, u64, u64)>,
    connected: Option<Instant>,
    trouble: Option<String>,
    news: Option<Instant>,
}

impl Found {
    fn stream(&mut self, key: &str, stream: u64, live: bool) {
        let id = (key.to_string(), stream);
        if !live {
            self.streams.remove(&id);
        } else if self.streams.len() < MOST {
            self.streams.entry(id).or_default();
        }
        self.news = Some(Instant::now());
    }

    fn receiver(&mut self, key: &str, stream: u64, receiver: u64, live: bool) {
        let id = (key.to_string(), stream, receiver);
        if !live {
            self.receivers.remove(&id);
        } else if self.receivers.len() < MOST * 16 {
            self.receivers.insert(id);
        }
        self.news = Some(Instant::now());
    }

    /// Nothing more is to be expected.
    fn complete(&self, formats: bool) -> bool {
        let quiet = |since: Option<Instant>| since.is_some_and(|t| t.elapsed() > QUIET);
        quiet(self.connected) && self.news.is_none_or(|t| quiet(Some(t))) && (!formats || self.streams.values().all(Option::is_some))
    }
}

/// Looks for the streams whose keys match an expression, for at most `time`. `formats`: receives frames of each until one tells its caps,
/// which takes as much of the network as a receiver does. Senders are told nothing: no receiver joins.
pub fn list(expression: &str, network: &Network, time: Duration, formats: bool) -> Result<Listing, Error> {
    let expression = key::expression(expression)?.to_string();
    let plan = network.plan()?;
    let stop = Arc::new(AtomicBool::new(false));
    let found = Arc::new(Mutex::new(Found::default()));
    let (control, messages) = channel();
    let role =
        Looking { expression, formats, found: found.clone(), control: control.clone(), declared: Vec::new(), heard: BTreeMap::new() };
    let threads = Threads::default();
    let end = stop.clone();
    threads.spawn("lic-list", move || Link::new(plan, role, messages, end).run())?;
    let until = Instant::now() + time;
    while Instant::now() < until && !lock(&found).complete(formats) {
        std::thread::sleep(Duration::from_millis(20));
    }
    stop.store(true, Ordering::Release);
    let _ = control.send(());
    threads.join(STOP);
    let found = std::mem::take(&mut *lock(&found));
    let receivers = |key: &str, stream: u64| found.receivers.iter().filter(|r| r.0 == key && r.1 == stream).count();
    let streams = found.streams.iter().map(|((key, stream), caps)| Listed {
        receivers: receivers(key, *stream),
        key: key.clone(),
        stream: *stream,
        caps: caps.clone(),
    });
    Ok(Listing { streams: streams.collect(), connected: found.connected.is_some(), trouble: found.trouble })
}

struct Looking {
    expression: String,
    formats: bool,
    found: Arc<Mutex<Found>>,
    control: Sender<()>,
    declared: Vec<zenoh::pubsub::Subscriber<()>>,
    /// Keys whose frames come, for their caps.
    heard: BTreeMap<String, zenoh::pubsub::Subscriber<()>>,
}

impl Looking {
    fn tokens(&self, session: &Session, tokens: String) -> zenoh::Result<zenoh::pubsub::Subscriber<()>> {
        let (found, control) = (self.found.clone(), self.control.clone());
        session
            .liveliness()
            .declare_subscriber(tokens)
            .history(true)
            .callback(move |sample: Sample| {
                let (token, live) = (sample.key_expr().as_str(), sample.kind() == SampleKind::Put);
                if let Some((key, stream)) = key::parse_publisher_token(token) {
                    lock(&found).stream(key, stream, live);
                } else if let Some((key, stream, receiver)) = key::parse_any_receiver_token(token) {
                    lock(&found).receiver(key, stream, receiver, live);
                }
                let _ = control.send(());
            })
            .wait()
    }

    /// Frames of a key until their caps are known.
    fn hear(&self, session: &Session, key: &str) -> zenoh::Result<zenoh::pubsub::Subscriber<()>> {
        let found = self.found.clone();
        session
            .declare_subscriber(key.to_string())
            .callback(move |sample: Sample| {
                let header = sample.attachment().and_then(|a| Header::decode(&a.to_bytes()).ok());
                let Some(Header { stream, caps: Some(caps), .. }) = header else { return };
                let mut found = lock(&found);
                if let Some(known) = found.streams.get_mut(&(sample.key_expr().as_str().to_string(), stream)) {
                    *known = Some(caps);
                    found.news = Some(Instant::now());
                }
            })
            .wait()
    }
}

impl Role for Looking {
    type Message = ();

    fn opened(&mut self, session: &Session) -> zenoh::Result<()> {
        for tokens in [key::publisher_tokens(&self.expression), key::all_receiver_tokens(&self.expression)] {
            let declared = self.tokens(session, tokens)?;
            self.declared.push(declared);
        }
        Ok(())
    }

    fn message(&mut self, (): ()) {}

    fn tick(&mut self, session: Option<&Session>) {
        let Some(session) = session.filter(|_| self.formats) else { return };
        let unknown: BTreeSet<String> = lock(&self.found).streams.iter().filter(|s| s.1.is_none()).map(|s| s.0.0.clone()).collect();
        self.heard.retain(|key, _| unknown.contains(key));
        for key in unknown {
            if !self.heard.contains_key(&key)
                && let Ok(declared) = self.hear(session, &key)
            {
                self.heard.insert(key, declared);
            }
        }
    }

    fn event(&mut self, event: LinkEvent) {
        let mut found = lock(&self.found);
        match event {
            LinkEvent::Connected => found.connected = Some(Instant::now()),
            LinkEvent::Disconnected => {}
            LinkEvent::Trouble(text) => found.trouble = Some(text),
        }
    }

    fn closing(&mut self) {
        self.heard.clear();
        self.declared.clear();
    }
}
