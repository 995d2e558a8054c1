//! `.lic` files.

mod frames;
mod index;
mod pictures;
mod reader;
mod times;
mod writer;

pub use frames::{Frame, Frames};
pub use index::{Group, Index, MAGIC};
pub use pictures::{Picture, Pictures};
pub use reader::Reader;
pub use times::{Clock, TimeReader, TimeWriter};
pub use writer::Writer;
