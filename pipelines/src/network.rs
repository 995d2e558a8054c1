//! Where the other side is, as options of every subcommand that uses the network.

use lic_transport::Network;
use std::path::PathBuf;

/// With none of them: this host, over loopback.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Network")]
pub struct Place {
    /// The other side or a zenoh router: tcp/HOST:7447 (several with commas between) [default: this host]
    #[arg(long, value_name = "ENDPOINT")]
    pub connect: Option<String>,
    /// Let the other side connect here: tcp/0.0.0.0:7447
    #[arg(long, value_name = "ENDPOINT")]
    pub listen: Option<String>,
    /// A zenoh configuration file, for certificates and rules [default: $ZENOH_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl Place {
    pub fn network(&self) -> Network {
        Network { connect: self.connect.clone(), listen: self.listen.clone(), config: self.config.clone(), rendezvous_port: None }
    }

    /// Sets up a zenohsink or zenohsrc.
    pub fn set(&self, element: &gst::Element) {
        use gst::prelude::*;
        let config = self.config.as_ref().map(|c| c.to_string_lossy().into_owned());
        for (name, value) in [("connect", &self.connect), ("listen", &self.listen), ("config", &config)] {
            if let Some(value) = value {
                element.set_property(name, value);
            }
        }
    }
}
