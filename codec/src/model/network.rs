//! One float network (analysis or synthesis) in ONNX Runtime.

use super::Runtime;
use crate::error::{Error, Result};
use ort::session::{Session, builder::GraphOptimizationLevel};
use ort::value::TensorRef;

/// Runs `[1, channels, height, width]` float tensors through one model with one input and one output.
pub struct Network {
    session: Session,
    input: String,
}

fn failed(e: impl std::fmt::Display) -> Error {
    Error::Runtime(format!("ONNX Runtime: {e}"))
}

impl Network {
    /// `threads`: at least 1.
    pub fn new(runtime: &Runtime, model: &[u8], threads: usize) -> Result<Network> {
        let mut builder = Session::builder(&runtime.environment).map_err(failed)?;
        builder = builder.with_intra_threads(threads).map_err(failed)?;
        builder = builder.with_optimization_level(GraphOptimizationLevel::Level3).map_err(failed)?;
        // Threads that spin between frames would take the second core of a robot for nothing.
        builder = builder.with_config_entry("session.intra_op.allow_spinning", "0").map_err(failed)?;
        let session = builder.commit_from_memory(model).map_err(failed)?;
        let input = session.inputs().first().map(|i| i.name().to_string());
        let input = input.ok_or_else(|| Error::Pack("a network has no input".into()))?;
        Ok(Network { session, input })
    }

    /// `x`: channels * height * width values; `take` is given the output's values.
    pub fn run<T>(&mut self, x: &[f32], channels: usize, height: usize, width: usize, take: impl FnOnce(&[f32]) -> T) -> Result<T> {
        let tensor = TensorRef::from_array_view(([1, channels, height, width], x)).map_err(failed)?;
        let outputs = self.session.run(ort::inputs![self.input.as_str() => tensor]).map_err(failed)?;
        let (_, values) = outputs[0].try_extract_tensor::<f32>().map_err(failed)?;
        Ok(take(values))
    }
}
