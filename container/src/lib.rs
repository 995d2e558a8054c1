//! lic streams in files.
