//! The bundled mongo server as the official driver sees it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test, stopping at the first surprise is right"
)]

use std::net::SocketAddr;
use std::path::Path;

use bson::Bson;
use bson::Document;
use bson::doc;
use futures_util::TryStreamExt;
use mongodb::Client;
use mongodb::Collection;
use mongodb::IndexModel;
use mongodb::error::Error;
use mongodb::error::ErrorKind;
use mongodb::error::WriteFailure;
use mongodb::options::ClientOptions;
use mongodb::options::IndexOptions;
use mongodb::options::ReturnDocument;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use toolkit::servers::mongo;
use toolkit::servers::mongo::MongoError;
use toolkit::servers::mongo::Options;
use toolkit::servers::mongo::StorageError;

use crate::servers_log::Log;

/// A running server.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    log: Log,
    shutdown: oneshot::Sender<()>,
    served: JoinHandle<Result<(), MongoError>>,
}

impl Running {
    pub(crate) async fn start(folder: &Path, replica_set: Option<&str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let options = Options {
            data: folder.to_owned(),
            replica_set: replica_set.map(str::to_owned),
            address: "mongo:27017".to_owned(),
        };
        let log = Log::default();
        let (shutdown, wanted) = oneshot::channel();
        let until = async {
            wanted.await.ok();
        };
        let served = tokio::spawn(mongo::serve(listener, options, until, log.clone()));
        Self {
            address,
            log,
            shutdown,
            served,
        }
    }

    /// A new client, which learns the server's present role.
    async fn client(&self) -> Client {
        let url = format!("mongodb://{}/?directConnection=true", self.address);
        Client::with_options(ClientOptions::parse(url).await.unwrap()).unwrap()
    }

    pub(crate) async fn admin(&self, command: Document) -> Result<Document, Error> {
        self.client()
            .await
            .database("admin")
            .run_command(command)
            .await
    }

    async fn initiated(folder: &Path) -> Self {
        let server = Self::start(folder, Some("overleaf")).await;
        server
            .admin(doc! {"replSetInitiate": config("overleaf", "mongo:27017")})
            .await
            .unwrap();
        server
    }

    pub(crate) async fn stop(self) -> Result<(), MongoError> {
        self.shutdown.send(()).ok();
        self.served.await.unwrap()
    }
}

fn config(set: &str, host: &str) -> Document {
    doc! {"_id": set, "members": [{"_id": 0, "host": host}]}
}

fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> Option<i32> {
    match *result.unwrap_err().kind {
        ErrorKind::Command(error) => Some(error.code),
        ErrorKind::Write(WriteFailure::WriteError(error)) => Some(error.code),
        ErrorKind::InsertMany(errors) => errors.write_errors.unwrap().first().map(|e| e.code),
        other => panic!("{other:?}"),
    }
}

async fn all(collection: &Collection<Document>, filter: Document) -> Vec<Document> {
    collection
        .find(filter)
        .sort(doc! {"_id": 1})
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap()
}

#[tokio::test]
async fn a_set_is_initiated_inspected_and_reconfigured() {
    let folder = TempDir::new().unwrap();
    let server = Running::start(folder.path(), Some("overleaf")).await;
    let status = || server.admin(doc! {"replSetGetStatus": 1});
    let hello = || server.admin(doc! {"hello": 1});

    assert_eq!(code(status().await), Some(94));
    assert_eq!(
        code(server.admin(doc! {"replSetGetConfig": 1}).await),
        Some(94)
    );
    let before = hello().await.unwrap();
    assert!(!before.get_bool("isWritablePrimary").unwrap());
    assert!(before.get_bool("isreplicaset").unwrap());
    let documents = server
        .client()
        .await
        .database("a")
        .collection::<Document>("b");
    assert_eq!(code(documents.insert_one(doc! {}).await), Some(10107));
    // A driver with a direct connection says that reading elsewhere is welcome.
    assert_eq!(code(documents.find_one(doc! {}).await), Some(13436));
    assert!(mongo::is_answering(server.address).await);

    let wrong = server
        .admin(doc! {"replSetInitiate": config("other", "mongo:27017")})
        .await;
    assert_eq!(code(wrong), Some(93));
    let right = doc! {"replSetInitiate": config("overleaf", "mongo:27017")};
    server.admin(right.clone()).await.unwrap();
    assert_eq!(code(server.admin(right).await), Some(23));

    let status_after = status().await.unwrap();
    assert_eq!(status_after.get_str("set").unwrap(), "overleaf");
    assert_eq!(status_after.get_i32("myState").unwrap(), 1);
    let members = status_after.get_array("members").unwrap();
    let member = members[0].as_document().unwrap();
    assert_eq!(member.get_str("name").unwrap(), "mongo:27017");
    assert_eq!(member.get_str("stateStr").unwrap(), "PRIMARY");
    let after = hello().await.unwrap();
    assert!(after.get_bool("isWritablePrimary").unwrap());
    assert_eq!(after.get_str("setName").unwrap(), "overleaf");
    assert_eq!(after.get_str("primary").unwrap(), "mongo:27017");
    assert_eq!(after.get_i32("maxWireVersion").unwrap(), 25);

    let stored = server.admin(doc! {"replSetGetConfig": 1}).await.unwrap();
    let mut new = stored.get_document("config").unwrap().clone();
    let member = new.get_array_mut("members").unwrap()[0]
        .as_document_mut()
        .unwrap();
    member.insert("host", "elsewhere:27018");
    assert_eq!(
        code(server.admin(doc! {"replSetReconfig": new.clone()}).await),
        Some(103)
    );
    new.insert("version", 2);
    server.admin(doc! {"replSetReconfig": new}).await.unwrap();
    let after = hello().await.unwrap();
    assert_eq!(after.get_str("me").unwrap(), "elsewhere:27018");
    assert_eq!(after.get_i32("setVersion").unwrap(), 2);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_empty_initiation_uses_the_servers_address() {
    let folder = TempDir::new().unwrap();
    let server = Running::start(folder.path(), Some("overleaf")).await;
    let reply = server.admin(doc! {"replSetInitiate": {}}).await.unwrap();
    assert_eq!(reply.get_str("me").unwrap(), "mongo:27017");
    let hello = server.admin(doc! {"hello": 1}).await.unwrap();
    assert_eq!(
        hello.get_array("hosts").unwrap(),
        &vec![Bson::from("mongo:27017")]
    );
}

#[tokio::test]
async fn a_server_without_a_set_serves_at_once() {
    let folder = TempDir::new().unwrap();
    let server = Running::start(folder.path(), None).await;
    let documents = server
        .client()
        .await
        .database("a")
        .collection::<Document>("b");
    documents.insert_one(doc! {"_id": 1}).await.unwrap();
    assert_eq!(all(&documents, doc! {}).await, [doc! {"_id": 1}]);
    assert_eq!(
        code(server.admin(doc! {"replSetGetStatus": 1}).await),
        Some(76)
    );
    assert_eq!(
        code(server.admin(doc! {"replSetInitiate": {}}).await),
        Some(76)
    );
}

#[tokio::test]
async fn the_feature_compatibility_version_is_read_and_set() {
    let folder = TempDir::new().unwrap();
    let server = Running::initiated(folder.path()).await;
    let version = || async {
        let question = doc! {"getParameter": 1, "featureCompatibilityVersion": 1};
        let reply = server.admin(question).await.unwrap();
        let parameter = reply.get_document("featureCompatibilityVersion").unwrap();
        parameter.get_str("version").unwrap().to_owned()
    };
    assert_eq!(version().await, "8.0");
    let set = |version: &str, confirm: bool| {
        let mut command = doc! {"setFeatureCompatibilityVersion": version};
        if confirm {
            command.insert("confirm", true);
        }
        server.admin(command)
    };
    assert_eq!(code(set("7.0", false).await), Some(7_369_100));
    assert_eq!(code(set("6.0", true).await), Some(4_926_900));
    set("7.0", true).await.unwrap();
    assert_eq!(version().await, "7.0");
}

#[tokio::test]
async fn documents_are_written_and_read() {
    let folder = TempDir::new().unwrap();
    let server = Running::initiated(folder.path()).await;
    let database = server.client().await.database("shop");
    let orders = database.collection::<Document>("orders");

    let many: Vec<Document> = (0..250)
        .map(|id| doc! {"_id": id, "kind": id % 2})
        .collect();
    assert_eq!(
        orders.insert_many(&many).await.unwrap().inserted_ids.len(),
        250
    );
    assert_eq!(code(orders.insert_one(doc! {"_id": 7}).await), Some(11000));
    let unordered = [doc! {"_id": 7}, doc! {"_id": 250}, doc! {"_id": 8}];
    assert_eq!(
        code(orders.insert_many(&unordered).ordered(false).await),
        Some(11000)
    );
    assert_eq!(orders.count_documents(doc! {}).await.unwrap(), 251);
    assert_eq!(
        orders
            .count_documents(doc! {"kind": 1})
            .limit(5)
            .await
            .unwrap(),
        5
    );
    assert_eq!(orders.count_documents(doc! {"kind": 9}).await.unwrap(), 0);
    assert_eq!(orders.estimated_document_count().await.unwrap(), 251);

    let mut cursor = orders.find(doc! {}).batch_size(100).await.unwrap();
    let mut read = 0;
    while cursor.try_next().await.unwrap().is_some() {
        read += 1;
    }
    assert_eq!(read, 251);
    let page: Vec<Document> = orders
        .find(doc! {"kind": 1})
        .sort(doc! {"_id": -1})
        .skip(1)
        .limit(2)
        .projection(doc! {"_id": 1})
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(page, [doc! {"_id": 247}, doc! {"_id": 245}]);
    assert_eq!(
        orders.distinct("kind", doc! {}).await.unwrap(),
        [Bson::Int32(0), Bson::Int32(1)]
    );

    let updated = orders
        .update_one(doc! {"_id": 1}, doc! {"$inc": {"kind": 5}})
        .await
        .unwrap();
    assert_eq!((updated.matched_count, updated.modified_count), (1, 1));
    let updated = orders
        .update_many(doc! {"kind": 0}, doc! {"$set": {"kind": 0}})
        .await
        .unwrap();
    assert_eq!((updated.matched_count, updated.modified_count), (125, 0));
    let upserted = orders
        .update_one(
            doc! {"_id": "new"},
            doc! {"$push": {"list": 1}, "$setOnInsert": {"x": 2}},
        )
        .upsert(true)
        .await
        .unwrap();
    assert_eq!(upserted.upserted_id, Some("new".into()));
    let replaced = orders
        .replace_one(doc! {"_id": "new"}, doc! {"y": 3})
        .await
        .unwrap();
    assert_eq!(replaced.modified_count, 1);
    let new = orders.find_one(doc! {"_id": "new"}).await.unwrap();
    assert_eq!(new, Some(doc! {"_id": "new", "y": 3}));
    let changed = orders
        .find_one_and_update(doc! {"_id": "new"}, doc! {"$set": {"y": 4}})
        .return_document(ReturnDocument::After)
        .await
        .unwrap();
    assert_eq!(changed, Some(doc! {"_id": "new", "y": 4}));
    assert!(
        orders
            .find_one_and_delete(doc! {"_id": "new"})
            .await
            .unwrap()
            .is_some()
    );
    assert_eq!(
        orders
            .find_one_and_delete(doc! {"_id": "new"})
            .await
            .unwrap(),
        None
    );
    assert_eq!(
        orders
            .delete_one(doc! {"kind": 1})
            .await
            .unwrap()
            .deleted_count,
        1
    );
    assert_eq!(
        orders
            .delete_many(doc! {"kind": 1})
            .await
            .unwrap()
            .deleted_count,
        123
    );
    assert_eq!(
        code(orders.find_one(doc! {"a": {"$regex": "x"}}).await),
        Some(2)
    );
    assert_eq!(
        code(orders.update_one(doc! {}, doc! {"$bogus": {"a": 1}}).await),
        Some(9)
    );
}

#[tokio::test]
async fn databases_collections_and_indexes_are_managed() {
    let folder = TempDir::new().unwrap();
    let server = Running::initiated(folder.path()).await;
    let client = server.client().await;
    let database = client.database("shop");
    database.create_collection("empty").await.unwrap();
    assert_eq!(code(database.create_collection("empty").await), Some(48));
    let orders = database.collection::<Document>("orders");
    orders.insert_one(doc! {"_id": 1}).await.unwrap();
    assert_eq!(
        client.list_database_names().await.unwrap(),
        ["admin", "local", "shop"].map(str::to_owned)
    );
    let sizes = client.list_databases().await.unwrap();
    assert!(sizes.iter().all(|database| database.size_on_disk > 0));
    let mut names = database.list_collection_names().await.unwrap();
    names.sort();
    assert_eq!(names, ["empty", "orders"]);
    let listed: Vec<_> = database
        .list_collections()
        .await
        .unwrap()
        .try_collect::<Vec<_>>()
        .await
        .unwrap();
    assert_eq!(listed.len(), 2);

    let options = IndexOptions::builder().unique(true).build();
    let index = IndexModel::builder()
        .keys(doc! {"a": 1})
        .options(options)
        .build();
    assert_eq!(
        orders.create_index(index.clone()).await.unwrap().index_name,
        "a_1"
    );
    orders.create_index(index).await.unwrap();
    assert_eq!(orders.list_index_names().await.unwrap(), ["_id_", "a_1"]);
    let other = IndexModel::builder().keys(doc! {"a": 1}).build();
    assert_eq!(code(orders.create_index(other).await), Some(85));
    orders.drop_index("a_1").await.unwrap();
    assert_eq!(orders.list_index_names().await.unwrap(), ["_id_"]);
    assert_eq!(code(orders.drop_index("a_1").await), Some(27));

    orders.drop().await.unwrap();
    orders.drop().await.unwrap();
    assert_eq!(database.list_collection_names().await.unwrap(), ["empty"]);
    database.drop().await.unwrap();
    assert_eq!(
        client.list_database_names().await.unwrap(),
        ["admin", "local"]
    );
    assert_eq!(code(client.database("admin").drop().await), Some(20));
}

#[tokio::test]
async fn transactions_are_isolated_committed_and_aborted() {
    let folder = TempDir::new().unwrap();
    let server = Running::initiated(folder.path()).await;
    let client = server.client().await;
    let documents = client.database("a").collection::<Document>("b");
    documents.insert_one(doc! {"_id": 0}).await.unwrap();

    let mut session = client.start_session().await.unwrap();
    session.start_transaction().await.unwrap();
    documents
        .insert_one(doc! {"_id": 1})
        .session(&mut session)
        .await
        .unwrap();
    let seen = documents
        .find_one(doc! {"_id": 1})
        .session(&mut session)
        .await
        .unwrap();
    assert_eq!(seen, Some(doc! {"_id": 1}));
    assert_eq!(documents.find_one(doc! {"_id": 1}).await.unwrap(), None);
    session.commit_transaction().await.unwrap();
    session.commit_transaction().await.unwrap();
    assert_eq!(all(&documents, doc! {}).await.len(), 2);

    session.start_transaction().await.unwrap();
    documents
        .delete_many(doc! {})
        .session(&mut session)
        .await
        .unwrap();
    session.abort_transaction().await.unwrap();
    assert_eq!(all(&documents, doc! {}).await.len(), 2);

    session.start_transaction().await.unwrap();
    let change = doc! {"$inc": {"n": 1}};
    documents
        .update_one(doc! {"_id": 0}, change.clone())
        .session(&mut session)
        .await
        .unwrap();
    documents.update_one(doc! {"_id": 0}, change).await.unwrap();
    let conflict = session.commit_transaction().await.unwrap_err();
    assert!(conflict.contains_label("TransientTransactionError"));
    assert_eq!(all(&documents, doc! {"n": 1}).await.len(), 1);

    session.start_transaction().await.unwrap();
    let duplicate = documents
        .insert_one(doc! {"_id": 0})
        .session(&mut session)
        .await;
    assert_eq!(code(duplicate), Some(11000));
    let after = documents.find_one(doc! {}).session(&mut session).await;
    assert_eq!(code(after), Some(251));
}

#[tokio::test]
async fn a_repeated_write_is_applied_once() {
    let folder = TempDir::new().unwrap();
    let server = Running::initiated(folder.path()).await;
    let database = server.client().await.database("a");
    let documents = database.collection::<Document>("b");
    documents.insert_one(doc! {"_id": 1, "n": 0}).await.unwrap();
    // One session, so that both commands are the same write to the server.
    let session = doc! {"id": bson::Uuid::new()};
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    for _ in 0..2 {
        let reply = raw(
            &mut stream,
            doc! {
                "update": "b",
                "updates": [{"q": {"_id": 1}, "u": {"$inc": {"n": 1}}}],
                "lsid": session.clone(),
                "txnNumber": 5_i64,
                "$db": "a",
            },
        )
        .await;
        assert_eq!(reply.get_i32("nModified").unwrap(), 1);
    }
    assert_eq!(all(&documents, doc! {}).await, [doc! {"_id": 1, "n": 1}]);
}

/// One OP_MSG and its reply, without a driver.
async fn raw(stream: &mut TcpStream, command: Document) -> Document {
    use tokio::io::AsyncReadExt;
    use tokio::io::AsyncWriteExt;
    let body = command.to_vec().unwrap();
    let length = i32::try_from(body.len() + 21).unwrap();
    let mut bytes = Vec::new();
    for field in [length, 9, 0, 2013, 0] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.push(0);
    bytes.extend(body);
    stream.write_all(&bytes).await.unwrap();
    let mut header = [0; 21];
    stream.read_exact(&mut header).await.unwrap();
    assert_eq!(header[8..12], 9_i32.to_le_bytes());
    let length = i32::from_le_bytes(header[..4].try_into().unwrap());
    let mut body = vec![0; usize::try_from(length).unwrap() - 21];
    stream.read_exact(&mut body).await.unwrap();
    Document::from_reader(body.as_slice()).unwrap()
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let server = Running::initiated(folder.path()).await;
    let documents = server
        .client()
        .await
        .database("a")
        .collection::<Document>("b");
    documents
        .insert_many([doc! {"_id": 1}, doc! {"_id": 2}])
        .await
        .unwrap();
    documents.delete_one(doc! {"_id": 1}).await.unwrap();
    let version = doc! {"setFeatureCompatibilityVersion": "7.0", "confirm": true};
    server.admin(version).await.unwrap();
    let log = server.log.clone();
    server.stop().await.unwrap();
    let text = log.text();
    assert!(
        text.lines()
            .next()
            .unwrap()
            .contains("Toolkit bundled server"),
        "{text}"
    );
    assert!(text.lines().last().unwrap().contains("Stopped"), "{text}");

    let server = Running::start(folder.path(), Some("overleaf")).await;
    let status = server.admin(doc! {"replSetGetStatus": 1}).await.unwrap();
    assert_eq!(status.get_i32("myState").unwrap(), 1);
    assert_eq!(status.get_i64("term").unwrap(), 2);
    let documents = server
        .client()
        .await
        .database("a")
        .collection::<Document>("b");
    assert_eq!(all(&documents, doc! {}).await, [doc! {"_id": 2}]);
    let question = doc! {"getParameter": 1, "featureCompatibilityVersion": 1};
    let reply = server.admin(question).await.unwrap();
    let parameter = reply.get_document("featureCompatibilityVersion").unwrap();
    assert_eq!(parameter, &doc! {"version": "7.0"});
    server.stop().await.unwrap();

    let server = Running::start(folder.path(), Some("another")).await;
    assert_eq!(
        code(server.admin(doc! {"replSetGetStatus": 1}).await),
        Some(93)
    );
    let documents = server
        .client()
        .await
        .database("a")
        .collection::<Document>("b");
    assert_eq!(code(documents.insert_one(doc! {}).await), Some(10107));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_server_says_what_it_is() {
    let folder = TempDir::new().unwrap();
    let server = Running::start(folder.path(), None).await;
    let build = server.admin(doc! {"buildInfo": 1}).await.unwrap();
    assert_eq!(build.get_str("version").unwrap(), "8.0.0");
    assert_eq!(
        build.get_str("implementation").unwrap(),
        "toolkit bundled server"
    );
    let unknown = server.admin(doc! {"frobnicate": 1}).await.unwrap_err();
    assert!(
        unknown
            .to_string()
            .contains("no such command: 'frobnicate'"),
        "{unknown}"
    );
    assert_eq!(code::<()>(Err(unknown)), Some(59));
    for command in [
        doc! {"ping": 1},
        doc! {"dbStats": 1},
        doc! {"collStats": "a"},
        doc! {"serverStatus": 1},
        doc! {"getLog": "startupWarnings"},
        doc! {"connectionStatus": 1},
        doc! {"whatsmyuri": 1},
        doc! {"getCmdLineOpts": 1},
        doc! {"hostInfo": 1},
        doc! {"fsync": 1},
    ] {
        let reply = server.admin(command.clone()).await;
        assert!(reply.is_ok(), "{command}: {reply:?}");
    }
}

#[tokio::test]
async fn silent_and_malformed_clients_hold_up_nobody() {
    use tokio::io::AsyncReadExt;
    use tokio::io::AsyncWriteExt;
    let folder = TempDir::new().unwrap();
    let server = Running::start(folder.path(), None).await;
    let silent = TcpStream::connect(server.address).await.unwrap();
    let mut half = TcpStream::connect(server.address).await.unwrap();
    half.write_all(&[100, 0, 0, 0, 1]).await.unwrap();
    let mut malformed = TcpStream::connect(server.address).await.unwrap();
    malformed.write_all(&[0xFF; 16]).await.unwrap();
    let mut rest = Vec::new();
    // The server closes this connection, with or without a reset.
    malformed.read_to_end(&mut rest).await.ok();
    assert!(rest.is_empty());
    assert!(mongo::is_answering(server.address).await);
    let address = server.address;
    server.stop().await.unwrap();
    assert!(!mongo::is_answering(address).await);
    drop((silent, half));
}

#[tokio::test]
async fn a_client_can_shut_the_server_down() {
    let folder = TempDir::new().unwrap();
    let server = Running::start(folder.path(), None).await;
    let reply = server.admin(doc! {"shutdown": 1}).await;
    assert!(reply.is_err(), "{reply:?}");
    server.served.await.unwrap().unwrap();
}

#[tokio::test]
async fn two_servers_cannot_share_a_folder() {
    let folder = TempDir::new().unwrap();
    let first = Running::start(folder.path(), None).await;
    assert!(first.admin(doc! {"ping": 1}).await.is_ok());
    let second = Running::start(folder.path(), None).await;
    let error = second.served.await.unwrap().unwrap_err();
    assert!(
        matches!(error, MongoError::Storage(StorageError::InUse { .. })),
        "{error}"
    );
    assert!(
        second.log.text().contains("DBPathInUse"),
        "{}",
        second.log.text()
    );
    first.stop().await.unwrap();
    Running::start(folder.path(), None)
        .await
        .stop()
        .await
        .unwrap();
}

#[tokio::test]
async fn the_largest_and_the_deepest_documents_survive_a_restart() {
    let folder = TempDir::new().unwrap();
    let server = Running::start(folder.path(), None).await;
    let mut deepest = doc! {};
    for _ in 1..199 {
        deepest = doc! {"a": deepest};
    }
    let stored = [
        doc! {"_id": 1, "a": deepest},
        doc! {"_id": 2, "a": "x".repeat(16 * 1024 * 1024 - 26)},
    ];
    let collection = |client: Client| client.database("a").collection::<Document>("b");
    let documents = collection(server.client().await);
    for document in &stored {
        documents.insert_one(document).await.unwrap();
    }
    server.stop().await.unwrap();

    let server = Running::start(folder.path(), None).await;
    let documents = collection(server.client().await);
    for document in stored {
        let id = document.get_i32("_id").unwrap();
        let found = documents.find_one(doc! {"_id": id}).await.unwrap();
        assert!(found == Some(document), "{id}");
    }
    server.stop().await.unwrap();
}
