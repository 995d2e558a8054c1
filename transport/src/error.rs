//! What a user can get wrong before anything runs. Trouble on the network is never an error: it is reported and retried.

/// A setting that cannot work; the text says how to write it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("\"{key}\" is no usable key: {reason}")]
    Key { key: String, reason: String },
    #[error("cannot read the zenoh configuration \"{path}\": {reason}. Name a readable .json5 file in config= or $ZENOH_CONFIG")]
    Config { path: String, reason: String },
    #[error("\"{endpoint}\" is no zenoh endpoint: {reason}. Write it as tcp/HOST:7447")]
    Endpoint { endpoint: String, reason: String },
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// zenoh's error text without the source locations it appends.
pub(crate) fn reason(error: &zenoh::Error) -> String {
    let text = error.to_string();
    let text = text.split(" at /").next().unwrap_or(&text);
    text.trim_end_matches(['.', ' ', ']', '!']).to_string()
}
