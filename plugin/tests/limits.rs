//! `max-frame-bytes`, `bitrate` and regions of interest through the element.

mod common;

use common::*;
use gst::prelude::*;
use gst_video::VideoRegionOfInterestMeta;

#[test]
fn no_frame_exceeds_max_frame_bytes_and_too_small_ones_are_refused_by_name() {
    let (w, h) = (160, 96);
    for most in [300, 700] {
        let s = coded(&format!("licenc quality=100 max-frame-bytes={most}"), w, h, 0..6);
        let sizes: Vec<usize> = s.frames.iter().map(|f| f.size()).collect();
        assert!(sizes.iter().all(|n| *n <= most), "{sizes:?} of {most}");
        assert!(sizes[0] > most / 2, "{sizes:?} of {most}");
    }
    let mut e = harness("licenc max-frame-bytes=20");
    let bus = watch(&e.element().unwrap());
    e.set_src_caps(info(gst_video::VideoFormat::I420, w, h).to_caps().unwrap());
    assert!(e.push(i420(w, h, 0)).is_err());
    let text = message(&bus).unwrap();
    let least: usize = text.split("the smallest possible is ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(least > 20, "{text}");
    assert_eq!(coded(&format!("licenc max-frame-bytes={least}"), w, h, 0..2).frames.len(), 2);
}

/// The property and the meta do the same, and only to the part that they name.
#[test]
fn regions_of_interest_by_property_and_by_meta() {
    let (w, h) = (160, 96);
    let run = |launch: &str, meta: Option<(&str, i32)>| {
        let mut e = encoder(launch, w, h);
        for n in 0..3 {
            let mut buffer = i420(w, h, n);
            if let Some((name, delta)) = meta {
                let mut m = VideoRegionOfInterestMeta::add(buffer.get_mut().unwrap(), "face", (48, 32, 48, 32));
                m.add_param(gst::Structure::builder(name).field("delta-qp", delta).build());
            }
            e.push(buffer).unwrap();
        }
        pull_all(&mut e).iter().map(bytes).collect::<Vec<_>>()
    };
    let plain = run("licenc", None);
    let by_property = run("licenc roi=48,32,48,32,-9", None);
    assert_ne!(plain, by_property);
    assert!(by_property.concat().len() > plain.concat().len());
    assert_eq!(by_property, run("licenc", Some(("roi/licenc", -9))));
    assert_eq!(by_property, run("licenc", Some(("roi/vaapi", -9))));
    assert_eq!(run("licenc roi=48,32,48,32", None), run("licenc", Some(("roi/other", -6))));
    let wrong = gst::ElementFactory::make("licenc").property("model", "tiny").property("roi", "1,2").build().unwrap();
    let bus = watch(&wrong);
    assert!(wrong.set_state(gst::State::Paused).is_err());
    assert!(message(&bus).unwrap().contains("x,y,width,height"));
}

/// By the buffers' own times, which come as they like.
#[test]
fn the_bit_rate_holds_in_every_second_of_capture_time() {
    let (w, h, most) = (320, 192, 1.1 * 100_000.0 / 8.0);
    let mut e = encoder("licenc quality=100 bitrate=100 key-int-max=20", w, h);
    let mut noise = Noise(7);
    let mut at = gst::ClockTime::ZERO;
    let mut sent = Vec::new();
    for n in 0..90u64 {
        at += gst::ClockTime::from_mseconds(10 + noise.below(90) as u64);
        let mut buffer = i420(w, h, if n > 50 { 1000 + 3 * n } else { n });
        buffer.get_mut().unwrap().set_pts(at);
        e.push(buffer).unwrap();
        sent.push((at, e.pull().unwrap().size()));
    }
    for (i, (end, _)) in sent.iter().enumerate() {
        let window: usize = sent[..=i].iter().filter(|f| *end - f.0 < gst::ClockTime::SECOND).map(|f| f.1).sum();
        assert!(window as f64 <= most, "{window} bytes in the second that ends with frame {i}");
    }
}
