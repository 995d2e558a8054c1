//! Liveliness tokens: what `ros2 topic list` and `ros2 node list` are made of.

use crate::names::{Distro, Topic, Type, mangle};

const SPACE: &str = "@ros2_lv";

/// Quality of service as a token names it, `reliability:durability:history,depth:deadline:lifespan:liveliness`; what is
/// rmw_zenoh's default (reliable, volatile, keep last) is left empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Qos {
    pub reliable: bool,
    /// Messages kept, from 1.
    pub depth: u32,
}

impl Qos {
    /// rmw_zenoh's default depth, which it leaves out too.
    const DEPTH: u32 = 42;

    #[must_use]
    pub fn token(self) -> String {
        let reliability = if self.reliable { "" } else { "2" };
        let depth = if self.depth == Self::DEPTH { String::new() } else { self.depth.to_string() };
        format!("{reliability}::,{depth}:,:,:,,")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    Publisher,
    Subscriber,
}

/// A node in the root namespace without an enclave.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    pub domain: u32,
    /// The session's id, as zenoh prints it.
    pub session: &'a str,
    /// Unique in the session.
    pub id: u32,
    pub name: &'a str,
}

impl Node<'_> {
    #[must_use]
    pub fn token(&self) -> String {
        let Self { domain, session, id, name } = self;
        format!("{SPACE}/{domain}/{session}/{id}/{id}/NN/%/%/{name}")
    }

    /// `id`: unique in the session.
    #[must_use]
    pub fn endpoint(&self, endpoint: Endpoint, id: u32, topic: &Topic, kind: Type, distro: Distro, qos: Qos) -> String {
        let Self { domain, session, id: node, name } = self;
        let letters = match endpoint {
            Endpoint::Publisher => "MP",
            Endpoint::Subscriber => "MS",
        };
        let (topic, hash, qos) = (mangle(topic.as_str()), kind.hash(distro), qos.token());
        format!("{SPACE}/{domain}/{session}/{node}/{id}/{letters}/%/%/{name}/{topic}/{}/{hash}/{qos}", mangle(kind.name))
    }
}

/// What names a publisher beside its samples: XXH3-128 of its token, low 64 bits first.
#[must_use]
pub fn gid(token: &str) -> [u8; 16] {
    xxhash_rust::xxh3::xxh3_128(token.as_bytes()).to_le_bytes()
}
