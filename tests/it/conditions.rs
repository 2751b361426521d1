//! How a mongo and a redis do, asked of the bundled servers over real sockets.

use std::net::SocketAddr;
use std::time::Duration;

use bson::doc;
use redis::AsyncTypedCommands;
use tokio::net::{TcpListener, TcpStream};
use toolkit::observed::condition::Pending;
use toolkit::probe::condition;
use toolkit::probe::store::{RedisPlace, RedisTrouble};
use toolkit::secret::Secret;
use toolkit::tls::Trust;

use super::smtp::{Authority, acceptor};
use super::{servers_mongo, servers_redis};

const DEADLINE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn conditions_of_a_mongo_follow_its_role_and_the_database_of_the_url() {
    let folder = tempfile::tempdir().unwrap();
    let server = servers_mongo::Running::start(folder.path(), Some("overleaf")).await;
    let url = Secret::new(format!("mongodb://{}/sharelatex", server.address));
    let before = condition::mongo(&url, None, DEADLINE).await.unwrap();
    assert_eq!(before.state, "not initiated");
    assert!(!before.takes_writes());
    let set = doc! { "_id": "overleaf", "members": [{ "_id": 0, "host": "mongo:27017" }] };
    server.admin(doc! { "replSetInitiate": set }).await.unwrap();
    // The name in the URL means nothing here, the address does.
    let named = Secret::new("mongodb://mongo/admin?replicaSet=overleaf");
    let after = condition::mongo(&named, Some(server.address), DEADLINE).await;
    let after = after.unwrap();
    assert_eq!(
        (after.state.as_str(), after.members),
        ("primary", Some((1, 1)))
    );
    assert_eq!(after.set.as_deref(), Some("overleaf"));
    assert_eq!(after.compatibility.as_deref(), Some("8.0"));
    assert!(after.disk_bytes > Some(0), "{after:?}");
    assert_eq!(before.data_bytes, Some(0), "another database is empty");
    server.stop().await.unwrap();
    let gone = condition::mongo(&url, None, Duration::from_secs(1)).await;
    assert!(gone.is_err(), "{gone:?}");
}

#[tokio::test]
async fn conditions_of_a_redis_count_what_it_holds_for_mongo() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = servers_redis::options(folder.path(), true);
    options.password = Some("hunter2".to_owned());
    let server = servers_redis::Running::start(options).await;
    let place = |password: &str| RedisPlace {
        host: server.address.ip().to_string(),
        port: server.address.port(),
        password: Some(Secret::new(password)),
        tls: None,
    };
    let url = format!("redis://:hunter2@{}", server.address);
    let client = redis::Client::open(url).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    while connection.ping().await.is_err() {
        tokio::task::yield_now().await;
    }
    for key in [
        "DocVersion:a",
        "DocVersion:b",
        "doclines:a",
        "DocsIn:p",
        "ProjectHistory:Ops:p",
        "sess:x",
    ] {
        connection.set(key, "1").await.unwrap();
    }
    let (redis, pending) = condition::redis(&place("hunter2"), None, DEADLINE)
        .await
        .unwrap();
    assert!(redis.append_only.is_enabled && redis.append_only.is_write_ok);
    let expected = Pending {
        documents: 2,
        histories: 1,
        is_complete: true,
    };
    assert_eq!(pending, Ok(expected));
    let refused = condition::redis(&place("secret-of-another"), None, DEADLINE).await;
    let because = refused.unwrap_err().to_string();
    assert!(!because.contains("secret-of-another"), "{because}");
    drop(connection);
    server.stop().await;
}

/// An address that speaks TLS for a server that does not.
async fn door(acceptor: tokio_rustls::TlsAcceptor, behind: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut inner = TcpStream::connect(behind).await.unwrap();
                // Those who do not speak TLS, or do not trust the certificate, go away.
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut inner).await;
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn a_redis_behind_tls_has_to_be_the_one_that_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = servers_redis::options(folder.path(), true);
    options.password = Some("hunter2".to_owned());
    let server = servers_redis::Running::start(options).await;
    let authority = Authority::new();
    let (key, certificate) = authority.certificate("redis.example");
    let door = door(acceptor(&key, &certificate), server.address).await;
    let ask = async |host: &str, further: &str, address| {
        let place = RedisPlace {
            host: host.to_owned(),
            port: 6379,
            password: Some(Secret::new("hunter2")),
            tls: Some(Trust {
                further: further.to_owned(),
                ..Trust::default()
            }),
        };
        let answer = condition::redis(&place, Some(address), DEADLINE).await;
        let redis = answer.map(|(redis, _)| redis);
        redis.map_err(|trouble| trouble.to_string())
    };
    let ours = authority.text();
    let redis = ask("redis.example", &ours, door).await.unwrap();
    assert!(redis.append_only.is_enabled, "{redis:?}");
    for (host, further, address, because) in [
        ("redis.example", "", door, "vouches for"),
        ("other.example", &ours, door, "but for redis.example"),
        ("redis.example", &ours, server.address, "not speak TLS here"),
    ] {
        let refused = ask(host, further, address).await.unwrap_err();
        assert!(refused.contains(because), "{refused}");
    }
    let plain = RedisPlace {
        host: door.ip().to_string(),
        port: door.port(),
        password: Some(Secret::new("hunter2")),
        tls: None,
    };
    let refused = condition::redis(&plain, None, DEADLINE).await;
    assert!(
        matches!(refused, Err(RedisTrouble::Other(_))),
        "{refused:?}"
    );
    server.stop().await;
}
