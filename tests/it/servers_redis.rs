//! The bundled redis server with a real client, over real sockets.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on ends here, and puts files into its own folders"
)]

use std::collections::HashSet;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use redis::AsyncTypedCommands;
use redis::Client;
use redis::aio::MultiplexedConnection;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use toolkit::servers::redis::Options;
use toolkit::servers::redis::RedisError;
use toolkit::servers::redis::StorageError;
use toolkit::servers::redis::is_answering;
use toolkit::servers::redis::serve;

use crate::servers_log::Log;

/// The texts of the lines, without process and time, which change from run to run.
fn texts(log: &Log) -> Vec<String> {
    log.text()
        .lines()
        .map(|line| line.splitn(6, ' ').last().unwrap().to_owned())
        .collect()
}

/// A running server.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), RedisError>>,
    log: Log,
}

impl Running {
    pub(crate) async fn start(options: Options) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let log = Log::default();
        let shutdown = async {
            // A test that drops its server stops it just the same.
            stopped.await.ok();
        };
        let task = tokio::spawn(serve(listener, options, shutdown, log.clone()));
        Self {
            address,
            stop,
            task,
            log,
        }
    }

    async fn connect(&self) -> MultiplexedConnection {
        let client = Client::open(format!("redis://{}", self.address)).unwrap();
        // A busy machine may take longer than the client is ready to wait by itself.
        let patient = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let connection = client.get_multiplexed_async_connection_with_config(&patient);
        let mut connection = connection.await.unwrap();
        // The dataset is loaded beside; the client asks again until it is there.
        while connection.ping().await.is_err() {
            tokio::task::yield_now().await;
        }
        connection
    }

    pub(crate) async fn stop(self) -> Log {
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
        self.log
    }
}

/// Options of a server without a password.
pub(crate) fn options(folder: &Path, append_only: bool) -> Options {
    Options {
        data: folder.to_owned(),
        append_only,
        password: None,
    }
}

#[tokio::test]
async fn the_client_speaks_with_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(options(folder.path(), true)).await;
    let mut connection = server.connect().await;

    connection.set("text", "value").await.unwrap();
    assert_eq!(
        connection.get("text").await.unwrap().as_deref(),
        Some("value")
    );
    assert_eq!(connection.incr("number", 5).await.unwrap(), 5);
    assert_eq!(connection.rpush("list", &["a", "b"]).await.unwrap(), 2);
    assert_eq!(connection.lrange("list", 0, -1).await.unwrap(), ["a", "b"]);
    assert_eq!(connection.sadd("set", "a").await.unwrap(), 1);
    assert!(connection.sismember("set", "a").await.unwrap());
    connection.hset("hash", "field", "value").await.unwrap();
    assert_eq!(connection.hgetall("hash").await.unwrap()["field"], "value");
    assert_eq!(connection.zadd("sorted", "member", 2).await.unwrap(), 1);
    assert_eq!(
        connection.zscore("sorted", "member").await.unwrap(),
        Some(2.0)
    );
    assert!(connection.expire("text", 100).await.unwrap());
    assert!(matches!(
        connection.ttl("text").await.unwrap(),
        redis::IntegerReplyOrNoOp::IntegerReply(1..=100)
    ));

    let (first, second): (i64, Option<String>) = redis::pipe()
        .incr("number", 1)
        .set("other", "x")
        .ignore()
        .get("other")
        .query_async(&mut connection)
        .await
        .unwrap();
    assert_eq!((first, second.as_deref()), (6, Some("x")));

    let (number, length): (i64, i64) = redis::pipe()
        .atomic()
        .incr("number", 1)
        .rpush("list", "c")
        .query_async(&mut connection)
        .await
        .unwrap();
    assert_eq!((number, length), (7, 3));

    let error = connection.lpush("text", "x").await.unwrap_err();
    assert_eq!(error.code(), Some("WRONGTYPE"));
    let error = redis::cmd("BOGUS")
        .arg("a")
        .query_async::<()>(&mut connection)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("unknown command"), "{error}");

    let information: redis::InfoDict = redis::cmd("INFO")
        .query_async(&mut connection)
        .await
        .unwrap();
    assert_eq!(
        information.get::<String>("toolkit_bundled").as_deref(),
        Some("1")
    );
    assert_eq!(
        information.get::<u16>("tcp_port"),
        Some(server.address.port())
    );
    assert_eq!(information.get::<u8>("loading"), Some(0));
    server.stop().await;
}

#[tokio::test]
async fn messages_are_published() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(options(folder.path(), false)).await;
    let mut connection = server.connect().await;
    let client = Client::open(format!("redis://{}", server.address)).unwrap();
    let mut listener = client.get_async_pubsub().await.unwrap();
    listener.subscribe("news").await.unwrap();
    listener.psubscribe("edit*").await.unwrap();

    assert_eq!(connection.publish("news", "one").await.unwrap(), 1);
    assert_eq!(connection.publish("editor", "two").await.unwrap(), 1);
    assert_eq!(connection.publish("none", "three").await.unwrap(), 0);
    let mut messages = listener.on_message();
    for (channel, payload) in [("news", "one"), ("editor", "two")] {
        let message = messages.next().await.unwrap();
        assert_eq!(message.get_channel_name(), channel);
        assert_eq!(message.get_payload::<String>().unwrap(), payload);
    }
    drop(messages);
    listener.unsubscribe("news").await.unwrap();
    assert_eq!(connection.publish("news", "four").await.unwrap(), 0);
    server.stop().await;
}

#[tokio::test]
async fn a_walk_over_many_keys_finds_all_that_stay() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(options(folder.path(), false)).await;
    let mut connection = server.connect().await;
    let mut pipeline = redis::pipe();
    for number in 0..5_000 {
        pipeline.set(format!("stay:{number}"), number).ignore();
        pipeline.set(format!("go:{number}"), number).ignore();
    }
    pipeline.query_async::<()>(&mut connection).await.unwrap();

    let mut other = server.connect().await;
    let mut found = HashSet::new();
    let mut walk = connection.scan_match::<_, String>("stay:*").await.unwrap();
    let mut step = 0;
    while let Some(key) = walk.next_item().await {
        found.insert(key.unwrap());
        if step < 5_000 {
            let pipeline = redis::pipe()
                .del(format!("go:{step}"))
                .set(format!("new:{step}"), 1)
                .to_owned();
            pipeline.query_async::<()>(&mut other).await.unwrap();
            step += 1;
        }
    }
    for number in 0..5_000 {
        assert!(found.contains(&format!("stay:{number}")), "{number}");
    }
    drop(walk);
    server.stop().await;
}

#[tokio::test]
async fn a_restart_keeps_the_data() {
    for append_only in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let server = Running::start(options(folder.path(), append_only)).await;
        let mut connection = server.connect().await;
        connection.set("key", "value").await.unwrap();
        connection.set_ex("brief", "value", 1_000).await.unwrap();
        let log = server.stop().await;
        let lines = texts(&log);
        assert_eq!(
            lines[0],
            "* This is the bundled redis server of the toolkit, not Redis"
        );
        assert_eq!(lines[1], "* No data to load");
        assert_eq!(lines[2], "* Ready to accept connections tcp");
        assert_eq!(lines.last().unwrap(), "* Stopped");

        let server = Running::start(options(folder.path(), append_only)).await;
        let mut connection = server.connect().await;
        assert_eq!(
            connection.get("key").await.unwrap().as_deref(),
            Some("value")
        );
        assert!(matches!(
            connection.ttl("brief").await.unwrap(),
            redis::IntegerReplyOrNoOp::IntegerReply(1..=1_000)
        ));
        let lines = texts(&server.stop().await);
        assert!(
            lines[1].starts_with("* Data loaded from the "),
            "{}",
            lines[1]
        );
        assert!(
            lines[1].contains("2 keys, of which 0 had expired"),
            "{}",
            lines[1]
        );
    }
}

#[tokio::test]
async fn the_append_only_file_can_be_turned_on_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(options(folder.path(), false)).await;
    let mut connection = server.connect().await;
    connection.set("before", "1").await.unwrap();
    redis::cmd("CONFIG")
        .arg(&["SET", "appendonly", "yes"])
        .query_async::<()>(&mut connection)
        .await
        .unwrap();
    connection.set("after", "2").await.unwrap();
    server.stop().await;

    let server = Running::start(options(folder.path(), true)).await;
    let mut connection = server.connect().await;
    assert_eq!(
        connection.get("before").await.unwrap().as_deref(),
        Some("1")
    );
    assert_eq!(connection.get("after").await.unwrap().as_deref(), Some("2"));
    server.stop().await;
}

#[tokio::test]
async fn a_key_ends_in_the_append_only_file_without_being_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(options(folder.path(), true)).await;
    let mut connection = server.connect().await;
    let file = folder.path().join("appendonlydir/appendonly.aof");
    let ends = |name: &str| {
        let text = String::from_utf8(std::fs::read(&file).unwrap()).unwrap();
        text.contains(&format!("DEL\r\n$1\r\n{name}\r\n"))
    };
    for name in ["a", "b"] {
        connection.pset_ex(name, "value", 1).await.unwrap();
        let ended = async {
            while !ends(name) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(20), ended).await;
        assert!(ended.is_ok(), "`{name}` is still there");
    }
    server.stop().await;
}

#[tokio::test]
async fn starting_with_the_flag_alone_begins_empty_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(options(folder.path(), false)).await;
    server.connect().await.set("key", "value").await.unwrap();
    server.stop().await;

    let server = Running::start(options(folder.path(), true)).await;
    assert_eq!(server.connect().await.get("key").await.unwrap(), None);
    let lines = texts(&server.stop().await);
    assert!(lines[1].starts_with("# The append-only file is on and does not exist yet"));

    // The snapshot is still there for a start without the flag.
    let server = Running::start(options(folder.path(), false)).await;
    assert_eq!(
        server.connect().await.get("key").await.unwrap().as_deref(),
        Some("value")
    );
    let lines = texts(&server.stop().await);
    assert!(
        lines[1].starts_with("# The append-only file is off"),
        "{}",
        lines[1]
    );
}

#[tokio::test]
async fn silent_clients_hold_nothing_up() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(options(folder.path(), true)).await;
    let _silent = TcpStream::connect(server.address).await.unwrap();
    let mut unfinished = TcpStream::connect(server.address).await.unwrap();
    unfinished
        .write_all(b"*2\r\n$3\r\nGET\r\n$100\r\n")
        .await
        .unwrap();
    let mut greedy = TcpStream::connect(server.address).await.unwrap();
    let mut connection = server.connect().await;
    connection
        .set("large", "x".repeat(4_000_000))
        .await
        .unwrap();
    // This one asks for much and never reads it.
    greedy
        .write_all("GET large\r\n".repeat(50).as_bytes())
        .await
        .unwrap();
    connection.ping().await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn broken_requests_end_only_their_connection() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(options(folder.path(), true)).await;
    let mut connection = server.connect().await;
    for (request, expected) in [
        (
            "PING\r\n*x\r\n",
            "+PONG\r\n-ERR Protocol error: invalid multibulk length\r\n",
        ),
        (
            "*1\r\n+x\r\n",
            "-ERR Protocol error: expected '$', got '+'\r\n",
        ),
        (
            "*1\r\n$600000000\r\n",
            "-ERR Protocol error: invalid bulk length\r\n",
        ),
        (
            "SET k 1\r\nGET k\r\nQUIT\r\nGET k\r\n",
            "+OK\r\n$1\r\n1\r\n+OK\r\n",
        ),
    ] {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut reply = String::new();
        socket.read_to_string(&mut reply).await.unwrap();
        assert_eq!(reply, expected);
    }
    connection.ping().await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_client_can_stop_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(options(folder.path(), true)).await;
    let mut connection = server.connect().await;
    connection.set("key", "value").await.unwrap();
    let outcome = redis::cmd("SHUTDOWN")
        .query_async::<()>(&mut connection)
        .await;
    assert!(outcome.is_err(), "the connection ends without a reply");
    server.task.await.unwrap().unwrap();
    let server = Running::start(options(folder.path(), true)).await;
    assert_eq!(
        server.connect().await.get("key").await.unwrap().as_deref(),
        Some("value")
    );
    server.stop().await;
}

#[tokio::test]
async fn health_is_told_from_outside() {
    let folder = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = free.local_addr().unwrap();
    drop(free);
    assert!(!is_answering(nobody).await);

    let server = Running::start(Options {
        password: Some("secret".to_owned()),
        ..options(folder.path(), true)
    })
    .await;
    assert!(is_answering(server.address).await);
    let client = Client::open(format!("redis://:wrong@{}", server.address)).unwrap();
    assert!(client.get_multiplexed_async_connection().await.is_err());
    let client = Client::open(format!("redis://:secret@{}", server.address)).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    connection.ping().await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(options(folder.path(), true)).await;
    server.connect().await;
    let second = Running::start(options(folder.path(), true)).await;
    assert!(matches!(
        second.task.await.unwrap(),
        Err(RedisError::Storage(StorageError::Locked { .. }))
    ));
    server.stop().await;

    let real = tempfile::tempdir().unwrap();
    std::fs::write(real.path().join("dump.rdb"), "REDIS0011").unwrap();
    let server = Running::start(options(real.path(), false)).await;
    assert!(matches!(
        server.task.await.unwrap(),
        Err(RedisError::Storage(StorageError::RealData { .. }))
    ));

    let damaged = tempfile::tempdir().unwrap();
    std::fs::create_dir(damaged.path().join("appendonlydir")).unwrap();
    let file = damaged.path().join("appendonlydir/appendonly.aof");
    std::fs::write(&file, "*1\r\n$5\r\nBOGUS\r\n").unwrap();
    let server = Running::start(options(damaged.path(), true)).await;
    assert!(matches!(
        server.task.await.unwrap(),
        Err(RedisError::Storage(StorageError::Damaged { offset: 0, .. }))
    ));
    assert!(
        texts(&server.log)
            .last()
            .unwrap()
            .starts_with("# Stopped by an error: `")
    );
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        "*1\r\n$5\r\nBOGUS\r\n"
    );
}

#[tokio::test]
async fn a_torn_end_is_cut_and_logged() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(options(folder.path(), true)).await;
    server.connect().await.set("key", "value").await.unwrap();
    server.stop().await;
    let path = folder.path().join("appendonlydir/appendonly.aof");
    let mut file = std::fs::File::options().append(true).open(&path).unwrap();
    file.write_all(b"*3\r\n$3\r\nSET\r\n$3\r\nke").unwrap();

    let server = Running::start(options(folder.path(), true)).await;
    let mut connection = server.connect().await;
    assert_eq!(
        connection.get("key").await.unwrap().as_deref(),
        Some("value")
    );
    let lines = texts(&server.stop().await);
    assert_eq!(
        lines[1],
        "# The append-only file ended in the middle of a command: 19 bytes were cut off"
    );
}
