//! A curve as an SVG file.

use std::fmt::Write;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 50.0;
const BOTTOM: f64 = 30.0;
const TOP: f64 = 30.0;

/// Values over seconds.
pub fn over_time(title: &str, points: &[(f64, f64)]) -> String {
    let end = points.iter().map(|p| p.0).fold(0.0, f64::max).max(1e-3);
    let low = points.iter().map(|p| p.1).fold(f64::INFINITY, f64::min).floor();
    let high = points.iter().map(|p| p.1).fold(f64::NEG_INFINITY, f64::max).ceil().max(low + 1.0);
    let x = |t: f64| LEFT + t / end * (WIDTH - LEFT - 10.0);
    let y = |v: f64| HEIGHT - BOTTOM - (v - low) / (high - low) * (HEIGHT - BOTTOM - TOP);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"{LEFT}\" y=\"18\">{}</text>\n",
        escape(title)
    );
    for i in 0..=4 {
        let (v, t) = (low + (high - low) * i as f64 / 4.0, end * i as f64 / 4.0);
        let _ =
            writeln!(out, "<path d=\"M{LEFT} {0:.1}H{1}\" stroke=\"#ddd\"/><text x=\"4\" y=\"{0:.1}\">{v:.1}</text>", y(v), WIDTH - 10.0);
        let _ = writeln!(out, "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{t:.1} s</text>", x(t).min(WIDTH - 20.0), HEIGHT - 10.0);
    }
    out.push_str("<polyline fill=\"none\" stroke=\"#06c\" points=\"");
    for (t, v) in points {
        let _ = write!(out, "{:.1},{:.1} ", x(*t), y(*v));
    }
    out.push_str("\"/>\n</svg>\n");
    out
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
