//! How long containers get to stop, where the operator says so.

use std::time::Duration;

use crate::plan::Plan;

/// The flag.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct Grace {
    /// Seconds that a container gets to stop before it is killed [default: as its definition says]
    #[arg(short = 't', long = "grace", value_name = "SECONDS")]
    seconds: Option<u32>,
}

impl Grace {
    /// So many seconds, when they are said.
    #[must_use]
    pub fn of(seconds: Option<u32>) -> Self {
        Self { seconds }
    }

    /// Gives every container of a plan that time, when one was said.
    pub fn grant(self, plan: &mut Plan) {
        if let Some(seconds) = self.seconds {
            plan.stop_within(Duration::from_secs(seconds.into()));
        }
    }
}
