//! House rules that a machine can check.

use super::sandbox::{files, project};

/// The longest a file may be, its tests apart.
const LONGEST_FILE: usize = 600;

#[test]
fn files_hold_one_concept() {
    for file in files("src", ".rs") {
        let text = std::fs::read_to_string(&file).unwrap();
        let lines = text
            .split("#[cfg(test)]\nmod tests")
            .next()
            .unwrap()
            .lines()
            .count();
        assert!(
            lines <= LONGEST_FILE,
            "{} has {lines} lines",
            file.display()
        );
    }
}

#[test]
fn every_module_says_what_it_is_for() {
    for folder in ["src", "tests"] {
        for file in files(folder, ".rs") {
            let text = std::fs::read_to_string(&file).unwrap();
            assert!(
                text.starts_with("//! "),
                "{} has no module documentation",
                file.display()
            );
        }
    }
}

#[test]
fn main_only_hands_over() {
    let text = std::fs::read_to_string(project().join("src/main.rs")).unwrap();
    assert!(text.lines().count() <= 15);
}

#[test]
fn nothing_is_left_for_later() {
    // Joined here so that this file does not find itself.
    let words = [
        ["TO", "DO"].concat(),
        ["FIX", "ME"].concat(),
        ["XX", "X"].concat(),
    ];
    for folder in ["src", "tests", "bin", "lib", "templates"] {
        for file in files(folder, "") {
            let Ok(text) = std::fs::read_to_string(&file) else {
                continue;
            };
            for word in &words {
                assert!(
                    !text.contains(word.as_str()),
                    "{} holds {word}",
                    file.display()
                );
            }
        }
    }
}

#[test]
fn scripts_are_thin_and_executable() {
    use std::os::unix::fs::PermissionsExt;
    for file in files("bin", "") {
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{} is not executable", file.display());
        let text = std::fs::read_to_string(&file).unwrap();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if !matches!(name.as_str(), "toolkit" | "test") {
            let lines = text.lines().count();
            assert!(lines <= 5, "{name} holds logic: {lines} lines");
        }
    }
}

/// The README's commands exist.
#[test]
fn the_readme_names_commands_that_exist() {
    let readme = std::fs::read_to_string(project().join("README.md")).unwrap();
    let command = toolkit::cli::command();
    let known: Vec<&str> = command
        .get_subcommands()
        .flat_map(|sub| std::iter::once(sub.get_name()).chain(sub.get_all_aliases()))
        .collect();
    for line in readme.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let ["toolkit" | "bin/toolkit", name, ..] = words.as_slice()
            && name.starts_with(|c: char| c.is_ascii_lowercase())
        {
            assert!(
                known.contains(name) || *name == "help",
                "`toolkit {name}` does not exist"
            );
        }
        for word in &words {
            let script = word.trim_matches(|c: char| !(c.is_alphanumeric() || c == '/'));
            if script.starts_with("bin/") && script.len() > 4 {
                assert!(project().join(script).exists(), "{script} does not exist");
            }
        }
    }
    for name in command.get_subcommands().map(clap::Command::get_name) {
        assert!(
            readme.contains(name),
            "the README does not mention `{name}`"
        );
    }
}

/// All help texts, as a person reads them.
#[test]
fn every_error_is_in_the_documentation() {
    let documented: String = files("docs", ".md")
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap())
        .collect();
    let error = regex::Regex::new(r#"(?:CommandError|Self)::new\(\s*"([A-Z][A-Z_]+)""#).unwrap();
    let (mut known, mut missing) = (0, Vec::new());
    for file in files("src/cli", ".rs") {
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for found in error.captures_iter(code) {
            known += 1;
            if !documented.contains(&format!("`{}`", &found[1])) {
                missing.push(found[1].to_owned());
            }
        }
    }
    assert!(known > 100, "{known}");
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn help_texts() {
    let mut text = String::new();
    let mut open = vec![(String::from("toolkit"), toolkit::cli::command())];
    while let Some((path, mut command)) = open.pop() {
        // Global options are the same everywhere and shown once.
        let help = command.render_long_help().to_string();
        let own = help
            .split("\nGlobal options:")
            .next()
            .unwrap_or_default()
            .to_owned();
        let own = if path == "toolkit" { help.clone() } else { own };
        let examples = help
            .split_once("\nExamples:")
            .map(|(_, tail)| format!("\nExamples:{tail}"));
        let examples = examples.filter(|_| path != "toolkit").unwrap_or_default();
        text.push_str(&format!("==== {path} --help\n{own}{examples}\n"));
        let mut children: Vec<clap::Command> = command
            .get_subcommands()
            .filter(|sub| sub.get_name() != "help")
            .cloned()
            .collect();
        children.reverse();
        open.extend(
            children
                .into_iter()
                .map(|sub| (format!("{path} {}", sub.get_name()), sub)),
        );
    }
    insta::assert_snapshot!(text);
}
