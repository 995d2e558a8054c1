//! Who looks at the pictures.

use gst::glib;
use gst::prelude::*;

/// What `task` may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstLicTask")]
pub enum Task {
    #[default]
    #[enum_value(name = "Pictures for people", nick = "none")]
    None,
    #[enum_value(name = "Pictures for networks that classify them", nick = "classification")]
    Classification,
}

impl From<Task> for lic_codec::Task {
    fn from(task: Task) -> Self {
        match task {
            Task::None => lic_codec::Task::None,
            Task::Classification => lic_codec::Task::Classification,
        }
    }
}

pub fn property() -> glib::ParamSpec {
    glib::ParamSpecEnum::builder_with_default("task", Task::default())
        .nick("Task")
        .blurb(
            "Who looks at the pictures. classification: of streams of licenc model=lite, by a synthesis that keeps what networks go by, at \
             the expense of what people see",
        )
        .mutable_ready()
        .build()
}
