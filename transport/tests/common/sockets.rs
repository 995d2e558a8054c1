//! What this process has open, as the kernel tells it.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    pub protocol: &'static str,
    pub local: SocketAddr,
    pub listens: bool,
}

/// All TCP and UDP sockets of this process.
pub fn all() -> Vec<Socket> {
    let mine: HashSet<String> = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| Some(std::fs::read_link(entry.ok()?.path()).ok()?.to_str()?.to_string()))
        .filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_string()))
        .collect();
    let mut sockets = vec![];
    for protocol in ["tcp", "tcp6", "udp", "udp6"] {
        let Ok(table) = std::fs::read_to_string(format!("/proc/self/net/{protocol}")) else { continue };
        for line in table.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if mine.contains(fields[9]) {
                // State 0A of TCP is LISTEN; UDP has no such thing: whatever is bound may be sent to.
                let listens = protocol.starts_with("udp") || fields[3] == "0A";
                sockets.push(Socket { protocol, local: address(fields[1]), listens });
            }
        }
    }
    sockets
}

/// Open TCP connections with this port at their near end.
pub fn connections(port: u16) -> usize {
    all().iter().filter(|socket| !socket.listens && socket.local.port() == port).count()
}

/// `0100007F:1F90`: words in the byte order of the machine.
fn address(text: &str) -> SocketAddr {
    let (ip, port) = text.split_once(':').unwrap();
    let words: Vec<[u8; 4]> =
        (0..ip.len() / 8).map(|word| u32::from_str_radix(&ip[8 * word..8 * word + 8], 16).unwrap().to_ne_bytes()).collect();
    let ip = match words[..] {
        [word] => IpAddr::V4(Ipv4Addr::from(word)),
        _ => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(words.concat()).unwrap())),
    };
    SocketAddr::new(ip.to_canonical(), u16::from_str_radix(port, 16).unwrap())
}
