//! Logs without an engine: the programs that follow files, files of this machine, and wrong input.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use toolkit::compose::Service;
use toolkit::engine::memory::MemoryEngine;
use toolkit::engine::{ContainerRequest, Engine};
use toolkit::gather::{self, News, Source, Wanted, Way};
use toolkit::host::tail::Lines;
use toolkit::labels;
use toolkit::logs::Filter;
use toolkit::logs::level::Level;
use toolkit::logs::merge::Merge;
use toolkit::observed::Container;
use toolkit::release;

use super::sandbox::{PROGRAM, Sandbox, project};

fn append(path: &Path, text: &str) {
    let mut options = fs::OpenOptions::new();
    let mut file = options.create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// Copies a file away and cuts it, as logrotate does.
fn copy_and_cut(path: &Path) {
    fs::copy(path, path.with_extension("log.1")).unwrap();
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(0).unwrap();
}

/// The words of a row with its places filled in.
fn command(words: &toml::Value, folder: &str, path: &str, lines: &str) -> Command {
    let words = words.as_array().unwrap().iter();
    let words: Vec<String> = words
        .map(|word| match word.as_str().unwrap() {
            "{folders}" => folder.to_owned(),
            "{path}" => path.to_owned(),
            "{lines}" => lines.to_owned(),
            "/toolkit" => PROGRAM.to_owned(),
            word => word.to_owned(),
        })
        .collect();
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).stdin(Stdio::null());
    // As in a container: a group of its own, which it may end.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command
}

#[test]
fn every_row_of_followers_lists_reads_and_follows() {
    let text = fs::read_to_string(project().join("lib/followers.toml")).unwrap();
    let rows: toml::Table = text.parse().unwrap();
    for row in rows["follower"].as_array().unwrap() {
        let name = row["program"].as_str().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a b.log");
        append(&path, "one\ntwo\nthree\n");
        fs::write(folder.path().join("other.txt"), "").unwrap();
        let (folder, shown) = (
            folder.path().display().to_string(),
            path.display().to_string(),
        );
        let run = |what: &str, lines: &str| {
            let mut command = command(&row[what], &folder, &shown, lines);
            let mut child = command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            // Its input stays open: with it the program would end before it has written all.
            let _input = child.stdin.take();
            let mut text = String::new();
            let mut output = child.stdout.take().unwrap();
            output.read_to_string(&mut text).unwrap();
            assert!(child.wait().unwrap().success(), "{name} {what}");
            text
        };
        assert_eq!(run("list", ""), format!("{shown}\n"), "{name}");
        assert_eq!(run("read", "2"), "two\nthree\n", "{name}");
        assert_eq!(run("read", "+1"), "one\ntwo\nthree\n", "{name}");

        let mut child = command(&row["follow"], &folder, &shown, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut next = || lines.next().unwrap().unwrap();
        assert_eq!(next(), "three", "{name}");
        append(&path, "four\n");
        assert_eq!(next(), "four", "{name}");
        copy_and_cut(&path);
        append(&path, "5\n");
        assert_eq!(next(), "5", "{name}");
        fs::rename(&path, path.with_extension("log.1")).unwrap();
        append(&path, "six\n");
        assert_eq!(next(), "six", "{name}");
        // Its input ends with whoever reads, and it ends with its input.
        drop(child.stdin.take());
        assert!(lines.next().is_none(), "{name}");
        child.wait().unwrap();
        // So does a program that only prints, when nobody takes what it prints.
        append(&path, &"x".repeat(1 << 20));
        let mut reader = command(&row["read"], &folder, &shown, "+1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        drop(reader.stdin.take());
        reader.wait().unwrap();
    }
}

fn bunyan(level: u16, second: u32, message: &str) -> String {
    format!(
        "{{\"name\":\"x\",\"level\":{level},\"msg\":\"{message}\",\"time\":\"2026-11-21T10:00:{second:02}.000Z\",\"v\":0}}\n"
    )
}

fn sources(folder: &Path, names: &[&str]) -> Vec<Source> {
    let source = |name: &&str| Source {
        service: (*name).to_owned(),
        way: Way::File(folder.join(format!("{name}.log"))),
    };
    names.iter().map(source).collect()
}

/// The containers of the project.
async fn listed(engine: &MemoryEngine) -> Arc<[Container]> {
    engine.project_containers("p").await.unwrap().into()
}

async fn nothing_new() -> Vec<Source> {
    Vec::new()
}

/// The texts of what is read of files, in order.
async fn read(sources: &[Source], lines: Lines, filter: Filter) -> String {
    let engine = Arc::new(MemoryEngine::new(&[], &[]));
    let wanted = Arc::new(Wanted {
        lines,
        filter,
        follow: false,
    });
    let mut reading = gather::read(&engine, &listed(&engine).await, sources, &wanted);
    let records = std::mem::take(&mut reading.records);
    let merged = tokio::task::spawn_blocking(move || {
        let texts = Merge::new(records).map(|record| String::from_utf8(record.text).unwrap());
        texts.collect::<String>()
    });
    let text = merged.await.unwrap();
    let failures = reading.failures().await;
    assert!(failures.is_empty(), "{failures:?}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_merged_counted_and_filtered() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a.log"), folder.path().join("b.log"));
    let (mut all, mut of_a) = (Vec::new(), Vec::new());
    for second in 0..40 {
        let (path, level) = match second % 2 {
            0 => (&a, 30),
            _ => (&b, if second % 3 == 0 { 50 } else { 20 }),
        };
        let mut text = bunyan(level, second, "m");
        if second % 5 == 0 {
            text.push_str("Error: stack\n    at f\n");
        }
        append(path, &text);
        if path == &a {
            of_a.push(text.clone());
        }
        all.push(text);
    }
    let both = sources(folder.path(), &["a", "b"]);
    let none = Filter::default;
    assert_eq!(read(&both, Lines::All, none()).await, all.concat());
    let only_a = sources(folder.path(), &["a"]);
    assert_eq!(read(&only_a, Lines::All, none()).await, of_a.concat());

    let errors = || Filter {
        level: Some(Level::ERROR),
        ..Filter::default()
    };
    let is_error = |text: &&String| text.contains("\"level\":50");
    let expected: Vec<String> = all.iter().filter(is_error).cloned().collect();
    assert_eq!(read(&both, Lines::All, errors()).await, expected.concat());
    // What passes is counted, with all its lines.
    let last = expected[expected.len() - 2..].concat();
    assert_eq!(read(&both, Lines::Last(2), errors()).await, last);

    let since = Filter {
        since: Some(1_795_255_230_000_000_000),
        ..Filter::default()
    };
    let expected: Vec<String> = all[30..].to_vec();
    assert_eq!(read(&both, Lines::All, since).await, expected.concat());
    let stacks = Filter {
        pattern: Some(regex::bytes::Regex::new("at f").unwrap()),
        ..Filter::default()
    };
    assert_eq!(read(&only_a, Lines::Last(1), stacks).await, of_a[15]);
    let plain = of_a[of_a.len() - 1..].concat();
    assert_eq!(read(&only_a, Lines::Last(1), none()).await, plain);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_chooses_among_all_lines_of_a_file_without_times() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    let only_a = sources(folder.path(), &["a"]);
    let wanted = |level| Filter {
        pattern: Some(regex::bytes::Regex::new("wanted").unwrap()),
        level,
        ..Filter::default()
    };
    for number in 0..9 {
        append(&path, &format!("wanted {number}\nother\nother\n"));
    }
    let of = async |count, level| read(&only_a, Lines::Last(count), wanted(level)).await;
    assert_eq!(of(2, None).await, "wanted 7\nwanted 8\n");
    assert_eq!(of(2, Some(Level::INFO)).await, "wanted 7\nwanted 8\n");
    assert_eq!(of(2, Some(Level::WARN)).await, "");
    assert_eq!(of(50, None).await.lines().count(), 9);
    // What stands before the first time counts as well.
    let timed = format!("{}wanted, too\n", bunyan(30, 1, "m"));
    append(&path, &timed);
    let expected = format!("wanted 7\nwanted 8\n{timed}");
    assert_eq!(of(3, None).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_followed_through_rotations_without_loss_or_doubling() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    let line = |number: u32| bunyan(30, number, &format!("line {number}"));
    append(&path, &line(0));
    let engine = Arc::new(MemoryEngine::new(&[], &[]));
    let wanted = Arc::new(Wanted {
        lines: Lines::Last(5),
        filter: Filter::default(),
        follow: true,
    });
    let followed = sources(folder.path(), &["a"]);
    let mut reading = gather::read(&engine, &listed(&engine).await, &followed, &wanted);
    let records = std::mem::take(&mut reading.records);
    let first = tokio::task::spawn_blocking(move || Merge::new(records).count());
    assert_eq!(first.await.unwrap(), 1);
    let mut news = gather::follow(&engine, "p", &followed, &wanted, reading, nothing_new);
    let mut number = 0;
    for round in 0..4 {
        for _ in 0..10 {
            number += 1;
            append(&path, &line(number));
        }
        match round {
            0 | 2 => copy_and_cut(&path),
            1 => fs::rename(&path, path.with_extension("log.1")).unwrap(),
            _ => {}
        }
        // Two rotations without a look in between lose what only the older copy has.
        for expected in number - 9..=number {
            match news.recv().await.unwrap() {
                News::Record(record) => {
                    assert_eq!(String::from_utf8(record.text).unwrap(), line(expected));
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(news.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_comes_later_is_followed_from_its_first_line() {
    // Beside another one, and where there was none.
    tokio::join!(joined_later(&["a"]), joined_later(&[]));
}

async fn joined_later(before: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    append(&folder.path().join("a.log"), &bunyan(30, 0, "old"));
    let engine = Arc::new(MemoryEngine::new(&[], &[]));
    let wanted = Arc::new(Wanted {
        lines: Lines::Last(0),
        filter: Filter::default(),
        follow: true,
    });
    let (begun, late) = (
        sources(folder.path(), before),
        sources(folder.path(), &["b"]),
    );
    let mut reading = gather::read(&engine, &listed(&engine).await, &begun, &wanted);
    let records = std::mem::take(&mut reading.records);
    let first = tokio::task::spawn_blocking(move || Merge::new(records).count());
    assert_eq!(first.await.unwrap(), 0);
    let there = [&*begun, &*late].concat();
    let look = move || std::future::ready(there.clone());
    append(&folder.path().join("b.log"), &bunyan(30, 1, "one"));
    let mut news = gather::follow(&engine, "p", &begun, &wanted, reading, look);
    assert_eq!(
        news.recv().await.as_ref(),
        late.first().cloned().map(News::Source).as_ref()
    );
    append(&folder.path().join("b.log"), &bunyan(30, 2, "two"));
    for (second, message) in [(1, "one"), (2, "two")] {
        let found = match news.recv().await {
            Some(News::Record(record)) => (record.source, String::from_utf8(record.text).unwrap()),
            other => (usize::MAX, format!("{other:?}")),
        };
        assert_eq!(found, (begun.len(), bunyan(30, second, message)));
    }
}

/// An engine with a running container of the application.
async fn application() -> Arc<MemoryEngine> {
    let engine = MemoryEngine::new(&["app:1"], &[]);
    let service = Service {
        image: "app:1".to_owned(),
        ..Service::default()
    };
    let mut request = ContainerRequest::new("p-app-1", release::APPLICATION, &service);
    let labels = [
        (labels::PROJECT, "p"),
        (labels::SERVICE, release::APPLICATION),
    ];
    request.labels = labels
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    engine.create_container(&request).await.unwrap();
    engine.start("p-app-1").await.unwrap();
    engine.answer("serve follow list", "", 0);
    Arc::new(engine)
}

/// The program in the container answers as if a file held this.
fn hold(engine: &MemoryEngine, file: &str) {
    let lines: Vec<&str> = file.split_inclusive('\n').collect();
    for program in ["read", "follow"] {
        for count in [0, 1, 2, 2000, 20_000] {
            let last = lines[lines.len().saturating_sub(count)..].concat();
            engine.answer(&format!("follow {program} {count} /a.log"), &last, 0);
        }
        engine.answer(&format!("follow {program} +1 /a.log"), file, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_a_container_is_followed_without_doubling_whatever_was_shown() {
    let timed = |second| bunyan(50, second, "m");
    let twice = format!("{}    at f\n{}    at f\n", timed(1), timed(2));
    let failed = format!("{}{}    at f\n", timed(1), timed(2));
    for (file, lines, shown) in [
        // The last line has no time of its own.
        (failed.as_str(), 1, "    at f\n"),
        (failed.as_str(), 0, ""),
        // The last line has come before, behind another one.
        (twice.as_str(), 50, twice.as_str()),
        (twice.as_str(), 1, "    at f\n"),
        (twice.as_str(), 0, ""),
        // No line has one, and lines are equal.
        ("a\nb\na\nb\na\n", 2, "b\na\n"),
        ("a\na\n", 0, ""),
        ("", 0, ""),
    ] {
        let engine = application().await;
        hold(&engine, file);
        let wanted = Arc::new(Wanted {
            lines: Lines::Last(lines),
            filter: Filter::default(),
            follow: true,
        });
        let followed = [Source {
            service: "a".to_owned(),
            way: Way::Inside("/a.log".to_owned()),
        }];
        let mut reading = gather::read(&engine, &listed(&engine).await, &followed, &wanted);
        let records = std::mem::take(&mut reading.records);
        let first = tokio::task::spawn_blocking(move || {
            let texts = Merge::new(records).map(|record| String::from_utf8(record.text).unwrap());
            texts.collect::<String>()
        });
        assert_eq!(first.await.unwrap(), shown, "{file}");
        // Written before the following begins, and over an interruption: the program ends each time.
        let mut file = format!("{file}{}", timed(10));
        hold(&engine, &file);
        let mut news = gather::follow(&engine, "p", &followed, &wanted, reading, nothing_new);
        for second in 11..14 {
            let line = timed(second - 1);
            let Some(News::Record(record)) = news.recv().await else {
                panic!("{file}");
            };
            assert_eq!(String::from_utf8(record.text).unwrap(), line, "{file}");
            file.push_str(&timed(second));
            hold(&engine, &file);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn output_is_followed_from_where_it_was_read_to_though_nothing_is_shown() {
    for before in [vec!["x", "y", "y"], vec![]] {
        let engine = application().await;
        engine.write("p-app-1", &before);
        let wanted = Arc::new(Wanted {
            lines: Lines::Last(0),
            filter: Filter::default(),
            follow: true,
        });
        let followed = [Source {
            service: release::APPLICATION.to_owned(),
            way: Way::Output {
                service: release::APPLICATION.to_owned(),
                number: 1,
            },
        }];
        let mut reading = gather::read(&engine, &listed(&engine).await, &followed, &wanted);
        let records = std::mem::take(&mut reading.records);
        let first = tokio::task::spawn_blocking(move || Merge::new(records).count());
        assert_eq!(first.await.unwrap(), 0, "{before:?}");
        // Written before the following begins.
        engine.write("p-app-1", &["z"]);
        let mut news = gather::follow(&engine, "p", &followed, &wanted, reading, nothing_new);
        let Some(News::Record(record)) = news.recv().await else {
            panic!("{before:?}");
        };
        assert_eq!(record.text, b"z\n", "{before:?}");
    }
}

#[test]
fn wrong_input_is_answered_before_anything_else() {
    let sandbox = Sandbox::new();
    let ended = |words: &[&str], says: &str| {
        let ran = sandbox.run(words).ended_with(2);
        assert!(ran.stderr.contains(says), "{}", ran.all());
    };
    ended(&["logs", "--since", "noon"], "`noon` is no time");
    ended(&["logs", "--grep", "["], "no regular expression");
    ended(&["logs", "--level", "loud"], "`loud` is not a level");
    ended(&["logs", "-n", "some"], "write a number, or `all`");
    ended(&["logs", "-f", "--until", "1h"], "cannot be used with");
    ended(
        &["status", "--format", "raw"],
        "only `logs` and `error-logs`",
    );
}
