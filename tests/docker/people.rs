//! Accounts, the site, its edits and its e-mail, on an instance of the bundled servers.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, TcpListener};

use mongodb::bson::{Document, doc, oid::ObjectId};
use serde_json::Value;

use super::instance::Instance;
use super::raw;
use crate::sandbox::Ran;

const PROJECT: &str = "64f0c0ffee0000000000abcd";
const STUCK: &str = "64f0c0ffee0000000000d0c1";
const OTHER_PROJECT: &str = "64f0c0ffee0000000000abce";
const FREE: &str = "64f0c0ffee0000000000d0c2";

fn data(ran: &Ran) -> Value {
    let whole: Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    whole["data"].clone()
}

fn error(ran: &Ran) -> Value {
    let whole: Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    whole["error"].clone()
}

fn address(instance: &Instance, service: &str) -> IpAddr {
    let containers = instance.containers();
    let found = containers.iter().find(|found| found.service == service);
    found.unwrap().address().unwrap()
}

/// Gives projects to somebody, as the application keeps them.
fn add_projects(instance: &Instance, owner: &str, number: usize) {
    let url = format!(
        "mongodb://{}/?directConnection=true",
        address(instance, "mongo")
    );
    instance.runtime.block_on(async {
        let client = mongodb::Client::with_uri_str(url).await.unwrap();
        let database = client.database("sharelatex");
        let users = database.collection::<Document>("users");
        let owner = users
            .find_one(doc! { "email": owner })
            .await
            .unwrap()
            .unwrap();
        let owner = owner.get_object_id("_id").unwrap();
        let projects = database.collection::<Document>("projects");
        for number in 0..number {
            let project =
                doc! { "_id": ObjectId::new(), "name": number.to_string(), "owner_ref": owner };
            projects.insert_one(project).await.unwrap();
        }
    });
}

#[test]
fn people_come_and_go() {
    let Some(instance) = Instance::new(&["--site-url", "https://tex.example.org/"]) else {
        return;
    };
    // Nothing runs: said, and nothing is tried.
    let ran = instance
        .run(&["user", "create", "ada@example.org"])
        .ended_with(1);
    assert!(ran.stderr.contains("error[NOT_RUNNING]"), "{}", ran.all());
    instance.run(&["up"]).succeeded();

    let ran = instance.run(&["user", "list"]).succeeded();
    assert_eq!(ran.stdout, "nobody has an account\n");

    let ran = instance
        .run(&["user", "create", "Ada@Example.org", "--admin"])
        .succeeded();
    let start = "https://tex.example.org/user/activate?token=";
    assert!(ran.stdout.starts_with(start), "{}", ran.all());
    assert_eq!(ran.stdout.lines().count(), 1, "{}", ran.all());
    instance
        .run(&["user", "create", "bob@example.org"])
        .succeeded();
    let ran = instance
        .run(&["user", "create", "bob@example.org"])
        .ended_with(1);
    assert!(ran.stderr.contains("error[USER_EXISTS]"), "{}", ran.all());
    for (arguments, code, id) in [
        (
            &["user", "create", "admin@localhost"][..],
            2,
            "EMAIL_INVALID",
        ),
        (&["user", "delete", "bob@exmaple.org"], 1, "USER_UNKNOWN"),
        (&["user", "delete", "bob@example.org"], 2, "NO_ANSWER"),
        (
            &["user", "delete", "bob@example.org", "--yes"],
            2,
            "NO_ANSWER",
        ),
        (
            &[
                "user",
                "delete",
                "bob@example.org",
                "--confirm",
                "ada@example.org",
            ],
            2,
            "DECLINED",
        ),
        (
            &["user", "set-timeout", "bob@example.org", "601"],
            2,
            "USAGE",
        ),
        (
            &["user", "set-timeout", "--all", "bob@example.org", "60"],
            2,
            "USAGE",
        ),
        (
            &[
                "user",
                "transfer",
                "--from",
                "bob@example.org",
                "--to",
                "bob@example.org",
            ],
            2,
            "USAGE",
        ),
    ] {
        let ran = instance.run(arguments).ended_with(code);
        assert!(
            ran.stderr.contains(&format!("error[{id}]")),
            "{}",
            ran.all()
        );
    }
    let ran = instance
        .run(&["user", "delete", "bob@exmaple.org"])
        .ended_with(1);
    assert!(
        ran.stderr.contains("did you mean `bob@example.org`?"),
        "{}",
        ran.all()
    );

    // A new link leaves the right of an administrator alone.
    let ran = instance
        .run(&["user", "reset-link", "ada@example.org"])
        .succeeded();
    let start = "https://tex.example.org/user/password/set?passwordResetToken=";
    assert!(ran.stdout.starts_with(start), "{}", ran.all());
    assert!(
        ran.stdout.ends_with("&email=ada%40example.org\n"),
        "{}",
        ran.all()
    );

    add_projects(&instance, "bob@example.org", 2);
    instance
        .run(&["user", "set-timeout", "--all", "300", "--yes"])
        .succeeded();
    let listed = data(
        &instance
            .run(&["user", "list", "--format", "json"])
            .succeeded(),
    );
    let of = |listed: &Value, field: &str| -> Vec<Value> {
        let users = listed["users"].as_array().unwrap().iter();
        users.map(|user| user[field].clone()).collect()
    };
    assert_eq!(of(&listed, "email"), ["ada@example.org", "bob@example.org"]);
    assert_eq!(of(&listed, "admin"), [true, false]);
    assert_eq!(of(&listed, "projects"), [0, 2]);
    assert_eq!(of(&listed, "compile_timeout"), [300, 300]);

    let transfer = [
        "user",
        "transfer",
        "--from",
        "bob@example.org",
        "--to",
        "ada@example.org",
    ];
    instance.run(&transfer).ended_with(2);
    instance
        .run(&[&transfer[..], &["--yes"]].concat())
        .succeeded();
    let ran = instance
        .run(&[
            "user",
            "delete",
            "bob@example.org",
            "--confirm",
            "bob@example.org",
        ])
        .succeeded();
    assert!(
        ran.stderr.contains("`bob@example.org` is deleted"),
        "{}",
        ran.all()
    );
    let listed = data(
        &instance
            .run(&["user", "list", "--format", "json"])
            .succeeded(),
    );
    assert_eq!(of(&listed, "email"), ["ada@example.org"]);
    assert_eq!(of(&listed, "projects"), [2]);
    assert_eq!(instance.plan(), "");

    // Who did what is kept; what was refused changed nothing.
    let ran = instance.run(&["history", "--format", "json"]).succeeded();
    let kept = data(&ran)["operations"].clone();
    let kept: Vec<&Value> = kept.as_array().unwrap().iter().collect();
    let commands: Vec<&str> = kept
        .iter()
        .map(|one| one["command"].as_str().unwrap())
        .collect();
    assert_eq!(
        commands,
        [
            "up",
            "user create",
            "user create",
            "user reset-link",
            "user set-timeout",
            "user transfer",
            "user delete"
        ]
    );
    let last = kept.last().unwrap();
    assert_eq!(
        last["steps"][0]["title"],
        "delete `bob@example.org` and 0 projects"
    );
    assert_eq!(
        (&last["done"], &last["result"]),
        (&1.into(), &"done".into())
    );
}

#[test]
fn a_closed_site_stays_closed_in_a_new_container() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    instance.run(&["up"]).succeeded();
    let says = || instance.http("GET", "/status", "").1;
    let verdict = || {
        data(
            &instance
                .run(&["site", "status", "--format", "json"])
                .succeeded(),
        )["verdict"]
            .clone()
    };
    assert_eq!(verdict(), "open");

    let close = ["site", "close", "--disconnect", "--message", "back at noon"];
    instance
        .run(&[&close[..], &["--dry-run"]].concat())
        .succeeded();
    assert_eq!(says(), "web is alive (web)");
    let ran = instance.run(&close).succeeded();
    assert!(ran.stdout.contains("back at noon"), "{}", ran.all());
    assert_eq!(says(), "web site is closed (web)");
    assert_eq!(instance.plan(), "");

    // Over a restart, and in a container that is made anew.
    instance.run(&["restart", "sharelatex"]).succeeded();
    assert_eq!(says(), "web site is closed (web)");
    instance.run(&["up", "--force-recreate"]).succeeded();
    assert_eq!(says(), "web site is closed (web)");
    assert_eq!(verdict(), "closed");
    assert_eq!(instance.plan(), "");
    let ran = instance.run(&["status"]).succeeded();
    assert!(
        ran.stdout
            .contains("back at noon; `toolkit site open` opens it"),
        "{}",
        ran.all()
    );

    instance.run(&["site", "open"]).succeeded();
    assert_eq!(says(), "web is alive (web)");
    instance
        .run(&["up", "--force-recreate", "--no-deps", "sharelatex"])
        .succeeded();
    assert_eq!(verdict(), "open");
    assert!(
        !instance
            .run(&["status"])
            .succeeded()
            .stdout
            .contains("closed")
    );
}

#[test]
fn a_closed_editor_is_no_open_site() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    let variables = instance.sandbox.read("config/variables.env");
    let closed = format!("{variables}EDITOR_OPEN=false\n");
    instance.sandbox.write("config/variables.env", &closed);
    instance.run(&["up"]).succeeded();
    let says = |arguments: &[&str], expected: &str| {
        let ran = instance.run(arguments).succeeded();
        assert!(ran.stdout.contains(expected), "{}", ran.all());
    };
    says(
        &["site", "status"],
        "EDITOR_OPEN is false in config/variables.env",
    );
    says(&["status"], "the editor is closed by EDITOR_OPEN");
    let answer = data(&instance.run(&["site", "status", "--format", "json"]));
    assert_eq!(answer["verdict"], "editor-closed");
    // It stands in the way of nothing.
    instance.run(&["site", "close"]).succeeded();
    instance.run(&["site", "open"]).succeeded();

    instance.run(&["stop"]).succeeded();
    says(&["site", "status"], "the next start opens it");
    instance.sandbox.write("config/variables.env", &variables);
    instance.run(&["up"]).succeeded();
    says(&["site", "status"], "the site is open\n");
}

#[test]
fn a_flush_is_measured() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    let variables = instance.sandbox.read("config/variables.env");
    let fault = format!("{variables}TOOLKIT_BUNDLED_FAULT=stuck-document:{STUCK}\n");
    instance.sandbox.write("config/variables.env", &fault);
    instance.run(&["up"]).succeeded();
    let put = |project: &str, document: &str| {
        let path = format!("/project/{project}/doc/{document}");
        let (status, answer) = instance.http("PUT", &path, "text");
        assert_eq!(status, 200, "{answer}");
    };
    put(PROJECT, STUCK);
    put(OTHER_PROJECT, FREE);
    let redis = format!("redis://{}/", address(&instance, "redis"));
    let client = redis::Client::open(redis).unwrap();
    let mut connection = client.get_connection().unwrap();
    let history = format!("ProjectHistory:Ops:{{{OTHER_PROJECT}}}");
    let mut push = redis::cmd("RPUSH");
    push.arg(&history)
        .arg("change")
        .exec(&mut connection)
        .unwrap();

    let ran = instance
        .run(&["flush", "--dry-run", "--format", "json"])
        .succeeded();
    let before = data(&ran)["before"].clone();
    assert_eq!(
        before["documents"].as_array().unwrap().len(),
        2,
        "{}",
        ran.all()
    );
    assert_eq!(before["histories"][0]["project"], OTHER_PROJECT);

    instance.run(&["flush", "--project", "x"]).ended_with(2);
    let ran = instance.run(&["flush", "--format", "json"]).ended_with(1);
    assert_eq!(error(&ran)["id"], "FLUSH_INCOMPLETE", "{}", ran.all());
    let left = data(&ran)["left"].clone();
    assert_eq!(left["documents"][0]["project"], PROJECT, "{}", ran.all());
    assert_eq!(left["documents"][0]["document"], STUCK);
    assert_eq!(left["documents"].as_array().unwrap().len(), 1);
    assert_eq!(left["histories"].as_array().unwrap().len(), 0);
    let ran = instance.run(&["flush"]).ended_with(1);
    assert!(
        ran.stderr.contains("recover_docs_from_redis.mjs"),
        "{}",
        ran.all()
    );
    assert!(
        ran.stderr.contains("toolkit site close --disconnect"),
        "{}",
        ran.all()
    );

    // One project, through the ports that only the container reaches.
    put(OTHER_PROJECT, FREE);
    instance
        .run(&["flush", "--project", OTHER_PROJECT])
        .succeeded();
    instance.run(&["flush", "--project", PROJECT]).ended_with(1);

    // What a stop leaves in redis is told without the application: a backup begins there.
    let _ = instance.run(&["stop", "sharelatex"]);
    let ran = instance.run(&["flush", "--dry-run"]).succeeded();
    let expected = format!("  document {STUCK} of {PROJECT}");
    assert!(
        ran.stdout.contains("documents  1 in redis"),
        "{}",
        ran.all()
    );
    assert!(ran.stdout.contains(&expected), "{}", ran.all());
    let ran = instance.run(&["flush"]).ended_with(1);
    assert!(ran.stderr.contains("error[NOT_RUNNING]"), "{}", ran.all());
}

/// Answers one conversation as a mail server that takes everything; gives what it heard.
fn answer_once(listener: &TcpListener) -> Vec<String> {
    let (socket, _) = listener.accept().unwrap();
    let mut to = socket.try_clone().unwrap();
    to.write_all(b"220 test ESMTP\r\n").unwrap();
    let (mut heard, mut is_message) = (Vec::new(), false);
    for line in BufReader::new(socket).lines() {
        let Ok(line) = line else { break };
        heard.push(line.clone());
        let answer = match (is_message, line.as_str()) {
            (true, ".") => "250 queued",
            (true, _) => continue,
            (false, "DATA") => "354 go on",
            (false, "QUIT") => "221 bye",
            (false, _) => "250 ok",
        };
        is_message = line == "DATA";
        if to.write_all(format!("{answer}\r\n").as_bytes()).is_err() {
            break;
        }
    }
    heard
}

#[test]
fn mail_is_tried_from_within_the_network() {
    let Some(instance) = Instance::new(&[]) else {
        return;
    };
    let ran = instance
        .run(&["mail", "test", "ada@example.org"])
        .ended_with(3);
    assert!(ran.stderr.contains("error[MAIL_UNSET]"), "{}", ran.all());
    instance.run(&["up"]).succeeded();
    let path = format!("/networks/{}_default", instance.project);
    let (_, network) = raw::request(&raw::socket(), "GET", &path, b"");
    let network: Value = serde_json::from_slice(&network).unwrap();
    let gateway = network["IPAM"]["Config"][0]["Gateway"].as_str().unwrap();
    // A machine of this network that is not one of its containers.
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let variables = instance.sandbox.read("config/variables.env");
    let configure = |host: &str, port: u16| {
        let more = format!(
            "OVERLEAF_EMAIL_FROM_ADDRESS=tex@example.org\nOVERLEAF_EMAIL_SMTP_HOST={host}\nOVERLEAF_EMAIL_SMTP_PORT={port}\nOVERLEAF_EMAIL_SMTP_SECURE=false\n"
        );
        let text = format!("{variables}{more}");
        instance.sandbox.write("config/variables.env", &text);
    };
    configure(gateway, port);
    let server = std::thread::spawn(move || answer_once(&listener));
    let ran = instance
        .run(&["mail", "test", "ada@example.org"])
        .succeeded();
    let heard = server.join().unwrap();
    assert!(
        heard.contains(&"RCPT TO:<ada@example.org>".to_owned()),
        "{heard:?}"
    );
    assert!(
        heard.iter().any(|line| line.starts_with("Subject: ")),
        "{heard:?}"
    );
    assert!(ran.stdout.contains("< 250 queued"), "{}", ran.all());
    assert!(
        ran.stderr
            .contains("the container still has other values of `OVERLEAF_EMAIL_FROM_ADDRESS`, "),
        "{}",
        ran.all()
    );
    assert_eq!(ran.stderr.matches("warning:").count(), 1, "{}", ran.all());

    configure("redis", 1);
    let ran = instance
        .run(&["mail", "test", "ada@example.org"])
        .ended_with(8);
    assert!(
        ran.stderr.contains("nothing listens at that port"),
        "{}",
        ran.all()
    );
    assert!(!ran.stderr.contains("SERVE_FAILED"), "{}", ran.all());
    let ran = instance
        .run(&["mail", "test", "ada@example.org", "--format", "json"])
        .ended_with(8);
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
    let warning = answer["warnings"][0].as_str().unwrap();
    assert!(warning.contains("OVERLEAF_EMAIL_SMTP_HOST"), "{warning}");
    assert_eq!(ran.stderr, "");
    configure("no-such-name.invalid", 587);
    let ran = instance
        .run(&["mail", "test", "ada@example.org"])
        .ended_with(8);
    assert!(
        ran.stderr.contains("means nothing inside the container"),
        "{}",
        ran.all()
    );
}

#[test]
fn projects_get_another_image() {
    let Some(instance) = Instance::new(&["--edition", "pro"]) else {
        return;
    };
    let (old, new) = (
        "quay.io/x/texlive-full:2023.1",
        "quay.io/x/texlive-full:2025.1",
    );
    let variables = instance.sandbox.read("config/variables.env");
    let list = format!("{variables}\nALL_TEX_LIVE_DOCKER_IMAGES={old},{new}\n");
    instance.sandbox.write("config/variables.env", &list);
    instance.run(&["up"]).succeeded();
    let url = format!(
        "mongodb://{}/?directConnection=true",
        address(&instance, "mongo")
    );
    let projects = |name: Option<&str>| {
        instance.runtime.block_on(async {
            let client = mongodb::Client::with_uri_str(&url).await.unwrap();
            let projects = client.database("sharelatex").collection("projects");
            let Some(name) = name else {
                let with = |name: &str| doc! { "_id": ObjectId::new(), "imageName": name };
                let all = [with(old), with(old), with(new)];
                projects.insert_many(all).await.unwrap();
                return 3;
            };
            projects
                .count_documents(doc! { "imageName": name })
                .await
                .unwrap()
        })
    };
    projects(None);
    let remap = |more: &[&str]| {
        let own = ["texlive", "remap", "--from", old, "--to", new];
        instance.run(&[&own, more].concat())
    };
    let ran = remap(&[]).succeeded();
    assert!(
        ran.stdout.starts_with("2 projects would be"),
        "{}",
        ran.all()
    );
    let ran = remap(&["--apply"]).ended_with(2);
    assert!(ran.stderr.contains("error[NO_ANSWER]"), "{}", ran.all());
    remap(&["--apply", "--dry-run", "--yes"]).succeeded();
    assert_eq!((projects(Some(old)), projects(Some(new))), (2, 1));
    let ran = remap(&["--apply", "--yes", "--format", "json"]).succeeded();
    assert_eq!(data(&ran)["changed"], 2, "{}", ran.all());
    assert_eq!((projects(Some(old)), projects(Some(new))), (0, 3));
    let ran = remap(&["--apply", "--yes"]).succeeded();
    assert!(ran.stdout.starts_with("no project names"), "{}", ran.all());
}
