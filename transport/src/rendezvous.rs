//! The meeting point on this host. ROS 2's zenoh router holds it where there is one; otherwise the first lic process opens a
//! small router of its own there, and when that process ends the next one does. Everybody, its owner too, is only a client
//! of it, so that who came first never matters and nothing but the owner changes when it moves.

use std::net::{SocketAddr, TcpListener};

use zenoh::{Session, Wait};

use crate::config;

pub(crate) struct Rendezvous {
    address: SocketAddr,
    broker: Option<Session>,
}

impl Rendezvous {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, broker: None }
    }

    /// Opens the meeting point if nobody holds it. Returns whether somebody holds it now.
    pub(crate) fn ensure(&mut self) -> bool {
        if self.broker.as_ref().is_some_and(|broker| !broker.is_closed()) {
            return true;
        }
        // Much cheaper than a session that fails, and this is asked several times a second.
        if TcpListener::bind(self.address).is_err() {
            return true;
        }
        // Another process may have been quicker since: then the error says no more than that.
        self.broker = zenoh::open(config::broker(self.address)).wait().ok();
        self.broker.is_some()
    }

    pub(crate) fn owned(&self) -> bool {
        self.broker.is_some()
    }

    pub(crate) fn close(&mut self) {
        if let Some(broker) = self.broker.take() {
            let _ = broker.close().wait();
        }
    }
}
