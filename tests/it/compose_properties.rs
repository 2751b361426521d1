//! What holds for every definition, and what hostile ones must not do.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use proptest::collection::btree_map;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::{prop_assert, prop_assert_eq, proptest};
use serde_json::{Value, json};
use toolkit::compose::Project;
use toolkit::compose::canonical;
use toolkit::compose::load::{File, LoadError, Request, load};

/// Loads `texts` as files of one project; `others` are the files that they may name.
fn loaded(texts: &[&str], others: &BTreeMap<&str, &str>) -> Result<Project, LoadError> {
    let files = texts.iter().enumerate().map(|(at, text)| File {
        path: format!("/p/f{at}.yml").into(),
        text: (*text).to_owned(),
        is_literal: false,
    });
    let files: Vec<File> = files.collect();
    let read = |path: &Path| {
        let text = path.to_str().and_then(|path| others.get(path));
        text.map(|text| (*text).to_owned())
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    };
    let request = Request {
        name: "p",
        is_named: true,
        folder: Path::new("/p"),
        files: &files,
        variables: &|name| (name == "SECRET").then(|| "hunter2".to_owned()),
        profiles: &[],
        home: Some("/home/me"),
        read: &read,
        read_variables: &|_, _, _| Ok(Vec::new()),
    };
    load(&request).map(|loaded| loaded.project)
}

fn alone(text: &str) -> Result<Project, LoadError> {
    loaded(&[text], &BTreeMap::new())
}

fn message(result: Result<Project, LoadError>) -> String {
    result.unwrap_err().to_string()
}

const PIECES: [&str; 41] = [
    "services:",
    "\n",
    "\n  ",
    "\n    ",
    "a:",
    "image: b",
    "- ",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "*x",
    "&x ",
    "<<: ",
    "!reset ",
    "!override ",
    "${A:-",
    "$",
    "'",
    "\"",
    "|\n",
    ">",
    "ports: ",
    "volumes: ",
    "environment: ",
    "extends: ",
    "include: ",
    "1-65535",
    "99999999999999999999",
    "-1",
    "é",
    "\t",
    "---",
    "...",
    "? ",
    "build: ",
    "deploy: ",
    "networks: ",
    "command: ",
    "0x",
];

/// Texts that look like definitions more often than any text does.
fn fragments() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => proptest::sample::select(&PIECES[..]).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// A value of any form.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        "[ -~]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::hash_map("[a-z_]{1,8}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

const KEYS: [&str; 33] = [
    "build",
    "blkio_config",
    "cap_add",
    "command",
    "configs",
    "container_name",
    "cpus",
    "depends_on",
    "deploy",
    "devices",
    "dns",
    "entrypoint",
    "env_file",
    "environment",
    "expose",
    "extends",
    "extra_hosts",
    "gpus",
    "healthcheck",
    "init",
    "labels",
    "links",
    "logging",
    "mem_limit",
    "network_mode",
    "networks",
    "ports",
    "profiles",
    "secrets",
    "sysctls",
    "tmpfs",
    "ulimits",
    "volumes",
];

fn pairs() -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map("[A-D]", "[ -~&&[^$]]{0,10}", 0..4)
}

/// One file that sets variables, labels and single values.
fn plain_files() -> impl Strategy<Value = String> {
    (pairs(), pairs(), pairs(), "[a-z]{1,5}").prop_map(|(environment, labels, options, host)| {
        let service = json!({
            "image": "i",
            "hostname": host,
            "environment": environment,
            "labels": labels,
            "logging": {"options": options},
        });
        json!({"services": {"s": service}}).to_string()
    })
}

proptest! {
    #[test]
    fn no_text_makes_the_loader_panic(text in any::<String>()) {
        let _ = alone(&text);
    }

    #[test]
    fn nothing_like_a_definition_makes_the_loader_panic(text in fragments()) {
        let _ = alone(&text);
    }

    #[test]
    fn no_value_of_the_wrong_form_makes_the_loader_panic(
        key in proptest::sample::select(&KEYS[..]),
        values in (values(), values()),
    ) {
        let one = json!({"services": {"s": {"image": "i", key: values.0}}}).to_string();
        let other = json!({"services": {"s": {key: values.1}}}).to_string();
        let _ = loaded(&[&one, &other], &BTreeMap::new());
    }

    #[test]
    fn what_is_printed_loads_as_the_same_project(
        pairs in pairs(),
        words in proptest::collection::vec("[ -~&&[^$]]{1,12}", 0..4),
        dollars in "[$a{}-]{0,6}",
    ) {
        let service = json!({
            "image": "i",
            "command": words,
            "environment": pairs,
            "labels": {"l": dollars.replace('$', "$$")},
            "ports": ["127.0.0.1:8080:80/udp", "9000-9001"],
            "volumes": ["./a:/a:ro", "v:/v", {"type": "tmpfs", "target": "/t"}],
            "healthcheck": {"test": "true", "interval": "90s"},
            "links": ["t:u"],
            "deploy": {"resources": {"limits": {"memory": "1g"}}},
        });
        let text = json!({
            "services": {"s": service, "t": {"image": "i", "networks": {"n": {"aliases": ["x"]}}}},
            "volumes": {"v": null},
            "networks": {"n": {"internal": true}},
        });
        let first = alone(&text.to_string()).unwrap();
        let again = alone(&canonical::yaml(&first).unwrap()).unwrap();
        prop_assert_eq!(canonical::value(&first), canonical::value(&again));
        for (name, service) in &first.services {
            let hash = canonical::service_hash(service);
            prop_assert_eq!(hash, canonical::service_hash(&again.services[name]));
        }
    }

    #[test]
    fn plain_values_merge_the_same_in_every_grouping(
        files in (plain_files(), plain_files(), plain_files()),
    ) {
        let (a, b, c) = (files.0.as_str(), files.1.as_str(), files.2.as_str());
        let none = BTreeMap::new();
        let all = canonical::value(&loaded(&[a, b, c], &none).unwrap());
        let left = canonical::yaml(&loaded(&[a, b], &none).unwrap()).unwrap();
        let right = canonical::yaml(&loaded(&[b, c], &none).unwrap()).unwrap();
        prop_assert_eq!(&all, &canonical::value(&loaded(&[&left, c], &none).unwrap()));
        prop_assert_eq!(&all, &canonical::value(&loaded(&[a, &right], &none).unwrap()));
    }

    #[test]
    fn services_start_after_those_they_need(needs in proptest::collection::vec(any::<u8>(), 1..40)) {
        let mut text = "services:\n".to_owned();
        for (at, need) in needs.iter().enumerate() {
            let need = usize::from(*need) % (at + 1);
            let line = if need == at { "[]".to_owned() } else { format!("[s{need}]") };
            writeln!(text, "  s{at}: {{image: i, depends_on: {line}}}").unwrap();
        }
        let project = alone(&text).unwrap();
        let order = project.start_order();
        prop_assert_eq!(order.len(), needs.len());
        for (at, name) in order.iter().enumerate() {
            for need in project.services[*name].depends_on.keys() {
                prop_assert!(order[..at].contains(&need.as_str()), "{name} before {need}");
            }
        }
    }
}

#[test]
fn many_services_may_extend_one_file() {
    let mut text = "services:\n".to_owned();
    for at in 0..60 {
        writeln!(text, "  s{at}: {{extends: {{file: c.yml, service: base}}}}").unwrap();
    }
    let others = BTreeMap::from([("/p/c.yml", "services: {base: {image: i}}")]);
    assert_eq!(loaded(&[&text], &others).unwrap().services.len(), 60);
}

#[test]
fn files_may_extend_each_other_as_long_as_services_do_not() {
    let one = "services:\n  a: {extends: {file: b.yml, service: b}}\n  c: {image: i}\n";
    let other = "services:\n  b: {extends: {file: f0.yml, service: c}}\n  d: {extends: nope}\n";
    let others = BTreeMap::from([("/p/f0.yml", one), ("/p/b.yml", other)]);
    assert_eq!(loaded(&[one], &others).unwrap().services["a"].image, "i");
    let circle = "services:\n  b: {extends: {file: f0.yml, service: a}}\n";
    let others = BTreeMap::from([("/p/f0.yml", one), ("/p/b.yml", circle)]);
    let error = message(loaded(&[one], &others));
    assert!(error.contains("comes back to itself"), "{error}");
}

#[test]
fn files_that_include_each_other_are_refused() {
    let one = "include: [b.yml]\nservices: {a: {image: i}}\n";
    let other = "include: [c.yml]\n";
    let others = BTreeMap::from([("/p/b.yml", other), ("/p/c.yml", "include: [b.yml]\n")]);
    let error = message(loaded(&[one], &others));
    assert!(error.contains("comes back to `/p/b.yml`"), "{error}");
}

#[test]
fn a_long_chain_of_extends_is_refused_instead_of_followed() {
    let mut text = "services:\n  s0: {image: i}\n".to_owned();
    for at in 1..5000 {
        writeln!(text, "  s{at}: {{extends: s{}}}", at - 1).unwrap();
    }
    let error = message(alone(&text));
    assert!(error.contains("goes too deep"), "{error}");
}

#[test]
fn a_value_of_the_wrong_kind_does_not_show_what_a_variable_holds() {
    for line in [
        "init: $SECRET",
        "cpus: '${SECRET}'",
        "ulimits: {nofile: $SECRET}",
    ] {
        let text = format!("services:\n  s:\n    image: i\n    {line}\n");
        let error = message(alone(&text));
        assert!(!error.contains("hunter2"), "{error}");
        assert!(error.starts_with("/p/f0.yml:4:"), "{error}");
    }
}
