//! Where two ends meet: the properties of a user, turned into a zenoh configuration.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use zenoh::Config;
use zenoh::config::EndPoint;

use crate::error::{Error, reason};

/// ROS 2's zenoh meets here too.
const RENDEZVOUS_PORT: u16 = 7447;

/// Another port for the meeting point on this host, should 7447 belong to something else.
const RENDEZVOUS_VARIABLE: &str = "LIC_RENDEZVOUS_PORT";

/// Properties of every session of the built-in configuration.
const SESSION: [(&str, &str); 7] = [
    ("scouting/multicast/enabled", "false"),
    ("scouting/gossip/autoconnect", "{router: [], peer: [], client: []}"),
    ("open/return_conditions/connect_scouted", "false"),
    ("transport/unicast/open_timeout", "3000"),
    ("transport/link/rx/max_message_size", "134217728"),
    // Left to itself the system takes in megabytes: seconds of video on a slow link, beyond anybody's reach.
    ("transport/link/tcp/so_sndbuf", "131072"),
    // A link on which nothing comes for so long is given up by the other side, which hears us four times in it. With zenoh's own
    // 10 s an outage outlives itself. A batch of 64 KiB must pass in that time: no slower link than 16 kB/s.
    ("transport/link/tx/lease", "4000"),
];

/// How long a full link holds up who sends before zenoh drops the message, without a word to anybody, and the ones after it.
/// With zenoh's own 1 ms (50 ms for a message in fragments) large frames vanish on any busy link.
const WAIT: &str = "transport/link/tx/queue/congestion_control/drop/wait_before_drop";
const WAIT_FRAGMENTS: &str = "transport/link/tx/queue/congestion_control/drop/max_wait_before_drop_fragments";

/// One link, served by a thread of its own: let it wait. The publisher's queue fills, gives frames up where they are counted,
/// and the encoder hears of it. The two add up for a frame in fragments and stay below the lease: a dead link is closed then, and
/// whoever still waits for it holds up the one thread with which zenoh sends for all sessions of the process. A slower link than
/// 26 kB/s still drops.
const ONE_LINK: [(&str, &str); 2] = [(WAIT, "2500000"), (WAIT_FRAGMENTS, "1000000")];

/// Several links, served one after the other: a stalled one must not hold up the others for long.
const MANY_LINKS: [(&str, &str); 2] = [(WAIT, "250000"), (WAIT_FRAGMENTS, "1000000")];

/// The meeting point serves everybody's frames.
const BROKER: [(&str, &str); 4] = [("mode", "\"router\""), ("timestamping/enabled", "false"), (WAIT, "20000"), (WAIT_FRAGMENTS, "200000")];

const RETRY: &str = "{period_init_ms: 50, period_max_ms: 250, period_increase_factor: 2}";

/// How to reach the other side. With nothing set, and no `$ZENOH_CONFIG`: this host only, by loopback.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// Endpoints to connect to, separated by commas: `tcp/HOST:7447`.
    pub connect: Option<String>,
    /// Endpoints to listen on: `tcp/0.0.0.0:7447`.
    pub listen: Option<String>,
    /// A zenoh configuration file; `$ZENOH_CONFIG` if not set. `connect` and `listen` override its endpoints.
    pub config: Option<PathBuf>,
    /// Port of the meeting point on loopback instead of 7447, or `$LIC_RENDEZVOUS_PORT`.
    pub rendezvous_port: Option<u16>,
}

/// Tells plans apart: all ends of a process with the same one share a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlanKey {
    connect: Vec<String>,
    listen: Vec<String>,
    /// The configuration file and what it said.
    file: Option<(PathBuf, String)>,
    rendezvous: Option<SocketAddr>,
}

/// A network made ready.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub key: PlanKey,
    pub config: Config,
    /// One link at most, to whatever answers first: a client.
    pub one_link: bool,
    /// Where whoever comes first opens a meeting point.
    pub rendezvous: Option<SocketAddr>,
    /// Where this end looks for the other, in a user's words.
    pub place: String,
    /// This end dials, so that nobody answering is worth a word.
    pub dials: bool,
    /// What it dials is encrypted.
    pub encrypts: bool,
    /// It dials over UDP: a question may be lost there, and there is no connection that could hang.
    pub datagrams: bool,
}

impl Network {
    pub(crate) fn plan(&self) -> Result<Plan, Error> {
        self.plan_with(std::env::var_os(Config::DEFAULT_CONFIG_PATH_ENV).map(PathBuf::from).filter(|path| !path.as_os_str().is_empty()))
    }

    fn plan_with(&self, environment: Option<PathBuf>) -> Result<Plan, Error> {
        let connect = endpoints(self.connect.as_deref())?;
        let listen = endpoints(self.listen.as_deref())?;
        let file = self.config.clone().or(environment);
        if let Some(path) = file {
            return from_file(path, connect, listen);
        }
        let rendezvous = (connect.is_empty() && listen.is_empty()).then(|| self.rendezvous());
        let key = PlanKey { connect: connect.clone(), listen: listen.clone(), file: None, rendezvous };
        let one_link = listen.is_empty();
        let dials_by = |protocol: &str| connect.iter().any(|endpoint| endpoint.starts_with(protocol));
        let (encrypts, datagrams) = (dials_by("tls/"), dials_by("udp/"));
        let mut plan =
            Plan { key, config: session(), one_link, rendezvous, place: String::new(), dials: !connect.is_empty(), encrypts, datagrams };
        let built_in = |plan: &mut Plan, key: &str, value: &str| {
            insert(&mut plan.config, key, value).map_err(|reason| Error::Config { path: "built in".into(), reason })
        };
        let connect = rendezvous.map_or(connect, |address| vec![format!("tcp/{address}")]);
        if one_link {
            // A client talks to whatever answers there: a router, another lic, any zenoh peer.
            built_in(&mut plan, "mode", "\"client\"")?;
            built_in(&mut plan, "connect/timeout_ms", "0")?;
            ONE_LINK.iter().try_for_each(|(key, value)| built_in(&mut plan, key, value))?;
        } else {
            MANY_LINKS.iter().try_for_each(|(key, value)| built_in(&mut plan, key, value))?;
            built_in(&mut plan, "mode", "\"peer\"")?;
            built_in(&mut plan, "listen/endpoints", &json(&listen))?;
            built_in(&mut plan, "connect/timeout_ms", "-1")?;
            built_in(&mut plan, "connect/exit_on_failure", "false")?;
        }
        built_in(&mut plan, "connect/retry", RETRY)?;
        built_in(&mut plan, "connect/endpoints", &json(&connect))?;
        plan.place = places(connect.iter().chain(&listen));
        Ok(plan)
    }

    /// Where both ends meet with nothing set.
    pub fn rendezvous(&self) -> SocketAddr {
        let from_environment = || std::env::var(RENDEZVOUS_VARIABLE).ok()?.parse().ok();
        let port = self.rendezvous_port.or_else(from_environment).unwrap_or(RENDEZVOUS_PORT);
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
    }
}

/// A file is taken as it is but for `connect` and `listen`, which replace its endpoints, and for who tries again: that is us.
fn from_file(path: PathBuf, connect: Vec<String>, listen: Vec<String>) -> Result<Plan, Error> {
    let wrap = |reason: String| Error::Config { path: path.display().to_string(), reason };
    // zenoh panics on a file name extension that is no UTF-8.
    if path.extension().is_some_and(|extension| extension.to_str().is_none()) {
        return Err(wrap("its name does not end in .json5".into()));
    }
    let text = std::fs::read_to_string(&path).map_err(|e| wrap(e.to_string()))?;
    let mut config = Config::from_file(&path).map_err(|e| wrap(reason(&e)))?;
    for (key, endpoints) in [("connect/endpoints", &connect), ("listen/endpoints", &listen)] {
        if !endpoints.is_empty() {
            insert(&mut config, key, &json(endpoints)).map_err(wrap)?;
        }
    }
    let dialled = config.get_json("connect/endpoints").unwrap_or_default();
    let (dials, encrypts, datagrams) = (dialled.contains('/'), dialled.contains("tls/"), dialled.contains("udp/"));
    let one_link = config.get_json("mode").is_ok_and(|mode| mode == "\"client\"");
    if one_link {
        // Left to zenoh, opening might never return, and stopping would wait for it.
        insert(&mut config, "connect/timeout_ms", "0").map_err(wrap)?;
    }
    let told =
        if connect.is_empty() && listen.is_empty() { String::new() } else { format!("{}, and ", places(connect.iter().chain(&listen))) };
    let place = format!("{told}what {} says", path.display());
    let key = PlanKey { connect, listen, file: Some((path, text)), rendezvous: None };
    Ok(Plan { key, config, one_link, rendezvous: None, place, dials, encrypts, datagrams })
}

/// Endpoints in a user's words: without what follows `#`, which may name keys.
fn places<'a>(endpoints: impl Iterator<Item = &'a String>) -> String {
    endpoints.map(|endpoint| endpoint.split('#').next().unwrap_or_default()).collect::<Vec<_>>().join(", ")
}

/// The configuration of the meeting point at `address`.
pub(crate) fn broker(address: SocketAddr) -> Config {
    let mut config = session();
    for (key, value) in BROKER {
        let _ = insert(&mut config, key, value);
    }
    let _ = insert(&mut config, "listen/endpoints", &json(&[format!("tcp/{address}")]));
    config
}

fn session() -> Config {
    let mut config = Config::default();
    for (key, value) in SESSION {
        // Constants, each read back by a test.
        let _ = insert(&mut config, key, value);
    }
    config
}

fn insert(config: &mut Config, key: &str, value: &str) -> Result<(), String> {
    config.insert_json5(key, value).map_err(|e| format!("{key}: {}", reason(&e)))
}

fn json(endpoints: &[String]) -> String {
    // An endpoint that parsed has no quotes or backslashes left to escape; see `endpoints`.
    format!("[{}]", endpoints.iter().map(|endpoint| format!("\"{endpoint}\"")).collect::<Vec<_>>().join(","))
}

fn endpoints(list: Option<&str>) -> Result<Vec<String>, Error> {
    let parts = list.unwrap_or_default().split([',', ' ']).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let bad = |reason: String| Error::Endpoint { endpoint: part.into(), reason };
            let endpoint: EndPoint = part.parse().map_err(|e| bad(reason(&e)))?;
            if part.contains(['"', '\\']) || part.contains(char::is_control) {
                return Err(bad("it has characters that no address has".into()));
            }
            let protocol = endpoint.protocol().as_str().to_string();
            if !["tcp", "udp", "tls"].contains(&protocol.as_str()) {
                return Err(bad(format!("\"{protocol}\" is not one of tcp, udp, tls")));
            }
            let address = endpoint.address().as_str().to_string();
            if address.rsplit_once(':').is_none_or(|(host, port)| host.is_empty() || port.parse::<u16>().is_err()) {
                return Err(bad("the port is missing".into()));
            }
            Ok(part.to_string())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(config: &Config, key: &str) -> String {
        config.get_json(key).unwrap()
    }

    #[test]
    fn with_nothing_set_only_loopback_is_named() {
        let plan = Network::default().plan_with(None).unwrap();
        assert_eq!(plan.rendezvous.unwrap().ip(), IpAddr::V4(Ipv4Addr::LOCALHOST));
        assert_eq!(get(&plan.config, "connect/endpoints"), format!("[\"tcp/{}\"]", plan.rendezvous.unwrap()));
        assert_eq!(get(&plan.config, "mode"), "\"client\"");
        assert_eq!(get(&plan.config, "scouting/multicast/enabled"), "false");
        let broker = broker(plan.rendezvous.unwrap());
        assert_eq!(get(&broker, "listen/endpoints"), format!("[\"tcp/{}\"]", plan.rendezvous.unwrap()));
        assert_eq!(get(&broker, "connect/endpoints"), "[]");
        for config in [&plan.config, &broker] {
            assert_eq!(get(config, "scouting/gossip/autoconnect"), r#"{"router":[],"peer":[],"client":[]}"#);
        }
    }

    #[test]
    fn every_built_in_value_is_accepted() {
        for (key, value) in SESSION.iter().chain(&BROKER).chain(&ONE_LINK).chain(&MANY_LINKS) {
            insert(&mut Config::default(), key, value).unwrap();
        }
        let client = Network::default().plan_with(None).unwrap().config;
        let drop = "transport/link/tx/queue/congestion_control/drop";
        assert_eq!(get(&client, drop), r#"{"wait_before_drop":2500000,"max_wait_before_drop_fragments":1000000}"#);
    }

    #[test]
    fn connect_and_listen_replace_the_meeting_point() {
        let connect = Network { connect: Some("tcp/h:1, udp/[::1]:2".into()), ..Default::default() }.plan_with(None).unwrap();
        assert_eq!(get(&connect.config, "connect/endpoints"), r#"["tcp/h:1","udp/[::1]:2"]"#);
        assert_eq!((connect.rendezvous, connect.dials), (None, true));
        let listen = Network { listen: Some("tcp/0.0.0.0:7447".into()), ..Default::default() }.plan_with(None).unwrap();
        assert_eq!(get(&listen.config, "mode"), "\"peer\"");
        assert_eq!(get(&listen.config, "listen/endpoints"), r#"["tcp/0.0.0.0:7447"]"#);
        assert_eq!((listen.rendezvous, listen.dials, listen.place.as_str()), (None, false, "tcp/0.0.0.0:7447"));
    }

    #[test]
    fn a_bad_endpoint_says_how_to_write_one() {
        for bad in ["host:7447", "tcp/", "tcp/host", "http/host:1", "tcp/h:1\"", "tcp/:1", "x"] {
            let error = Network { connect: Some(bad.into()), ..Default::default() }.plan_with(None).unwrap_err();
            assert!(error.to_string().contains("tcp/HOST:7447"), "{error}");
        }
    }

    #[test]
    fn a_file_is_taken_as_it_is_and_endpoints_override() {
        let folder = std::env::temp_dir().join(format!("lic-config-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("zenoh.json5");
        std::fs::write(&path, "{mode: 'client', connect: {endpoints: ['tcp/a:1']}}").unwrap();
        let from_environment = Network::default().plan_with(Some(path.clone())).unwrap();
        assert_eq!(get(&from_environment.config, "connect/endpoints"), r#"["tcp/a:1"]"#);
        let both = Network { connect: Some("tcp/b:2".into()), config: Some(path.clone()), ..Default::default() };
        assert_eq!(get(&both.plan_with(None).unwrap().config, "connect/endpoints"), r#"["tcp/b:2"]"#);
        for (name, text) in [("bad.json5", "{mode: 3"), ("none", "{}"), ("empty.json5", "")] {
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            let error = Network { config: Some(path), ..Default::default() }.plan_with(None).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
        assert!(Network { config: Some(folder.join("missing.json5")), ..Default::default() }.plan_with(None).is_err());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
