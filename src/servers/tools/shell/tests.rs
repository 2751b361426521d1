//! The shell without a container: words, options, and how scripts end.

use super::*;

fn shell(arguments: &[&str]) -> Shell {
    Shell {
        name: "bash".to_owned(),
        arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
        variables: [("A", "a b"), ("E", "")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        exported: BTreeSet::new(),
        status: 3,
        is_strict: false,
        is_interactive: false,
    }
}

/// The words of the one command of a text.
fn expanded(text: &str) -> Vec<String> {
    let shell = shell(&["x", "y z"]);
    let commands = words::parse(text).unwrap();
    let words = commands.iter().flat_map(|command| &command.words);
    words.flat_map(|word| shell.expanded(word)).collect()
}

#[test]
fn names_are_replaced_as_in_a_shell() {
    for (text, words) in [
        ("echo $A", &["echo", "a", "b"][..]),
        ("echo \"$A\"", &["echo", "a b"]),
        ("echo x$A-y", &["echo", "xa", "b-y"]),
        ("echo $E \"$E\" $MISSING", &["echo", ""]),
        ("echo \"$@\"", &["echo", "x", "y z"]),
        ("echo a\"$@\"b", &["echo", "ax", "y zb"]),
        (
            "echo $1 $2 $# $? $0",
            &["echo", "x", "y", "z", "2", "3", "bash"],
        ),
        ("echo ${A} ${MISSING:-d}", &["echo", "a", "b", "d"]),
        ("echo '$A' \\$A $", &["echo", "$A", "$A", "$"]),
    ] {
        assert_eq!(expanded(text), words, "{text}");
    }
}

#[test]
fn options_are_those_of_real_shells() {
    let parsed = |words: &[&str]| {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        options(&words)
    };
    let text = parsed(&["-ec", "echo", "name", "-x"]).unwrap();
    assert_eq!(text.text.as_deref(), Some("echo"));
    assert_eq!(text.name.as_deref(), Some("name"));
    assert_eq!(text.arguments, ["-x"]);
    assert!(text.is_strict);
    let file = parsed(&["-l", "file", "x"]).unwrap();
    assert_eq!((file.file.as_deref(), file.text), (Some("file"), None));
    assert_eq!(file.arguments, ["x"]);
    assert!(parsed(&["-c"]).is_err());
    assert!(parsed(&["-Z"]).is_err());
    assert_eq!(parsed(&[]), Ok(Options::default()));
}

#[test]
fn a_script_ends_with_the_status_of_what_ran_last() {
    for (text, status) in [
        ("true", 0),
        ("false || exit 7; exit 8", 7),
        ("false && exit 7", 1),
        ("! false", 0),
        ("set -e; false || true; false; exit 9", 1),
        ("[ a = a ] && [ -n x ] && [ ! -e /nowhere ] && exit 5", 5),
        ("source /nowhere/at/all && exit 5", 1),
        ("cd /nowhere/at/all && exit 5", 1),
        ("/nowhere/at/all", 127),
        ("/", 126),
        ("X=4; exit $X", 4),
        ("export X=4 && shift && exit $X", 4),
        ("echo |", 2),
    ] {
        assert_eq!(shell(&["x"]).script(text), status, "{text}");
    }
}
