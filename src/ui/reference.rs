//! The reference of all settings and variables, as Markdown and as JSON.

use serde_json::{Value, json};

use crate::settings::catalogue::{SettingRow, SettingType};
use crate::settings::reference::Reference;
use crate::settings::variables::VariableRow;

/// The whole reference, as the page in `docs/` has it.
#[must_use]
pub fn page(reference: &Reference) -> String {
    format!(
        "# Reference\n\n\
         Every setting and every variable this program knows. The page is the output of `toolkit config docs`;\n\
         `toolkit config docs WORD` searches it, and `toolkit config explain NAME` adds what an instance has.\n\n\
         A flag is on for exactly `true`. For a variable, `default` is what the application does without it.\n\
         Editions: ce (Community Edition), pro (Server Pro), cep (the community's extended edition).\n\n{}",
        markdown(reference)
    )
}

/// The rows as Markdown, a section for each kind and service.
#[must_use]
pub fn markdown(reference: &Reference) -> String {
    let mut sections = Vec::new();
    if !reference.settings.is_empty() {
        let entries = reference.settings.iter();
        let entries = entries.map(|row| entry(&row.name, &row.text, &setting_facts(row)));
        sections.push(section("config/overleaf.rc", entries));
    }
    let mut services: Vec<&str> = Vec::new();
    for row in &reference.variables {
        if !services.contains(&row.service.as_str()) {
            services.push(&row.service);
        }
    }
    for service in services {
        let rows = reference.variables.iter();
        let entries = rows
            .filter(|row| row.service == service)
            .map(|row| entry(&row.name, &row.text, &variable_facts(row)));
        sections.push(section(
            &format!("config/variables.env, read by {service}"),
            entries,
        ));
    }
    sections.join("\n")
}

fn section(title: &str, entries: impl Iterator<Item = String>) -> String {
    let entries: Vec<String> = entries.collect();
    format!("## {title}\n\n{}", entries.join("\n"))
}

fn entry(name: &str, text: &str, facts: &[(String, String)]) -> String {
    let facts: Vec<String> = facts
        .iter()
        .map(|(label, fact)| format!("{label}: {}", escaped(fact)))
        .collect();
    format!("### {name}\n\n{}\n\n{}\n", escaped(text), facts.join("; "))
}

/// A text in which Markdown sees no HTML, link or emphasis; what stands in backticks is left.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    let mut is_code = false;
    for c in text.chars() {
        if c == '`' {
            is_code = !is_code;
        } else if !is_code && matches!(c, '<' | '*' | '[' | '|') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// The facts about a setting, each with its label.
#[must_use]
pub fn setting_facts(row: &SettingRow) -> Vec<(String, String)> {
    let mut facts = vec![kind_fact(word(row.kind), None, &row.choices)];
    push(&mut facts, "default", row.default.as_deref());
    facts.push(("editions".to_owned(), row.editions.join(", ")));
    push(&mut facts, "since", row.since.as_deref());
    push(&mut facts, "until", row.until.as_deref());
    push(&mut facts, "secret", row.secret.then_some("yes"));
    facts
}

/// The facts about a variable, each with its label.
#[must_use]
pub fn variable_facts(row: &VariableRow) -> Vec<(String, String)> {
    let mut facts = vec![kind_fact(
        row.kind.word(),
        row.unit.as_deref(),
        &row.choices,
    )];
    push(&mut facts, "default", row.default.as_deref());
    push(&mut facts, "smallest", row.min.map(|min| min.to_string()));
    push(&mut facts, "largest", row.max.map(|max| max.to_string()));
    let length = row.min_length.map(|least| format!("{least} characters"));
    push(&mut facts, "at least", length);
    facts.push(("editions".to_owned(), row.editions.join(", ")));
    push(&mut facts, "since", row.since.as_deref());
    push(&mut facts, "until", row.until.as_deref());
    facts.push(("read by".to_owned(), row.service.clone()));
    push(&mut facts, "name below 5.0", row.legacy.as_deref());
    push(&mut facts, "secret", row.secret.then_some("yes"));
    let toolkit = row.set_by_toolkit.then_some("the toolkit sets it itself");
    push(&mut facts, "reserved", toolkit);
    let fatal = row.fatal.then_some("services do not start");
    push(&mut facts, "wrong value", fatal);
    facts
}

fn push<T: Into<String>>(facts: &mut Vec<(String, String)>, label: &str, fact: Option<T>) {
    if let Some(fact) = fact {
        facts.push((label.to_owned(), fact.into()));
    }
}

fn kind_fact(word: &str, unit: Option<&str>, choices: &[String]) -> (String, String) {
    let mut fact = word.to_owned();
    if !choices.is_empty() {
        fact = format!("one of {}", choices.join(", "));
    }
    if let Some(unit) = unit {
        fact.push_str(&format!(" in {unit}"));
    }
    ("type".to_owned(), fact)
}

/// The word of the data file.
fn word(kind: SettingType) -> &'static str {
    match kind {
        SettingType::Text => "text",
        SettingType::Flag => "flag",
        SettingType::Port => "port",
        SettingType::Address => "address",
        SettingType::Path => "path",
        SettingType::Image => "image",
        SettingType::Url => "url",
        SettingType::Choice => "choice",
        SettingType::ProjectName => "project-name",
        SettingType::Tag => "tag",
    }
}

/// The rows for machines.
#[must_use]
pub fn data(reference: &Reference) -> Value {
    let settings: Vec<Value> = reference.settings.iter().map(setting_data).collect();
    let variables: Vec<Value> = reference.variables.iter().map(variable_data).collect();
    json!({ "settings": settings, "variables": variables })
}

/// A setting for machines.
#[must_use]
pub fn setting_data(row: &SettingRow) -> Value {
    json!({
        "name": row.name,
        "type": word(row.kind),
        "choices": row.choices,
        "default": row.default,
        "editions": row.editions,
        "since": row.since,
        "until": row.until,
        "secret": row.secret,
        "text": row.text,
    })
}

/// A variable for machines.
#[must_use]
pub fn variable_data(row: &VariableRow) -> Value {
    json!({
        "name": row.name,
        "legacy": row.legacy,
        "type": row.kind.word(),
        "unit": row.unit,
        "choices": row.choices,
        "min": row.min,
        "max": row.max,
        "min_length": row.min_length,
        "default": row.default,
        "editions": row.editions,
        "service": row.service,
        "since": row.since,
        "until": row.until,
        "secret": row.secret,
        "set_by_toolkit": row.set_by_toolkit,
        "fatal": row.fatal,
        "text": row.text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_says_everything_about_a_name() {
        let found = Reference::load().unwrap();
        let found = found.search(&["OVERLEAF_INVITE_TOKEN_SECRET".to_owned()]);
        let text = markdown(&found);
        for part in [
            "### OVERLEAF_INVITE_TOKEN_SECRET\n",
            "at least: 16 characters",
            "secret: yes",
            "since: 6.2",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn markdown_sees_no_markup_in_a_text() {
        assert_eq!(escaped("a <b> A_B `C_<D>` *"), "a \\<b> A_B `C_<D>` \\*");
    }
}
