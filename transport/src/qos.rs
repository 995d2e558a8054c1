//! How zenoh treats the frames of a stream on their way.

/// Which stream goes first on a shared link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Priority {
    RealTime,
    InteractiveHigh,
    InteractiveLow,
    DataHigh,
    #[default]
    Data,
    DataLow,
    Background,
}

/// What a full network queue does with a frame.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CongestionControl {
    /// Wait, and close the connection after 5 s.
    Block,
    /// Wait a little, then drop it.
    #[default]
    Drop,
}

/// A marker that picks the better link where there are two; zenoh never retransmits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reliability {
    BestEffort,
    #[default]
    Reliable,
}

impl From<Priority> for zenoh::qos::Priority {
    fn from(priority: Priority) -> Self {
        match priority {
            Priority::RealTime => Self::RealTime,
            Priority::InteractiveHigh => Self::InteractiveHigh,
            Priority::InteractiveLow => Self::InteractiveLow,
            Priority::DataHigh => Self::DataHigh,
            Priority::Data => Self::Data,
            Priority::DataLow => Self::DataLow,
            Priority::Background => Self::Background,
        }
    }
}

impl From<CongestionControl> for zenoh::qos::CongestionControl {
    fn from(control: CongestionControl) -> Self {
        match control {
            CongestionControl::Block => Self::Block,
            CongestionControl::Drop => Self::Drop,
        }
    }
}

impl From<Reliability> for zenoh::qos::Reliability {
    fn from(reliability: Reliability) -> Self {
        match reliability {
            Reliability::BestEffort => Self::BestEffort,
            Reliability::Reliable => Self::Reliable,
        }
    }
}
