//! What the user names -> what is to be transcoded, and where to.

use crate::commands::Error;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// One thing to transcode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    pub path: PathBuf,
    pub kind: Kind,
    /// Path below the output folder, without the ending.
    pub stem: PathBuf,
    /// Of MCAP files, where each topic becomes an output.
    pub topic: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A .lic file.
    Lic,
    /// An MCAP file, or a ROS 2 bag: a folder of them with its metadata.yaml.
    Mcap,
    /// Whatever else GStreamer opens.
    Media,
    /// A folder of JPEG or PNG files, in the order of their names.
    Pictures,
}

/// Endings that are looked for in folders.
const MEDIA: [&str; 13] = ["mp4", "mkv", "mov", "avi", "webm", "m4v", "ts", "mts", "mpg", "mpeg", "ogv", "flv", "h264"];
const PICTURES: [&str; 3] = ["jpg", "jpeg", "png"];

fn ending(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default()
}

fn kind_of_file(path: &Path) -> Kind {
    match ending(path).as_str() {
        "lic" => Kind::Lic,
        "mcap" => Kind::Mcap,
        _ => Kind::Media,
    }
}

/// The pictures of a folder, sorted so that frame10 comes behind frame9.
pub fn pictures(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut files: Vec<PathBuf> = list(folder)?.into_iter().filter(|p| p.is_file() && PICTURES.contains(&ending(p).as_str())).collect();
    files.sort_by_cached_key(|p| natural(&p.file_name().unwrap_or_default().to_string_lossy()));
    Ok(files)
}

/// Runs of digits count by their value.
fn natural(name: &str) -> Vec<(u128, String)> {
    let mut out = vec![(0u128, String::new())];
    for c in name.chars() {
        let last = out.last_mut().expect("never empty");
        match c.to_digit(10) {
            Some(d) if last.1.is_empty() => last.0 = last.0.saturating_mul(10).saturating_add(d as u128),
            Some(d) => out.push((d as u128, String::new())),
            None => last.1.push(c),
        }
    }
    out
}

/// MCAP files as one input for each of their cameras, or of those on `topics`.
pub fn by_topic(inputs: Vec<Input>, topics: &[String]) -> Result<Vec<Input>, Error> {
    let mut out = Vec::new();
    for input in inputs {
        if input.kind != Kind::Mcap {
            out.push(input);
            continue;
        }
        let mut found: Vec<String> =
            crate::bag::cameras(&input.path).map_err(|e| format!("{}: {e}", input.path.display()))?.into_iter().map(|c| c.topic).collect();
        if let Some(missing) = topics.iter().find(|t| !found.contains(t)) {
            return Err(
                format!("{}: no pictures on the topic {missing}; there are some on {}", input.path.display(), found.join(", ")).into()
            );
        }
        found.retain(|t| topics.is_empty() || topics.contains(t));
        if found.is_empty() {
            return Err(format!("{}: no camera in it: no topic of sensor_msgs/msg/Image or CompressedImage", input.path.display()).into());
        }
        let single = found.len() == 1;
        for topic in found {
            let stem = if single { input.stem.clone() } else { input.stem.join(topic.trim_matches('/').replace('/', "_")) };
            out.push(Input { stem, topic: Some(topic), ..input.clone() });
        }
    }
    Ok(out)
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut out = Vec::new();
    for e in entries {
        out.push(e.map_err(|e| format!("{}: {e}", folder.display()))?.path());
    }
    out.retain(|p| !p.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.')));
    out.sort();
    Ok(out)
}

/// Everything to transcode, in order.
pub fn find(named: &[PathBuf]) -> Result<Vec<Input>, Error> {
    let mut out = Vec::new();
    for path in named {
        let name = path.canonicalize().ok().and_then(|p| p.file_name().map(PathBuf::from)).unwrap_or_default();
        if path.is_dir() {
            walk(path, Path::new(""), &name, &mut out)?;
        } else if path.exists() {
            out.push(Input { path: path.clone(), kind: kind_of_file(path), stem: name.with_extension(""), topic: None });
        } else {
            return Err(format!("{}: no such file or folder", path.display()).into());
        }
    }
    if out.is_empty() {
        return Err("nothing to transcode there: no pictures, no .lic, no .mcap, no video files".into());
    }
    Ok(out)
}

/// `stem`: where below the outputs, of a folder that is `name` there itself.
fn walk(folder: &Path, stem: &Path, name: &Path, out: &mut Vec<Input>) -> Result<(), Error> {
    let entries = list(folder)?;
    if folder.join("metadata.yaml").is_file() && entries.iter().any(|p| matches!(ending(p).as_str(), "mcap" | "db3")) {
        out.push(Input { path: folder.to_path_buf(), kind: Kind::Mcap, stem: name.to_path_buf(), topic: None });
        return Ok(());
    }
    if !pictures(folder)?.is_empty() {
        out.push(Input { path: folder.to_path_buf(), kind: Kind::Pictures, stem: name.to_path_buf(), topic: None });
    }
    for path in entries {
        let below = stem.join(path.file_name().expect("listed by its name"));
        if path.is_dir() {
            walk(&path, &below, &below, out)?;
        } else if ["lic", "mcap"].contains(&ending(&path).as_str()) || MEDIA.contains(&ending(&path).as_str()) {
            out.push(Input { kind: kind_of_file(&path), path, stem: below.with_extension(""), topic: None });
        }
    }
    Ok(())
}

/// Where each output goes. `out`: a folder or, for one input, a file with this `ending`; none of an output's files may be an input's.
pub fn targets(inputs: &[Input], out: &Path, with: &str) -> Result<Vec<PathBuf>, Error> {
    let single = inputs.len() == 1 && !out.is_dir() && !with.is_empty() && ending(out) == with;
    let name = |i: &Input| match (single, with) {
        (true, _) => out.to_path_buf(),
        (_, "") => out.join(&i.stem),
        _ => {
            let mut name = i.stem.clone().into_os_string();
            name.push(format!(".{with}"));
            out.join(name)
        }
    };
    let targets: Vec<PathBuf> = inputs.iter().map(name).collect();
    let mut seen = HashMap::new();
    for (i, t) in inputs.iter().zip(&targets) {
        if let Some(other) = seen.insert(t, &i.path) {
            return Err(format!(
                "{} and {} would both become {}: transcode them into different folders",
                other.display(),
                i.path.display(),
                t.display()
            )
            .into());
        }
        if let Some(same) = inputs.iter().find(|i| i.path.canonicalize().ok().zip(t.canonicalize().ok()).is_some_and(|(a, b)| a == b)) {
            return Err(format!("{} is an input: name another folder with --out", same.path.display()).into());
        }
    }
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_by_their_numbers() {
        let mut names = ["frame10.jpg", "frame9.jpg", "frame009b.jpg", "a2.png", "a11.png"];
        names.sort_by_key(|n| natural(n));
        assert_eq!(names, ["a2.png", "a11.png", "frame9.jpg", "frame009b.jpg", "frame10.jpg"]);
    }

    #[test]
    fn outputs_do_not_meet() {
        let input = |p: &str| Input { path: p.into(), kind: Kind::Media, stem: Path::new(p).with_extension(""), topic: None };
        assert!(targets(&[input("a.mp4"), input("a.mkv")], Path::new("/nowhere"), "lic").is_err());
        let two = [input("a.mp4"), input("b.v2.mkv")];
        assert_eq!(targets(&two, Path::new("/nowhere"), "lic").unwrap(), [Path::new("/nowhere/a.lic"), Path::new("/nowhere/b.v2.lic")]);
        assert_eq!(targets(&two[..1], Path::new("/nowhere/x.lic"), "lic").unwrap(), [Path::new("/nowhere/x.lic")]);
        assert_eq!(targets(&two[..1], Path::new("/nowhere"), "").unwrap(), [Path::new("/nowhere/a")]);
    }
}
