//! What overleaf.rc may hold, and what is said about the rest.

use super::*;

fn read(text: &str) -> (BTreeMap<String, Assigned>, Vec<Problem>) {
    let environment = |name: &str| match name {
        "HOME" => Some("/home/o".to_owned()),
        "X" => Some("x".to_owned()),
        "E" => Some(String::new()),
        _ => None,
    };
    parse(text, Path::new("rc"), &environment)
}

fn value(text: &str) -> Result<String, String> {
    let (values, problems) = read(text);
    let errors = problems.iter().filter(|p| p.kind == ProblemKind::Error);
    match errors.into_iter().next() {
        Some(problem) => {
            let place = problem.place.clone().unwrap();
            assert!(!problem.advice.is_empty(), "{text:?}");
            Err(format!("{}:{} {}", place.line, place.column, problem.text))
        }
        None => Ok(values.get("A").map_or("(unset)", |a| &a.value).to_owned()),
    }
}

#[test]
fn reads_assignments_as_a_shell_does() {
    for (text, expected) in [
        ("A=1", "1"),
        ("A=1 # c\n", "1"),
        ("A=1;# c\n", "1"),
        ("A=a#b\n", "a#b"),
        ("# A=0\n  export A=2\n", "2"),
        ("#c\\\nA=1\n", "1"),
        ("A=1\nA=2\n", "2"),
        ("B=1 A=2; C=3\n", "2"),
        ("A=1 ;\n", "1"),
        ("A='a b'\"c d\"e\\ f\n", "a bc de f"),
        ("A=\"x \\\"y\\\" \\$z\"\n", "x \"y\" $z"),
        ("A=\"a\\b\\\\c\\`\"\n", "a\\b\\c`"),
        ("A=a\\\nb\n", "ab"),
        ("A=\\\n1\n", "1"),
        ("A=\"a\\\nb\"\n", "ab"),
        ("A={a,b}*?[c]!d\n", "{a,b}*?[c]!d"),
        (
            "A=$'a\\tb\\x41\\101\\u00e9\\xc3\\xa9\\q\\''\n",
            "a\tbAA\u{e9}\u{e9}\\q'",
        ),
        ("A=$\"hi $X\"\n", "hi x"),
        ("\u{feff}A=1\r\n\r\nB=2\r\n", "1"),
        ("A=1\r", "1"),
        ("A=\n", ""),
        ("A=\"l1\nl2\"\n", "l1\nl2"),
        ("A=h\u{e9}llo\n", "h\u{e9}llo"),
        ("", "(unset)"),
    ] {
        assert_eq!(value(text).as_deref(), Ok(expected), "{text:?}");
    }
}

#[test]
fn expands_references_as_a_shell_does() {
    for (text, expected) in [
        ("B=b\nA=$B/${B}/${C:-d e}\n", "b/b/d e"),
        ("A='$X'\n", "$X"),
        ("A=$X$\n", "x$"),
        ("A=\"$ $\"\n", "$ $"),
        ("A=${X:-d}${E:-d}${E-d}${N-d}\n", "xdd"),
        ("A=${X:+r}${E:+r}${E+r}${N+r}\n", "rr"),
        ("A=${X:?no}${E?no}\n", "x"),
        ("A=${N:=v}$N\n", "vv"),
        ("A=${E:=v}$E\n", "vv"),
        (": \"${A:=y}\"\n", "y"),
        ("A=${X:-$N}${X:-${N:?no}}\n", "xx"),
        ("A=${N:-${M:-deep}}\n", "deep"),
        ("A=${N:-'a }'}\n", "a }"),
        ("A=${N:-\"}\"}\n", "}"),
        ("A=${N:-a\\}b}\n", "a}b"),
        ("A=\"${N:-a\\}b}\"\n", "a}b"),
        ("A=\"${N:-'q'}\"\n", "'q'"),
        ("A=\"${N:-\"a  b\"}\"\n", "a  b"),
        ("A=${N:-a\nb}\n", "a\nb"),
        ("A=${X}}\n", "x}"),
        ("A=1\nA+=2\n", "12"),
        ("X+=y A=$X\n", "xy"),
        ("set +u\nA=a$N\n", "a"),
    ] {
        assert_eq!(value(text).as_deref(), Ok(expected), "{text:?}");
    }
}

#[test]
fn a_tilde_is_the_home_folder_where_a_shell_says_so() {
    for (text, expected) in [
        ("A=~/data\n", "/home/o/data"),
        ("A=~\n", "/home/o"),
        ("A=a:~\n", "a:/home/o"),
        ("A=~:~/z:b\n", "/home/o:/home/o/z:b"),
        ("A=a~\n", "a~"),
        ("A=b=~/x\n", "b=~/x"),
        ("A=~\"/x\"\n", "~/x"),
        ("A=~\\/x\n", "~/x"),
        ("A='~/x'\n", "~/x"),
        ("A=~1.2\n", "~1.2"),
        ("A=~}\n", "~}"),
        ("A=${N:-~/y}\n", "/home/o/y"),
        ("A=\"${N:-~/y}\"\n", "~/y"),
        ("export A=~/x:~\n", "/home/o/x:/home/o"),
    ] {
        assert_eq!(value(text).as_deref(), Ok(expected), "{text:?}");
    }
    assert_eq!(
        value("A=~root/x\n"),
        Err("1:3 `~` with a name behind it needs a shell".to_owned())
    );
}

#[test]
fn builtins_that_run_nothing_are_understood() {
    for (text, expected) in [
        ("export A=5 B=6\n", "5"),
        ("export \"A=5\"\n", "5"),
        ("A=5\nexport A\nexport N\n", "5"),
        ("export -n A=5\n", "5"),
        ("readonly A=5\n", "5"),
        ("declare -g A=5\n", "5"),
        ("declare -gx A=5\n", "5"),
        ("set -a\nA=5\nset +a\n", "5"),
        ("set -euo pipefail\nA=5\n", "5"),
        ("true\n:\nA=5\n", "5"),
        ("A=5\nreturn\nA=6\n", "5"),
        ("A=5;return 0;A=6\n", "5"),
        ("A=5\nunset A\n", ""),
    ] {
        assert_eq!(value(text).as_deref(), Ok(expected), "{text:?}");
    }
    assert_eq!(
        value("unset X\nA=$X\n"),
        Err("2:3 `$X` has no value here".to_owned())
    );
    assert_eq!(
        value("readonly A=5\nA=6\n"),
        Err("2:1 `A` was made read-only on an earlier line".to_owned())
    );
}

#[test]
fn a_local_name_sets_nothing_and_says_so() {
    for text in [
        "declare A=5\n",
        "local A=5\n",
        "typeset -x A=5\n",
        "declare A=5\nA=6\n",
    ] {
        let (values, problems) = read(text);
        assert!(!values.contains_key("A"), "{text:?}");
        assert_eq!(problems.len(), 1, "{text:?}");
        assert_eq!(problems[0].kind, ProblemKind::Warning);
    }
    assert_eq!(value("declare B=5\nA=$B\n").as_deref(), Ok("5"));
}

#[test]
fn what_is_exported_is_known() {
    let (values, problems) =
        read("export A=1\nB=2\nexport B\nC=3\nset -a\nD=4\nset +a\nE=5\nexport F=6\nexport -n F\n");
    assert_eq!(problems, []);
    let exported: Vec<&str> = values
        .iter()
        .filter(|(_, assigned)| assigned.is_exported)
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(exported, ["A", "B", "D"]);
}

#[test]
fn says_where_a_shell_would_be_needed() {
    for (text, expected) in [
        (
            "A=$(id)\n",
            "1:3 `$(…)` would run a command, and overleaf.rc is never executed",
        ),
        (
            "A=$((1+1))\n",
            "1:3 `$(…)` would run a command, and overleaf.rc is never executed",
        ),
        (
            "\nA=\"b`id`\"\n",
            "2:5 a backtick would run a command, and overleaf.rc is never executed",
        ),
        (
            "if true; then A=1; fi\n",
            "1:1 `if` needs a shell, and overleaf.rc is never executed",
        ),
        (
            "f() { A=1; }\n",
            "1:1 `f()` needs a shell, and overleaf.rc is never executed",
        ),
        (
            ". other.rc\n",
            "1:1 `.` reads another file, which overleaf.rc cannot",
        ),
        ("A=(1 2)\n", "1:1 an array cannot be a setting"),
        ("A[0]=1\n", "1:1 an array cannot be a setting"),
        ("A=${X/x/y}\n", "1:3 this `${…}` form needs a shell"),
        ("A=${X^^}\n", "1:3 this `${…}` form needs a shell"),
        ("A=${#X}\n", "1:3 this `${…}` form needs a shell"),
        (
            "A=\"pa$$word\"\n",
            "1:6 `$$` is a parameter of the running shell",
        ),
        ("A=$1\n", "1:3 `$1` is a parameter of the running shell"),
        (
            "A=x|y\n",
            "1:4 `&`, `|`, `<` and `>` outside quotes need a shell",
        ),
        ("A=80)\n", "1:5 a parenthesis outside quotes needs a shell"),
        ("declare -a A=1\n", "1:9 the option `-a` needs a shell"),
        ("set -a<B\n", "1:5 this `set` needs a shell"),
        ("set -- A\n", "1:5 this `set` needs a shell"),
    ] {
        assert_eq!(value(text), Err(expected.to_owned()), "{text:?}");
        let (_, problems) = read(text);
        assert!(
            problems[0].advice.contains("toolkit config flatten"),
            "{text:?}"
        );
    }
}

#[test]
fn says_where_a_file_is_wrong() {
    for (text, expected) in [
        ("A = 1\n", "1:1 `A` is not an assignment"),
        ("A-B=1\n", "1:1 `A-B` is not an assignment"),
        ("A=x && B=y\n", "1:5 what stands here is not an assignment"),
        (
            "A=data/over leaf\n",
            "1:13 what stands here is not an assignment",
        ),
        (
            "A=1 export B=2\n",
            "1:5 what stands here is not an assignment",
        ),
        (
            "A=\"8083\"# c\n",
            "1:11 what stands here is not an assignment",
        ),
        ("A=1;; B=2\n", "1:5 what stands here is not an assignment"),
        ("A='x\n", "1:3 the single quote is not closed"),
        ("A=\"x\n", "1:3 the double quote is not closed"),
        ("A=$'x\n", "1:4 the quote is not closed"),
        ("A=${X\n", "1:3 this `${…}` form needs a shell"),
        ("A=${X:-y\n", "1:3 `${` is not closed"),
        ("A=$B\n", "1:3 `$B` has no value here"),
        ("A=${B:?say it}\n", "1:3 `B` is required: say it"),
        (
            "A=$'\\xff'\n",
            "1:4 the escapes between these quotes are not text",
        ),
        (
            "A=a\rB=2\n",
            "1:4 a carriage return stands in the middle of the line",
        ),
        (
            "\nA=\0\n",
            "2:3 a NUL character stands here, so the file is damaged",
        ),
        (
            "exit 0\n",
            "1:1 `exit` ends the reading without any setting",
        ),
        (
            "return 1\n",
            "1:8 `return 1` says that the configuration failed",
        ),
        ("export A-B=1\n", "1:8 `A-B` is not a name"),
    ] {
        assert_eq!(value(text), Err(expected.to_owned()), "{text:?}");
    }
}

#[test]
fn one_problem_does_not_hide_the_next_line() {
    let (values, problems) = read("A=1\nif x\nB=2\nC=$(id)\nD=4\n");
    assert_eq!(problems.len(), 2);
    assert_eq!(values.keys().collect::<Vec<_>>(), ["A", "B", "D"]);
}

#[test]
fn a_command_of_several_lines_is_one_problem() {
    for text in [
        "if x; then\n  if y; then A=1; fi\nelse\n  A=2\nfi\nB=1\n",
        "for i in 1 2; do\n  A=$i\ndone\nB=1\n",
        "f() {\n  A=1\n}\nB=1\n",
        "case x in\n  x) A=1 ;;\nesac\nB=1\n",
        "if true; then A=1; fi\nB=1\n",
    ] {
        let (values, problems) = read(text);
        assert_eq!(problems.len(), 1, "{text:?}: {problems:?}");
        assert_eq!(values.keys().collect::<Vec<_>>(), ["B"], "{text:?}");
    }
}

#[test]
fn a_problem_never_repeats_what_may_be_a_secret() {
    for text in [
        "MONGO_URL=mongodb://u:two words@h\n",
        "MONGO_URL mongodb://u:secret@h\n",
        "MONGO_URL=a\nwords@host\n",
    ] {
        let (_, problems) = read(text);
        assert_eq!(problems.len(), 1, "{text:?}");
        for hidden in ["words@", "secret"] {
            assert!(!problems[0].text.contains(hidden), "{}", problems[0].text);
        }
    }
}
