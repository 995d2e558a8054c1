//! Many inputs, some at a time; one that fails stops no other.

use crate::commands::Error;
use crate::inputs::Input;
use crate::transcode::{self, Coder, Done, Progress, To};
use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressStyle};
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What is the same for all.
pub struct Batch {
    pub to: To,
    pub coder: Coder,
    pub resume: bool,
    pub jobs: usize,
}

/// Of one input.
#[derive(Serialize)]
pub struct Outcome {
    input: PathBuf,
    output: PathBuf,
    /// It was finished by an earlier run.
    kept: bool,
    #[serde(flatten)]
    done: Option<Done>,
    /// What it took.
    took: f64,
    warnings: Vec<String>,
    error: Option<String>,
}

/// Of all.
#[derive(Serialize)]
pub struct Report {
    outputs: Vec<Outcome>,
    pub failed: usize,
}

/// A bar on the terminal; nothing where there is none.
struct Bar {
    bar: ProgressBar,
    warnings: Mutex<Vec<String>>,
}

impl Progress for Bar {
    fn at(&self, position: Duration, length: Option<Duration>) {
        if let Some(length) = length {
            self.bar.set_length(length.as_millis() as u64);
        }
        self.bar.set_position(position.as_millis() as u64);
        let rate = position.as_secs_f64() / self.bar.elapsed().as_secs_f64().max(1e-3);
        self.bar.set_message(format!("{rate:.2}x real time"));
    }

    fn warn(&self, text: &str) {
        let mut warnings = self.warnings.lock().expect("nobody panics with it");
        if !warnings.iter().any(|w| w == text) {
            warnings.push(text.into());
        }
    }
}

pub fn run(batch: &Batch, work: Vec<(Input, PathBuf)>) -> Report {
    let bars = MultiProgress::new();
    let next = AtomicUsize::new(0);
    let outcomes: Mutex<Vec<Option<Outcome>>> = Mutex::new(work.iter().map(|_| None).collect());
    std::thread::scope(|scope| {
        for _ in 0..batch.jobs.min(work.len()) {
            scope.spawn(|| {
                while let Some((input, target)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = one(batch, input, target.clone(), &bars);
                    let at = work.iter().position(|(i, t)| std::ptr::eq(i, input) && std::ptr::eq(t, target));
                    outcomes.lock().expect("nobody panics with it")[at.expect("it is one of them")] = Some(outcome);
                }
            });
        }
    });
    let outputs: Vec<Outcome> = outcomes.into_inner().expect("nobody panics with it").into_iter().flatten().collect();
    let failed = outputs.iter().filter(|o| o.error.is_some()).count();
    Report { outputs, failed }
}

fn one(batch: &Batch, input: &Input, target: PathBuf, bars: &MultiProgress) -> Outcome {
    let style = ProgressStyle::with_template("{prefix:30!} {bar:30} {percent:>3}% {msg}, {eta} left").expect("a valid template");
    let bar = Bar { bar: bars.add(ProgressBar::new(0)).with_style(style), warnings: Mutex::default() };
    bar.bar.set_prefix(input.path.file_name().unwrap_or_default().to_string_lossy().into_owned());
    let began = Instant::now();
    let kept = if batch.resume { transcode::finished(input, batch.to, &batch.coder, &target) } else { Ok(false) };
    let result = match &kept {
        Ok(true) => Ok(None),
        Ok(false) => {
            let run = || transcode::run(input, batch.to, &batch.coder, &target, &bar).map(Some);
            // A mistake of ours in one input is no reason to stop the others.
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_or_else(|_| Err("it stopped on an error within lic".into()))
        }
        Err(e) => Err(Error::from(e.to_string())),
    };
    bar.bar.finish_and_clear();
    let warnings = bar.warnings.into_inner().expect("nobody panics with it");
    let (done, error) = match result {
        Ok(done) => (done, None),
        Err(e) => (None, Some(e.to_string())),
    };
    Outcome {
        input: input.path.clone(),
        output: target,
        kept: matches!(kept, Ok(true)),
        done,
        took: began.elapsed().as_secs_f64(),
        warnings,
        error,
    }
}

impl Report {
    /// To people.
    pub fn say(&self) {
        for o in &self.outputs {
            let (input, output) = (o.input.display(), o.output.display());
            for w in &o.warnings {
                eprintln!("lic: {input}: {w}");
            }
            match (&o.error, &o.done) {
                (Some(e), _) => eprintln!("lic: {input}: {e}"),
                (None, Some(d)) => {
                    let rate = if d.seconds > 0.0 { format!(", {:.0} kbit/s", d.bytes as f64 * 0.008 / d.seconds) } else { String::new() };
                    let speed = if o.took > 0.0 { d.seconds / o.took } else { 0.0 };
                    println!("{output}: {} frames, {:.1} s, {}{rate}, {speed:.2}x real time", d.frames, d.seconds, HumanBytes(d.bytes));
                }
                (None, None) => println!("{output}: kept"),
            }
        }
        if self.failed > 0 {
            eprintln!("lic: {} of {} failed; the others are done", self.failed, self.outputs.len());
        }
    }
}
