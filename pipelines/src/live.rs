//! A live pipeline: what its elements say, in words, and its end.

use crate::commands::Error;
use crate::media::{Event, Running};
use crate::stop::Stop;
use gst::prelude::*;

/// What was told, with the fields of the message: one line for people or one JSON object.
pub type Tell<'a> = dyn FnMut(&str, serde_json::Value) + 'a;

/// Plays until the end, or until the user has had enough; then everything is closed in order, if anything has `begun`.
pub fn play(running: &Running, stop: &Stop, begun: impl Fn() -> bool, tell: &mut Tell) -> Result<(), Error> {
    let mut stopped = false;
    running.play(|event| {
        if let Event::Message(m) = event {
            heard(m, tell);
        }
        stopped = stop.wanted();
        Ok(!stopped)
    })?;
    if stopped && begun() {
        running.end();
    }
    Ok(())
}

fn heard(message: &gst::Message, tell: &mut Tell) {
    match message.view() {
        gst::MessageView::Warning(w) => {
            tell(&w.error().to_string(), serde_json::json!({ "event": "warning", "text": w.error().to_string() }))
        }
        gst::MessageView::Element(e) => {
            if let Some((text, value)) = e.structure().and_then(words) {
                tell(&text, value);
            }
        }
        _ => {}
    }
}

/// An element's message in words.
fn words(s: &gst::StructureRef) -> Option<(String, serde_json::Value)> {
    let text = |name: &str| s.get::<String>(name).unwrap_or_default();
    let count = |name: &str| s.get::<u32>(name).unwrap_or_default();
    Some(match s.name().as_str() {
        "zenoh-connected" => ("connected".into(), serde_json::json!({ "event": "connected" })),
        "zenoh-disconnected" => ("disconnected; trying again".into(), serde_json::json!({ "event": "disconnected" })),
        "zenoh-receiver-joined" => {
            let all = count("receivers");
            (
                format!("a receiver joined: {all} now"),
                serde_json::json!({ "event": "joined", "receiver": text("receiver"), "receivers": all }),
            )
        }
        "zenoh-receiver-left" => {
            let all = count("receivers");
            (format!("a receiver left: {all} now"), serde_json::json!({ "event": "left", "receiver": text("receiver"), "receivers": all }))
        }
        "zenoh-stream" => {
            let others = s.get::<gst::List>("others").map(|l| l.len()).unwrap_or_default();
            let beside = match others {
                0 => String::new(),
                n => format!(" ({n} more there: lic list; --key chooses)"),
            };
            let key = text("key-expr");
            (
                format!("receiving {key}{beside}"),
                serde_json::json!({ "event": "stream", "key": key, "stream": text("stream"), "others": others }),
            )
        }
        "zenoh-waiting" => (String::new(), serde_json::json!({ "event": "waiting", "hint": text("hint") })),
        "zenoh-gap" => {
            let frames = s.get::<u64>("frames").unwrap_or_default();
            (format!("{frames} frames are missing"), serde_json::json!({ "event": "gap", "frames": frames }))
        }
        _ => return None,
    })
}

/// Numbers of an element's statistics.
pub fn statistics(element: &gst::Element) -> serde_json::Value {
    let stats = element.property::<gst::Structure>("stats");
    let mut out = serde_json::Map::new();
    for (name, value) in stats.iter() {
        let number = (value.get::<u64>().map(serde_json::Value::from))
            .or_else(|_| value.get::<i64>().map(serde_json::Value::from))
            .or_else(|_| value.get::<u32>().map(serde_json::Value::from))
            .or_else(|_| value.get::<bool>().map(serde_json::Value::from))
            .or_else(|_| value.get::<String>().map(serde_json::Value::from));
        if let Ok(v) = number {
            out.insert(name.to_string(), v);
        }
    }
    serde_json::Value::Object(out)
}
