//! Copies its input and output to a port and back: one of its own container, where the toolkit cannot
//! reach that itself, or one of another server, as the container reaches it. The toolkit runs it in the
//! containers of the bundled servers.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy};
use tokio::net::TcpStream;

/// What is written once the port has accepted the connection.
const OPEN: &[u8] = b"toolkit-forward-open\n";

/// Forwards until either side ends.
///
/// # Errors
/// Nothing listens at the port, or a side breaks.
pub async fn serve(
    (host, port): (&str, u16),
    mut input: impl AsyncRead + Unpin,
    mut output: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    let (mut from, mut to) = TcpStream::connect((host, port)).await?.into_split();
    output.write_all(OPEN).await?;
    output.flush().await?;
    let outward = async {
        copy(&mut input, &mut to).await?;
        to.shutdown().await
    };
    let inward = async {
        copy(&mut from, &mut output).await?;
        output.flush().await
    };
    // A question that is complete still has its answer to come; an answer that is complete ends all.
    tokio::select! {
        outcome = inward => outcome,
        Err(error) = outward => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn both_ways_are_carried_to_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut question = String::new();
            socket.read_to_string(&mut question).await.unwrap();
            socket.write_all(b"answer to ").await.unwrap();
            socket.write_all(question.as_bytes()).await.unwrap();
        };
        let mut output = Vec::new();
        let served = serve(("127.0.0.1", port), b"question".as_slice(), &mut output);
        let (served, ()) = tokio::join!(served, server);
        served.unwrap();
        let text = String::from_utf8(output).unwrap();
        assert_eq!(text, "toolkit-forward-open\nanswer to question");
    }
}
