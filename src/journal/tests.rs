//! The journal, record by record and torn at every byte.

use super::*;
use serde_json::json;

fn operation(command: &str) -> Operation {
    Operation {
        id: new_id().unwrap(),
        command: command.to_owned(),
        request: json!({ "arguments": ["toolkit", command] }),
        steps: vec!["create container `a`".to_owned(), "start it".to_owned()],
        before: vec![Existing {
            service: "redis".to_owned(),
            container: "redis".to_owned(),
            running: true,
        }],
        started: "2026-01-02T03:04:05Z".to_owned(),
        follows: None,
        volumes: Vec::new(),
    }
}

#[test]
fn an_operation_is_unfinished_until_it_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    assert_eq!(unfinished(state).unwrap(), None);
    let asked = operation("up");
    let journal = Journal::begin(state, &asked).unwrap();
    journal.note(&[Note::Intent(0, None)]).unwrap();
    journal.note(&[Note::Intent(1, None)]).unwrap();
    journal.note(&[Note::Done(1)]).unwrap();
    let found = unfinished(state).unwrap().unwrap();
    assert_eq!(found.operation, asked);
    assert_eq!((found.begun, found.done), (vec![0], vec![1]));
    journal.note(&[Note::Failed(0, "no".to_owned())]).unwrap();
    journal.close(Outcome::Failed).unwrap();
    assert_eq!(unfinished(state).unwrap(), None);
    let last = last_failed(state).unwrap().unwrap();
    assert_eq!(last.outcome, Some(Outcome::Failed));
    let journal = Journal::begin(state, &operation("up")).unwrap();
    journal.close(Outcome::Done).unwrap();
    assert_eq!(last_failed(state).unwrap(), None);
}

#[test]
fn steps_that_are_planned_later_are_counted_after_those_before() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    let mut journal = Journal::begin(state, &operation("up")).unwrap();
    journal.note(&[Note::Intent(0, None)]).unwrap();
    journal.note(&[Note::Done(0)]).unwrap();
    journal
        .extend(&["stop `b`".to_owned(), "start `b`".to_owned()])
        .unwrap();
    journal.note(&[Note::Intent(0, None)]).unwrap();
    journal.note(&[Note::Done(0)]).unwrap();
    journal.note(&[Note::Intent(1, None)]).unwrap();
    let found = unfinished(state).unwrap().unwrap();
    assert_eq!(found.operation.steps[2..], ["stop `b`", "start `b`"]);
    assert_eq!((found.begun, found.done), (vec![3], vec![0, 2]));
}

#[test]
fn one_that_takes_over_inherits_what_stood_before() {
    let folder = tempfile::tempdir().unwrap();
    let first = operation("down");
    drop(Journal::begin(folder.path(), &first).unwrap());
    let second = Operation {
        before: Vec::new(),
        ..operation("up")
    };
    drop(Journal::begin(folder.path(), &second).unwrap());
    let found = unfinished(folder.path()).unwrap().unwrap();
    assert_eq!(found.operation.command, "up");
    assert_eq!(found.operation.before, first.before);
    assert_eq!(found.operation.follows, Some(first.id));
    settle(folder.path(), Outcome::RolledBack).unwrap();
    assert_eq!(unfinished(folder.path()).unwrap(), None);
}

#[test]
fn one_after_a_failed_one_inherits_what_stood_before_until_one_ends_well() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    let run = |operation: &Operation, outcome: Outcome| {
        let journal = Journal::begin(state, operation).unwrap();
        let stood = unfinished(state).unwrap().unwrap().operation.before;
        journal.close(outcome).unwrap();
        stood
    };
    let half_way = Operation {
        before: Vec::new(),
        ..operation("up")
    };
    let first = operation("up").before;
    assert_eq!(run(&operation("up"), Outcome::Failed), first);
    assert_eq!(run(&half_way, Outcome::Interrupted), first);
    let back = Operation {
        command: "rollback".to_owned(),
        ..half_way.clone()
    };
    assert_eq!(run(&back, Outcome::Failed), first);
    assert_eq!(last_failed(state).unwrap().unwrap().operation.before, first);
    // What failed elsewhere says nothing about what stands here.
    let mut elsewhere = half_way.clone();
    elsewhere.request = json!({ "endpoint": "ssh://b" });
    assert_eq!(run(&elsewhere, Outcome::Failed), []);
    assert_eq!(run(&operation("up"), Outcome::Failed), first);
    assert_eq!(run(&half_way, Outcome::Done), first);
    assert_eq!(run(&half_way, Outcome::RolledBack), []);
    assert_eq!(last_failed(state).unwrap(), None);
}

/// Whatever part of the last record a crash left, the records before it count.
#[test]
fn a_torn_record_counts_as_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    let path = state.join("journal");
    let journal = Journal::begin(state, &operation("up")).unwrap();
    let mut lengths = vec![std::fs::metadata(&path).unwrap().len()];
    let length = || std::fs::metadata(&path).unwrap().len();
    journal.note(&[Note::Intent(0, None)]).unwrap();
    lengths.push(length());
    journal.note(&[Note::Done(0)]).unwrap();
    lengths.push(length());
    journal.note(&[Note::Failed(1, "ä ✗".to_owned())]).unwrap();
    lengths.push(length());
    journal
        .add(&[Record::Close {
            outcome: Outcome::Done,
            at: stamp(),
        }])
        .unwrap();
    let whole = std::fs::read(&path).unwrap();
    for cut in 0..=whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let records = lengths
            .iter()
            .filter(|length| **length <= cut as u64)
            .count();
        let found = unfinished(state).unwrap();
        let Some(found) = found else {
            assert!(records == 0 || cut == whole.len(), "cut at {cut}");
            continue;
        };
        assert_ne!(cut, whole.len());
        let expected = match records {
            1 => (vec![], vec![]),
            2 => (vec![0], vec![]),
            _ => (vec![], vec![0]),
        };
        assert_eq!((found.begun, found.done), expected, "cut at {cut}");
    }
}

#[test]
fn a_journal_of_tomorrow_and_a_damaged_one_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    std::fs::write(&path, "{\"record\":\"commence\",\"format\":3}\n").unwrap();
    let error = unfinished(folder.path()).unwrap_err();
    assert!(
        matches!(error, JournalError::Newer { found: 3, .. }),
        "{error}"
    );
    let first = Record::Begin {
        format: FORMAT,
        operation: operation("up"),
    };
    for (text, line) in [
        (format!("{}\nnonsense\n", first.line()), 2),
        (format!("{}\n{}\n", first.line(), first.line()), 2),
        ("{}\n".to_owned(), 1),
        (
            Record::Done {
                step: 0,
                at: stamp(),
            }
            .line()
                + "\n",
            1,
        ),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = unfinished(folder.path()).unwrap_err();
        assert!(
            matches!(error, JournalError::Damaged { line: found, .. } if found == line),
            "{error}"
        );
        assert!(Journal::begin(folder.path(), &operation("up")).is_err());
    }
}

/// Records of several tasks never mix, and each is there when its call returns.
#[test]
fn tasks_write_at_the_same_time() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::begin(folder.path(), &operation("up")).unwrap();
    std::thread::scope(|scope| {
        for step in 0..8 {
            let journal = &journal;
            scope.spawn(move || {
                journal.note(&[Note::Intent(step, None)]).unwrap();
                journal.note(&[Note::Done(step)]).unwrap();
            });
        }
    });
    let mut found = unfinished(folder.path()).unwrap().unwrap();
    found.done.sort_unstable();
    assert_eq!(found.done, (0..8).collect::<Vec<_>>());
    assert_eq!(found.begun, Vec::<usize>::new());
}

#[test]
fn a_state_folder_that_takes_nothing_is_an_error() {
    let missing = Path::new("/nonexistent/state");
    assert!(Journal::begin(missing, &operation("up")).is_err());
}

fn held(service: &str, is_gone: bool) -> Held {
    Held {
        service: service.to_owned(),
        number: 1,
        is_gone,
        volumes: [("/cache".to_owned(), "0".repeat(64))].into(),
    }
}

#[test]
fn volumes_are_left_behind_by_what_did_not_come_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    assert_eq!(left_behind(state).unwrap(), []);
    let begin = |command: &str| {
        let operation = Operation {
            volumes: vec![held("a", false), held("b", true)],
            ..operation(command)
        };
        Journal::begin(state, &operation).unwrap()
    };
    let journal = begin("up");
    let all = [held("a", false), held("b", true)];
    assert_eq!(left_behind(state).unwrap(), all, "it may have been killed");
    journal.close(Outcome::Failed).unwrap();
    assert_eq!(left_behind(state).unwrap(), all);
    begin("stop").close(Outcome::Done).unwrap();
    assert_eq!(left_behind(state).unwrap(), [held("b", true)]);
    begin("down").close(Outcome::Interrupted).unwrap();
    assert_eq!(left_behind(state).unwrap(), all);
    begin("down").close(Outcome::Done).unwrap();
    assert_eq!(left_behind(state).unwrap(), []);
    // What ended keeps nobody from working, whatever it has become.
    std::fs::write(previous(state), "torn\n").unwrap();
    assert_eq!(left_behind(state).unwrap(), []);
}

#[test]
fn a_journal_of_before_there_were_volumes_reads_on() {
    let folder = tempfile::tempdir().unwrap();
    let line = r#"{"record":"begin","format":1,"operation":{"id":"1","command":"up","request":{},"steps":[],"before":[],"started":"2026-01-02T03:04:05Z"}}"#;
    std::fs::write(current(folder.path()), format!("{line}\n")).unwrap();
    let found = unfinished(folder.path()).unwrap().unwrap();
    assert_eq!(found.operation.volumes, []);
    assert_eq!(left_behind(folder.path()).unwrap(), []);
}
