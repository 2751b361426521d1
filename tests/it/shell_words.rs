//! The reader of overleaf.rc against bash itself: what the one understands, the other reads alike.

use std::path::Path;
use std::process::Command;

use toolkit::settings::problem::ProblemKind;
use toolkit::settings::shell_words;

const NAMES: [(&str, &str); 3] = [("HOME", "/home/o"), ("X", "x y"), ("E", "")];

/// The value of `A` after bash has read the text as the upstream toolkit has it read: in a function,
/// where an unset name is an error. `None` when it fails.
fn by_bash(text: &str) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rc");
    std::fs::write(&file, text).unwrap();
    let program =
        r#"set -euo pipefail; read_it() { . "$1"; }; read_it "$1"; printf '<%s>' "${A-unset}""#;
    let output = Command::new("bash")
        .args(["--noprofile", "--norc", "-c", program, "bash"])
        .arg(&file)
        .env_clear()
        .envs(NAMES)
        .env("LANG", "C.UTF-8")
        .output()
        .expect("bash runs");
    let shown = String::from_utf8(output.stdout).unwrap();
    let value = shown.strip_prefix('<')?.strip_suffix('>')?;
    output.status.success().then(|| value.to_owned())
}

fn by_us(text: &str) -> Option<String> {
    let look_up = |name: &str| {
        let known = NAMES.iter().find(|(known, _)| *known == name);
        known.map(|(_, value)| (*value).to_owned())
    };
    let (assigned, problems) = shell_words::parse(text, Path::new("rc"), &look_up);
    if problems
        .iter()
        .any(|problem| problem.kind == ProblemKind::Error)
    {
        return None;
    }
    let value = assigned.get("A").map(|assigned| assigned.value.clone());
    Some(value.unwrap_or_else(|| "unset".to_owned()))
}

#[test]
fn what_is_understood_is_what_bash_reads() {
    for text in [
        "A=1",
        "A=1 # c\n",
        "A=1;# c\n",
        "A=a#b\n",
        " \texport A=2\n",
        "#c\\\nA=1\n",
        "B=1 A=2; C=3\n",
        "A='a b'\"c d\"e\\ f\n",
        "A=\"a\\b\\\\c\\`\\$X\\q\"\n",
        "A=a\\\nb\n",
        "A=\"a\\\nb\"\n",
        "A='a\\\nb'\n",
        "A=\"l1\nl2\"\n",
        "A={a,b}*?[c]!d^~\n",
        "A=$'a\\tb\\x41\\101\\u00e9\\xc3\\xa9\\q\\'\\0501'\n",
        "A=$\"hi $X\"\n",
        "A=$X${X}'$X'\"$X\"\n",
        "A=$X$\n",
        "A=\"$ $\"\n",
        "A=${X:-d}${E:-d}${E-d}${N-d}\n",
        "A=${X:+r}${E:+r}${E+r}${N+r}\n",
        "A=${X:?no}${E?no}\n",
        "A=${N:=v}$N${E:=w}$E\n",
        ": \"${A:=y}\"\n",
        "A=${X:-$N}${X:-${N:?no}}\n",
        "A=${N:-${M:-deep}}\n",
        "A=${N:-'a }'}${N:-\"}\"}${N:-a\\}b}\n",
        "A=\"${N:-a\\}b}${N:-'q'}${N:-\"a  b\"}\"\n",
        "A=${N:-a\nb}\n",
        "A=${X}}\n",
        "A=1\nA+=2\n",
        "X+=y A=$X\n",
        "A=~/data:~:~/z:b~\n",
        "A=~}\n",
        "A=b=~/x\n",
        "A=~\"/x\"\n",
        "A=~\\/x\n",
        "A=${N:-~/y}\n",
        "A=${N:-a:~/y}\n",
        "A=\"${N:-~/y}\"\n",
        "export A=~/x:~\n",
        "export \"A=1\" B\n",
        "readonly A=5\n",
        "declare A=5\n",
        "declare B=5\nA=$B\n",
        "declare -gx A=5\n",
        "local A=5\n",
        "set -a\nA=5\nset +a\n",
        "set +u\nA=a$N\n",
        "A=5\nreturn\nA=6\n",
        "A=5;return 0;A=6\n",
    ] {
        let ours = by_us(text);
        assert!(ours.is_some(), "{text:?} is refused");
        assert_eq!(ours, by_bash(text), "{text:?}");
    }
}

#[test]
fn what_bash_refuses_is_refused() {
    for text in [
        "A = 1\n",
        "A-B=1\n",
        "A=a b\n",
        "A=\"8083\"# c\n",
        "A=1;; B=2\n",
        "A='x\n",
        "A=${X\n",
        "A=$N\n",
        "A=${N:?say it}\n",
        "A=80)\n",
        "unset X\nA=$X\n",
        "readonly A=5\nA=6\n",
        "false\n",
        "return 1\n",
        "export A-B=1\n",
        "set -}\n",
        "; A=1\n",
    ] {
        assert_eq!(by_bash(text), None, "{text:?}");
        assert_eq!(by_us(text), None, "{text:?}");
    }
}
