//! Whether somebody still reads what this process writes.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use tokio::io::Interest;
use tokio::net::unix::pipe::Sender;

/// Returns when nobody reads standard output any more, such as `head` that has seen enough; never,
/// where that cannot be told.
pub async fn closed() {
    let watched = || -> io::Result<Sender> {
        // The mode of the pipe stays as it is: other processes may write into it as well.
        Sender::from_file_unchecked(File::from(io::stdout().as_fd().try_clone_to_owned()?))
    };
    // A file cannot be waited for, and has no reader that could go away.
    if let Ok(output) = watched()
        && output.ready(Interest::ERROR).await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}
