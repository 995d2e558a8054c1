//! Tensors of a pack's file, each of the type that is asked for.

use crate::error::{Error, Result};
use safetensors::{Dtype, SafeTensors};

pub(crate) struct Tensors<'a> {
    file: &'static str,
    pub all: SafeTensors<'a>,
}

macro_rules! values {
    ($name:ident, $t:ident, $dtype:ident) => {
        pub fn $name(&self, name: &str) -> Result<Vec<$t>> {
            let values = self.bytes(name, Dtype::$dtype)?.1.chunks_exact(size_of::<$t>());
            Ok(values.map(|b| $t::from_le_bytes(b.try_into().expect("as large"))).collect())
        }
    };
}

impl<'a> Tensors<'a> {
    /// `file`: its name, for errors.
    pub fn parse(file: &'static str, bytes: &'a [u8]) -> Result<Tensors<'a>> {
        let all = SafeTensors::deserialize(bytes).map_err(|e| Error::Pack(format!("{file}: {e}")))?;
        Ok(Tensors { file, all })
    }

    pub fn bad(&self, name: &str, what: impl std::fmt::Display) -> Error {
        Error::Pack(format!("{}: {name}: {what}", self.file))
    }

    /// Shape and data.
    pub fn bytes(&self, name: &str, dtype: Dtype) -> Result<(Vec<usize>, &[u8])> {
        let t = self.all.tensor(name).map_err(|e| self.bad(name, e))?;
        if t.dtype() != dtype {
            return Err(self.bad(name, format!("{:?} where {dtype:?} is needed", t.dtype())));
        }
        Ok((t.shape().to_vec(), t.data()))
    }

    values!(u8, u8, U8);
    values!(u16, u16, U16);
    values!(i16, i16, I16);
    values!(i32, i32, I32);
    values!(f32, f32, F32);
}
