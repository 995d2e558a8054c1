//! Who looks at the pictures.

use super::Pack;
use crate::error::{Error, Result};

/// Who looks at the pictures. A pack may hold a synthesis tuned for them: it decodes the same streams, and its pictures keep what they go by
/// at the expense of what people see (SEAOTTER, docs/jpeg.md).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Task {
    /// People, and everybody else.
    #[default]
    None,
    /// Networks that say what a picture shows.
    Classification,
}

impl Task {
    /// As files and properties call it.
    pub fn name(self) -> &'static str {
        match self {
            Task::None => "none",
            Task::Classification => "classification",
        }
    }
}

impl Pack {
    /// The float synthesis for a task.
    ///
    /// # Errors
    /// `Pack`: the pack has none for it.
    pub(crate) fn synthesis_for(&self, task: Task) -> Result<&[u8]> {
        match task {
            Task::None => Ok(&self.synthesis),
            Task::Classification => self.classification.as_deref().ok_or_else(|| {
                let (name, task) = (self.name(), task.name());
                Error::Pack(format!(
                    "pack {name:?} has no synthesis for task={task} (\"lite\" has one): encode with model=lite, or leave task out"
                ))
            }),
        }
    }
}
