//! What of the operator's values may be shown. Secrets are those that the catalogues call secret,
//! and unknown names that look like one; a URL loses its password whatever its name is.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::LazyLock;

use super::assignments::{self, Assignment, Dialect};
use super::reference::Reference;

/// What stands in place of a secret.
pub const MASK: &str = "********";

/// What stands in place of a secret that a change brings.
const NEW_MASK: &str = "******** (new)";

/// Parts of a name that the catalogues do not have by which it counts as that of a secret.
const TELLING: [&str; 9] = [
    "PASS",
    "PWD",
    "SECRET",
    "TOKEN",
    "KEY",
    "CREDENTIAL",
    "PRIVATE",
    "CRYPTO",
    "SALT",
];

/// Shortest secret that is looked for inside of other values; a shorter one is found by chance.
const TELLING_LENGTH: usize = 8;

/// Schemes whose URLs may hold a slash before the `@`, so that what is masked is cut there.
const WEB: [&str; 2] = ["http", "https"];

/// Knows which values are secret.
#[derive(Debug, Clone, Default)]
pub struct Masker {
    secret: BTreeSet<String>,
    plain: BTreeSet<String>,
}

/// The masker of the data that the program carries.
static CARRIED: LazyLock<Masker> = LazyLock::new(|| {
    // Data that does not load calls no name plain; a unit test keeps this from happening.
    Reference::load().map_or_else(|_| Masker::default(), |reference| Masker::new(&reference))
});

/// The masker of the data that the program carries, made when something is shown for the first time:
/// most runs show no value.
#[must_use]
pub fn carried() -> &'static Masker {
    &CARRIED
}

impl Masker {
    /// One that knows these names.
    #[must_use]
    pub fn new(reference: &Reference) -> Self {
        let settings = reference.settings.iter();
        let settings = settings.map(|row| (row.name.clone(), row.secret));
        let variables = reference.variables.iter().flat_map(|row| {
            let names = std::iter::once(&row.name).chain(&row.legacy);
            names.map(|name| (name.clone(), row.secret))
        });
        let (secret, plain): (Vec<_>, Vec<_>) =
            settings.chain(variables).partition(|(_, secret)| *secret);
        let names = |rows: Vec<(String, bool)>| rows.into_iter().map(|(name, _)| name).collect();
        Self {
            secret: names(secret),
            plain: names(plain),
        }
    }

    /// Whether the value of a name is secret.
    #[must_use]
    pub fn is_secret(&self, name: &str) -> bool {
        if self.secret.contains(name) {
            return true;
        }
        let name = name.to_uppercase();
        let today = name.replacen("SHARELATEX_", "OVERLEAF_", 1);
        if self.secret.contains(&name) || self.secret.contains(&today) {
            return true;
        }
        !self.plain.contains(&name) && TELLING.iter().any(|part| name.contains(part))
    }

    /// A value as it may be shown. An empty one is no secret.
    #[must_use]
    pub fn value(&self, name: &str, value: &str) -> String {
        if value.is_empty() {
            String::new()
        } else if self.is_secret(name) {
            MASK.to_owned()
        } else {
            without_passwords(value)
        }
    }

    /// A text with the password of every URL replaced by another text.
    #[must_use]
    pub fn without_passwords(&self, text: &str, replacement: &str) -> String {
        without_passwords(text).replace(MASK, replacement)
    }

    /// A value as it may be shown when these secrets are in use: one of them inside of it, such as
    /// by reference, is masked too.
    #[must_use]
    pub fn value_among(&self, name: &str, value: &str, secrets: &[String]) -> String {
        let telling = secrets
            .iter()
            .filter(|secret| secret.len() >= TELLING_LENGTH);
        telling.fold(self.value(name, value), |shown, secret| {
            shown.replace(secret.as_str(), MASK)
        })
    }

    /// The text of a file as it may be shown, commented assignments included.
    #[must_use]
    pub fn text(&self, text: &str, dialect: Dialect) -> String {
        self.masked(text, dialect, &BTreeSet::new())
    }

    /// Two versions of a file as they may be shown beside each other: a secret that only the later
    /// one has is marked as new, so that the change is seen.
    #[must_use]
    pub fn texts(&self, before: &str, after: &str, dialect: Dialect) -> (String, String) {
        let written = |text: &str| -> BTreeSet<(String, String)> {
            let values = self.values(text, dialect).into_iter();
            values
                .map(|(found, bytes)| (found.name, slice(text, bytes).to_owned()))
                .collect()
        };
        let (old, new) = (written(before), written(after));
        let fresh = new.difference(&old).cloned().collect();
        (
            self.masked(before, dialect, &BTreeSet::new()),
            self.masked(after, dialect, &fresh),
        )
    }

    /// The secret values of a text, live and commented out.
    fn values(&self, text: &str, dialect: Dialect) -> Vec<(Assignment, Range<usize>)> {
        let live = assignments::find(text, dialect).into_iter();
        let all = live.chain(assignments::find_commented(text, dialect));
        all.filter_map(|found| {
            let bytes = found.value.clone()?;
            let is_hidden = self.is_secret(&found.name) && !slice(text, bytes.clone()).is_empty();
            is_hidden.then_some((found, bytes))
        })
        .collect()
    }

    fn masked(&self, text: &str, dialect: Dialect, fresh: &BTreeSet<(String, String)>) -> String {
        let mut secrets = self.values(text, dialect);
        secrets.sort_by_key(|(_, bytes)| bytes.start);
        let mut shown = String::new();
        let mut end = 0;
        for (found, bytes) in secrets {
            shown.push_str(slice(text, end..bytes.start));
            let written = (found.name, slice(text, bytes.clone()).to_owned());
            shown.push_str(match fresh.contains(&written) {
                true => NEW_MASK,
                false => MASK,
            });
            // As many lines as before, so that the numbers of those below stay right.
            let lines = written.1.matches('\n').count();
            shown.push_str(&format!("\n{MASK}").repeat(lines));
            end = bytes.end;
        }
        shown.push_str(slice(text, end..text.len()));
        shown
            .split_inclusive('\n')
            .map(|line| without_passwords(&self.without_broken_secret(line)))
            .collect()
    }

    /// A line without what stands behind the name of a secret: lines that no grammar reads, such as
    /// `MY PASSWORD=…`, are not found as assignments, nor is `# see MY_KEY=…`.
    fn without_broken_secret(&self, line: &str) -> String {
        let is_comment = line.trim_start().starts_with('#');
        // A colon in a comment is prose.
        let marks: &[char] = if is_comment { &['='] } else { &['=', ':'] };
        let Some((name, value)) = line.split_once(marks) else {
            return line.to_owned();
        };
        let word = name.split_whitespace().next_back().unwrap_or_default();
        let is_masked = value.contains(MASK);
        if is_masked || value.trim().is_empty() || !self.is_secret(word) {
            return line.to_owned();
        }
        let end = value.len() - value.trim_end().len();
        let end = slice(value, value.len() - end..value.len());
        format!("{}{MASK}{end}", slice(line, 0..line.len() - value.len()))
    }
}

fn slice(text: &str, bytes: Range<usize>) -> &str {
    text.get(bytes).unwrap_or_default()
}

/// A text with the password of every URL `scheme://user:password@host` masked.
#[must_use]
pub fn without_passwords(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        shown.push_str(before);
        let length = after
            .find(|c: char| c.is_whitespace() || "'\"<>`".contains(c))
            .unwrap_or(after.len());
        let (url, tail) = after.split_at(length);
        shown.push_str(&without_password(scheme(before), url));
        rest = tail;
    }
    shown + rest
}

/// The scheme that a text ends with, `://` included.
fn scheme(text: &str) -> &str {
    let text = text.trim_end_matches("://");
    text.rsplit(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c)))
        .next()
        .unwrap_or_default()
}

/// What follows `://`, with its password masked. Elsewhere than on the web a password with a raw
/// slash is better masked with too much of the URL than shown.
fn without_password(scheme: &str, url: &str) -> String {
    let authority = if WEB.contains(&scheme.to_lowercase().as_str()) {
        url.find(['/', '?', '#']).unwrap_or(url.len())
    } else {
        url.len()
    };
    let (authority, path) = url.split_at(authority);
    match authority.rsplit_once('@') {
        Some((user, host)) if user.contains(':') => {
            let user = user.split(':').next().unwrap_or_default();
            format!("{user}:{MASK}@{host}{path}")
        }
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masker() -> Masker {
        Masker::new(&Reference::load().unwrap())
    }

    #[test]
    fn secrets_are_known_or_look_like_one() {
        let masker = masker();
        for name in [
            "OVERLEAF_INVITE_TOKEN_SECRET",
            "MY_PASSWORD",
            "DBPASS",
            "api_key",
            "AUTH_TOKEN",
            "OVERLEAF_LDAP_BIND_CREDENTIALS",
            "CRYPTO_RANDOM",
        ] {
            assert!(masker.is_secret(name), "{name}");
        }
        for name in ["TLS_PRIVATE_KEY_PATH", "OVERLEAF_APP_NAME", "OVERLEAF_PORT"] {
            assert!(!masker.is_secret(name), "{name}");
        }
    }

    #[test]
    fn a_url_is_shown_without_its_password() {
        for (text, expected) in [
            ("mongodb://u:p@h/db", "mongodb://u:********@h/db"),
            ("mongodb://u:p/w@h:1/db", "mongodb://u:********@h:1/db"),
            ("redis://:p@h", "redis://:********@h"),
            (
                "x https://u:p@h/a 'ldap://a:b@c'",
                "x https://u:********@h/a 'ldap://a:********@c'",
            ),
            ("http://localhost:80/@me", "http://localhost:80/@me"),
            ("https://h/a?b=c", "https://h/a?b=c"),
            ("mailto:me@example.org", "mailto:me@example.org"),
        ] {
            assert_eq!(without_passwords(text), expected);
        }
    }

    #[test]
    fn a_secret_inside_of_another_value_is_masked() {
        let secrets = ["sesame-open".to_owned(), "x".to_owned()];
        let shown = masker().value_among("NOTE", "say sesame-open, x", &secrets);
        assert_eq!(shown, "say ********, x");
    }

    #[test]
    fn no_line_of_a_shown_text_holds_a_secret() {
        let text = "A=1\nMY_PASSWORD='hidden\nhidden' # c\n# MY_TOKEN=hidden # hidden\n# see MY_KEY=hidden\n# the key: kept\nMY_SECRET=\nMY OWN PASSWORD=hidden\nEMPTY_KEY=''\nURL=https://u:hidden@h\n# X_KEY='hidden\n# hidden'\n";
        for dialect in [Dialect::Shell, Dialect::EnvFile] {
            let shown = masker().text(text, dialect);
            assert!(!shown.contains("hidden"), "{dialect:?}: {shown}");
        }
        insta::assert_snapshot!(masker().text(text, Dialect::EnvFile), @r"
        A=1
        MY_PASSWORD=********
        ******** # c
        # MY_TOKEN=********
        # see MY_KEY=********
        # the key: kept
        MY_SECRET=
        MY OWN PASSWORD=********
        EMPTY_KEY=********
        URL=https://u:********@h
        # X_KEY=********
        ********
        ");
    }

    #[test]
    fn a_changed_secret_is_seen_to_change() {
        let (before, after) = masker().texts(
            "MY_KEY=old # c\nYOUR_KEY=same\n",
            "MY_KEY=new # c\nYOUR_KEY=same\n",
            Dialect::EnvFile,
        );
        assert_eq!(before, "MY_KEY=******** # c\nYOUR_KEY=********\n");
        assert_eq!(after, "MY_KEY=******** (new) # c\nYOUR_KEY=********\n");
    }
}
