//! The journal under SIGKILL: what was confirmed is there, and what is there can be read.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use toolkit::journal::{Journal, Note, Operation, new_id, unfinished};

/// Names the folder to write into; only the child of the test below has it.
const FOLDER: &str = "TOOLKIT_TEST_JOURNAL";

/// After how many confirmed steps the writer is killed.
const KILLS: usize = 30;

#[test]
fn what_was_confirmed_survives_a_kill() {
    if let Ok(folder) = std::env::var(FOLDER) {
        return write_for_ever(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    for kill in 1..=KILLS {
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args(["journal::what_was_confirmed_survives_a_kill", "--exact"])
            .arg("--nocapture")
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let told = BufReader::new(writer.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok)
            .filter(|line| line.contains("confirmed"));
        assert_eq!(told.take(kill).count(), kill);
        writer.kill().unwrap();
        writer.wait().unwrap();
        let found = unfinished(folder.path()).unwrap().unwrap();
        assert!(found.done.len() >= kill, "{found:?}");
        assert!(found.begun.len() <= 1, "{found:?}");
        let expected: Vec<usize> = (0..found.done.len()).collect();
        assert_eq!(found.done, expected);
    }
}

fn write_for_ever(folder: &Path) {
    let operation = Operation {
        id: new_id().unwrap(),
        command: "up".to_owned(),
        request: serde_json::Value::Null,
        steps: Vec::new(),
        before: Vec::new(),
        started: String::new(),
        follows: None,
        volumes: Vec::new(),
    };
    let journal = Journal::begin(folder, &operation).unwrap();
    for step in 0.. {
        journal.note(&[Note::Intent(step, None)]).unwrap();
        journal.note(&[Note::Done(step)]).unwrap();
        let mut told = std::io::stdout();
        writeln!(told, "confirmed {step}").unwrap();
        told.flush().unwrap();
    }
}
