//! What travels with frames over the network.

use crate::wire::{Header, MAGIC, Request, VERSION};

#[test]
fn attachment() {
    bolero::check!().for_each(|data: &[u8]| {
        // Behind the magic and the version: without them nothing more is read.
        let m = [&MAGIC[..], &[VERSION], data].concat();
        if let Ok(h) = Header::decode(&m) {
            assert_eq!(Header::decode(&h.encode().unwrap()), Ok(h));
        }
        let _ = Request::decode(data);
        let _ = Header::decode(data);
    });
}
