//! Who has an account, as text and as JSON.

use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

use super::words::Style;
use crate::people::User;

/// The accounts for people, one line each.
#[must_use]
pub fn table(users: &[User], zone: UtcOffset, style: Style) -> String {
    if users.is_empty() {
        return "nobody has an account\n".to_owned();
    }
    let head = ["EMAIL", "NAME", "ADMIN", "LAST LOGIN", "PROJECTS"].map(str::to_owned);
    let rows: Vec<[String; 5]> = users
        .iter()
        .map(|user| {
            [
                plain(&user.email),
                plain(&user.name),
                if user.is_admin { "yes" } else { "" }.to_owned(),
                user.last_login
                    .map_or_else(|| "never".to_owned(), |at| local(at, zone)),
                user.projects.to_string(),
            ]
        })
        .collect();
    let width = |column: usize| {
        let all = std::iter::once(&head).chain(&rows);
        let cells = all.filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let line = |row: &[String; 5]| {
        let cells = row.iter().enumerate();
        let padded = cells.map(|(column, cell)| {
            let gap = " ".repeat(width(column).saturating_sub(cell.chars().count()));
            format!("{cell}{gap}")
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut text = format!("{}\n", style.dim(&line(&head)));
    for row in &rows {
        text.push_str(&format!("{}\n", line(row)));
    }
    text
}

/// What people typed about themselves must not move the cursor.
fn plain(text: &str) -> String {
    let visible = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().map(visible).collect()
}

fn local(at: OffsetDateTime, zone: UtcOffset) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]");
    at.to_offset(zone).format(&format).unwrap_or_default()
}

/// The accounts for machines.
#[must_use]
pub fn value(users: &[User]) -> Value {
    let utc = |at: Option<OffsetDateTime>| at.and_then(|at| at.format(&Rfc3339).ok());
    let users = users.iter().map(|user| {
        json!({
            "id": user.id, "email": user.email, "other_emails": user.others, "name": user.name,
            "admin": user.is_admin, "signed_up": utc(user.signed_up),
            "last_login": utc(user.last_login), "projects": user.projects,
            "compile_timeout": user.timeout,
        })
    });
    json!({ "users": users.collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn accounts_are_lines() {
        let ada = User {
            email: "ada@example.org".to_owned(),
            name: "Ada \u{1b}[31m".to_owned(),
            is_admin: true,
            last_login: Some(datetime!(2026-01-02 03:04:05 UTC)),
            projects: 12,
            ..User::default()
        };
        let bob = User {
            email: "bob@example.org".to_owned(),
            ..User::default()
        };
        assert_eq!(
            table(&[ada, bob], UtcOffset::UTC, Style::default()),
            "EMAIL            NAME       ADMIN  LAST LOGIN        PROJECTS\n\
             ada@example.org  Ada \u{fffd}[31m  yes    2026-01-02 03:04  12\n\
             bob@example.org                    never             0\n"
        );
        assert_eq!(
            table(&[], UtcOffset::UTC, Style::default()),
            "nobody has an account\n"
        );
    }
}
