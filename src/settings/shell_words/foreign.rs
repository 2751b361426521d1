//! What a command is that the reader of overleaf.rc does not know, and what to write instead.

/// Says what a word is that begins no assignment: the problem, the advice, and whether it is for a
/// shell.
pub(super) fn describe(word: &str) -> (String, &'static str, bool) {
    let plain = "write plain `NAME=value` lines";
    match word {
        "if" | "then" | "else" | "elif" | "fi" | "for" | "while" | "until" | "do" | "done"
        | "case" | "esac" | "select" | "function" | "[[" | "[" | "test" | "{" | "}" | "!" => (
            format!("`{word}` needs a shell, and overleaf.rc is never executed"),
            plain,
            true,
        ),
        "source" | "." => (
            format!("`{word}` reads another file, which overleaf.rc cannot"),
            "copy its lines into overleaf.rc",
            true,
        ),
        "exit" => (
            "`exit` ends the reading without any setting".to_owned(),
            "remove the line",
            false,
        ),
        _ if word.contains('(') => (
            format!("`{word}` needs a shell, and overleaf.rc is never executed"),
            plain,
            true,
        ),
        _ if word.contains('[') => (
            "an array cannot be a setting".to_owned(),
            "write one value in quotes",
            true,
        ),
        _ => (
            format!("`{word}` is not an assignment"),
            "write `NAME=value` without blanks around `=`, and put a value that has blanks in quotes",
            false,
        ),
    }
}
