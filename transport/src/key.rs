//! Keys of streams, and the keys beside them that carry liveliness and requests.

use std::fmt::Write;

use zenoh::key_expr::KeyExpr;

use crate::error::{Error, reason};

/// The name of a stream when none is given.
pub const DEFAULT_NAME: &str = "camera";

/// A chunk that starts with `@` is never matched by a wildcard, so no subscriber to `lic/**` sees these.
const SIDE: &str = "@lic";

/// The key of stream `name` on this host: `lic/<hostname>/<name>`.
pub fn default_key(name: &str) -> Result<String, Error> {
    let key = format!("lic/{}/{name}", hostname());
    publishing(&key)?;
    Ok(key)
}

/// This host's name, made fit for a key.
pub fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| std::env::var("HOSTNAME")).unwrap_or_default();
    sanitise(name.trim())
}

/// `name` as one chunk of a key.
fn sanitise(name: &str) -> String {
    let clean: String = name.chars().map(|c| if c.is_control() || c.is_whitespace() || "/*$?#@".contains(c) { '_' } else { c }).collect();
    if clean.is_empty() { "host".into() } else { clean }
}

/// A key to publish on: valid and without wildcards.
pub(crate) fn publishing(key: &str) -> Result<KeyExpr<'static>, Error> {
    let expression = expression(key)?;
    if is_wild(key) {
        let reason = "a stream has one key; wildcards are for receivers".into();
        return Err(Error::Key { key: key.into(), reason });
    }
    Ok(expression)
}

/// A key expression to receive from.
pub(crate) fn expression(key: &str) -> Result<KeyExpr<'static>, Error> {
    let bad = |reason: String| Error::Key { key: key.into(), reason };
    if key.split('/').any(|chunk| chunk.starts_with('@')) {
        return Err(bad("parts that start with @ are reserved".into()));
    }
    KeyExpr::new(key.to_string()).map_err(|e| bad(reason(&e)))
}

pub(crate) fn is_wild(key: &str) -> bool {
    key.contains(['*', '$'])
}

/// The token of a publisher.
pub(crate) fn publisher_token(key: &str, stream: u64) -> String {
    format!("{key}/{SIDE}/pub/{}", hex(stream))
}

/// The tokens of all publishers of a key expression.
pub(crate) fn publisher_tokens(expression: &str) -> String {
    format!("{expression}/{SIDE}/pub/*")
}

/// The token of a receiver that is locked onto a stream.
pub(crate) fn receiver_token(key: &str, stream: u64, receiver: u64) -> String {
    format!("{key}/{SIDE}/sub/{}/{}", hex(stream), hex(receiver))
}

/// The tokens of all receivers locked onto a stream.
pub(crate) fn receiver_tokens(key: &str, stream: u64) -> String {
    format!("{key}/{SIDE}/sub/{}/*", hex(stream))
}

/// The tokens of all receivers of a key expression's streams.
pub(crate) fn all_receiver_tokens(expression: &str) -> String {
    format!("{expression}/{SIDE}/sub/*/*")
}

/// Where a publisher hears what receivers ask of it.
pub(crate) fn requests(key: &str, stream: u64) -> String {
    format!("{key}/{SIDE}/request/{}", hex(stream))
}

/// Where one receiver gets what is sent to it again.
pub(crate) fn again(key: &str, stream: u64, receiver: u64) -> String {
    format!("{key}/{SIDE}/again/{}/{}", hex(stream), hex(receiver))
}

/// Key and stream out of a publisher's token.
pub(crate) fn parse_publisher_token(token: &str) -> Option<(&str, u64)> {
    let (head, id) = token.rsplit_once('/')?;
    let key = head.strip_suffix("/pub")?.strip_suffix(SIDE)?.strip_suffix('/')?;
    (!key.is_empty() && !is_wild(key)).then_some((key, parse_hex(id)?))
}

/// Key, stream and receiver out of a receiver's token.
pub(crate) fn parse_any_receiver_token(token: &str) -> Option<(&str, u64, u64)> {
    let (head, receiver) = token.rsplit_once('/')?;
    let (head, stream) = head.rsplit_once('/')?;
    let key = head.strip_suffix("/sub")?.strip_suffix(SIDE)?.strip_suffix('/')?;
    (!key.is_empty() && !is_wild(key)).then_some((key, parse_hex(stream)?, parse_hex(receiver)?))
}

/// The receiver's id out of its token.
pub(crate) fn parse_receiver_token(token: &str) -> Option<u64> {
    parse_hex(token.rsplit_once('/')?.1)
}

/// A random id for a stream or a receiver.
pub(crate) fn random_id() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    // The standard library seeds every hasher state from the operating system's randomness.
    let mut hasher = std::hash::RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish()
}

fn hex(id: u64) -> String {
    let mut out = String::with_capacity(16);
    let _ = write!(out, "{id:016x}");
    out
}

fn parse_hex(text: &str) -> Option<u64> {
    let plain = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
    if plain { u64::from_str_radix(text, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_host_name_makes_a_key() {
        for name in ["robot-1", "a/b", "*", "", "@home", "läb", "a b\n", "$*", "#?"] {
            let key = format!("lic/{}/camera", sanitise(name));
            publishing(&key).unwrap();
        }
        publishing(&default_key(DEFAULT_NAME).unwrap()).unwrap();
    }

    #[test]
    fn bad_keys_are_errors() {
        for key in ["", "/a", "a/", "a//b", "lic/**", "lic/*/x", "lic/a$*", "a/@lic/b", "a#b", "a?b"] {
            assert!(publishing(key).is_err(), "{key}");
        }
        assert!(default_key("").is_err());
        expression("lic/**").unwrap();
    }

    #[test]
    fn tokens_say_who_they_are() {
        let token = publisher_token("lic/r/cam", 0xabc);
        assert_eq!(token, "lic/r/cam/@lic/pub/0000000000000abc");
        assert_eq!(parse_publisher_token(&token), Some(("lic/r/cam", 0xabc)));
        assert_eq!(parse_receiver_token(&receiver_token("lic/r/cam", 1, 2)), Some(2));
        assert_eq!(parse_any_receiver_token(&receiver_token("lic/r/cam", 1, 2)), Some(("lic/r/cam", 1, 2)));
        assert_eq!(parse_any_receiver_token(&token), None);
        for bad in ["", "x", "a/@lic/pub/zz", "a/@lic/sub/0000000000000abc", "/@lic/pub/0000000000000abc", "a/@lic/pub/+000000000000abc"] {
            assert_eq!(parse_publisher_token(bad), None, "{bad}");
        }
    }

    #[test]
    fn wildcards_match_tokens_but_not_data() {
        let tokens = KeyExpr::new(publisher_tokens("lic/**")).unwrap();
        let token = KeyExpr::new(publisher_token("lic/r/cam", 1)).unwrap();
        assert!(tokens.intersects(&token));
        assert!(!KeyExpr::new("lic/**").unwrap().intersects(&KeyExpr::new(requests("lic/r/cam", 1)).unwrap()));
    }
}
