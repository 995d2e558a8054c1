//! Runs every kernel on a CUDA device: checks it against the CPU's function, then measures it. Needs libcuda alone (NVRTC too, unless
//! code that was compiled before is given); no GStreamer, no ONNX Runtime, no Rust.
//!
//!     lic-cuda-test [--code FOLDER|FILE.cubin|FILE.ptx]... [--pack FOLDER] [--device N] [--emulated] [STAGE]...
//!
//! Each stage runs in a process of its own: a kernel that takes the device down does not hide the others. The last thing it prints is a
//! table; the exit status tells whether all stages passed.

mod bench;
#[path = "../../tests/common/mod.rs"]
mod common;
mod real;
mod stages;
mod whole;

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the command line says.
#[derive(Clone)]
pub struct Options {
    code: Vec<PathBuf>,
    pack: PathBuf,
    device: usize,
    emulated: bool,
    /// A child's only stage.
    alone: bool,
    stages: Vec<String>,
}

/// A stage takes no longer: a kernel that never ends is one that fails.
const LONGEST: Duration = Duration::from_secs(45);
/// Begins a line that belongs into the table.
const ROW: &str = "row: ";

fn options() -> Result<Options, String> {
    let mut o = Options { code: vec![], pack: "models/base".into(), device: 0, emulated: false, alone: false, stages: vec![] };
    let mut args = std::env::args().skip(1);
    while let Some(a) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{a} takes a value"));
        match a.as_str() {
            "--code" => o.code.push(value()?.into()),
            "--pack" => o.pack = value()?.into(),
            "--device" => o.device = value()?.parse().map_err(|_| "--device takes a number")?,
            "--emulated" => o.emulated = true,
            "--alone" => o.alone = true,
            "test" | "bench" => {
                let names = stages::STAGES.iter().map(|s| s.name).filter(|s| s.starts_with("bench-") == (a == "bench"));
                o.stages.extend(names.map(str::to_string));
            }
            _ if stages::STAGES.iter().any(|s| s.name == a) => o.stages.push(a),
            _ => {
                let names: Vec<&str> = stages::STAGES.iter().map(|s| s.name).collect();
                return Err(format!("no option or stage {a}; stages: test, bench (all of a kind), {}", names.join(", ")));
            }
        }
    }
    if o.stages.is_empty() {
        o.stages = stages::STAGES.iter().map(|s| s.name.to_string()).collect();
    }
    Ok(o)
}

/// With the first of the given files that the device takes, or what is found in the given folders; else what NVRTC makes.
fn machine(o: &Options) -> Result<common::Machine, String> {
    if o.emulated {
        return Ok(Arc::new(lic_emulation::Host::default()));
    }
    let open = |kernels| lic_cuda::Gpu::open(o.device, kernels);
    for file in o.code.iter().filter(|c| c.is_file()) {
        let image = std::fs::read(file).map_err(|e| format!("{}: {e}", file.display()))?;
        match open(lic_cuda::Kernels::Made(image)) {
            Ok(gpu) => return Ok(Arc::new(gpu)),
            Err(e @ lic_cuda::Error::NoKernels(_)) => println!("note: {}: {e}", file.display()),
            Err(e) => return Err(e.to_string()),
        }
    }
    let folders = o.code.iter().filter(|c| c.is_dir()).cloned().collect();
    Ok(Arc::new(open(lic_cuda::Kernels::Find(folders)).map_err(|e| e.to_string())?))
}

/// A stage in this process.
fn alone(o: &Options) -> ExitCode {
    let name = &o.stages[0];
    let stage = stages::STAGES.iter().find(|s| s.name == *name).expect("known");
    let began = Instant::now();
    let rows = machine(o).and_then(|m| {
        println!("{name}: on {}, ready after {:.2} s", m.name(), began.elapsed().as_secs_f32());
        let mut rows = Rows;
        (stage.run)(&m, o, &mut rows)
    });
    match rows {
        Ok(said) => {
            println!("{name}: {said} ({:.1} s)", began.elapsed().as_secs_f32());
            ExitCode::SUCCESS
        }
        Err(e) => {
            println!("{name}: FAILED: {e}");
            ExitCode::FAILURE
        }
    }
}

/// Where lines of the table go.
pub struct Rows;

impl Rows {
    pub fn add(&mut self, what: impl std::fmt::Display, value: impl std::fmt::Display) {
        println!("{ROW}| {what} | {value} |");
        let _ = std::io::stdout().flush();
    }
}

/// A stage in a process of its own; whether it passed, and its lines of the table.
fn child(o: &Options, stage: &str, rows: &mut Vec<String>) -> Result<bool, String> {
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut command = Command::new(program);
    command.args(["--alone", "--device", &o.device.to_string(), "--pack"]).arg(&o.pack);
    o.code.iter().for_each(|c| {
        command.arg("--code").arg(c);
    });
    if o.emulated {
        command.arg("--emulated");
    }
    let mut child = command.arg(stage).stdout(Stdio::piped()).spawn().map_err(|e| e.to_string())?;
    let output = BufReader::new(child.stdout.take().expect("piped"));
    let reader = std::thread::spawn(move || {
        let mut rows = Vec::new();
        for line in output.lines().map_while(Result::ok) {
            match line.strip_prefix(ROW) {
                Some(row) => rows.push(row.to_string()),
                None => println!("{line}"),
            }
        }
        rows
    });
    let longest = if o.emulated { 20 * LONGEST } else { LONGEST };
    let began = Instant::now();
    let passed = loop {
        match child.try_wait().map_err(|e| e.to_string())? {
            Some(status) => break status.success(),
            None if began.elapsed() > longest => {
                println!("{stage}: FAILED: not done after {} s", longest.as_secs());
                let _ = child.kill();
                let _ = child.wait();
                break false;
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    rows.extend(reader.join().map_err(|_| "the reader of a stage failed")?);
    Ok(passed)
}

fn main() -> ExitCode {
    let o = match options() {
        Ok(o) => o,
        Err(e) => {
            eprintln!("lic-cuda-test: {e}");
            return ExitCode::FAILURE;
        }
    };
    if o.alone {
        return alone(&o);
    }
    let (mut rows, mut failed) = (Vec::new(), Vec::new());
    let began = Instant::now();
    for stage in &o.stages {
        match child(&o, stage, &mut rows) {
            Ok(true) => {}
            Ok(false) => failed.push(stage.as_str()),
            Err(e) => {
                println!("{stage}: FAILED: {e}");
                failed.push(stage);
            }
        }
    }
    println!("\n| what | result |\n|---|---|");
    rows.iter().for_each(|r| println!("{r}"));
    println!("| stages failed | {} |", if failed.is_empty() { "none".into() } else { failed.join(", ") });
    println!("| in all | {:.0} s |", began.elapsed().as_secs_f32());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
