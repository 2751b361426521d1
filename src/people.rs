//! The people who have an account: who they are, by the application's own database, and how an account
//! is made, changed and deleted, by the application's own scripts.
//!
//! Knows nothing of the command line; it asks nobody anything.

pub mod actions;
pub mod link;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use futures_util::TryStreamExt;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};
use thiserror::Error;
use time::OffsetDateTime;

use crate::engine::inside::Inside;
use crate::likeness;
use crate::stores::StoreError;
use crate::stores::Stores;

/// Longest address that is taken, as in the standard for mail.
const LONGEST: usize = 254;

/// Similarity from which an address counts as misspelt (Jaro-Winkler, 0 to 1).
const SIMILAR: f64 = 0.85;

/// An e-mail address in the form the application takes: one at sign, a domain with a dot, small letters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Email(String);

/// The text is no e-mail address that the application takes.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no e-mail address; write it as `name@example.org`")]
pub struct EmailError(pub String);

impl Email {
    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Email {
    type Err = EmailError;

    fn from_str(text: &str) -> Result<Self, EmailError> {
        let refuse = || EmailError(text.to_owned());
        // The application compares addresses in small letters.
        let lower = text.trim().to_lowercase();
        let (local, domain) = lower.split_once('@').ok_or_else(refuse)?;
        let is_local = |c: char| c.is_ascii_graphic() && !"<>()[]\\,;:@\"".contains(c);
        let is_label = |label: &str| {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
            !label.is_empty() && !label.starts_with('-') && label.chars().all(is_plain)
        };
        let ending = domain.rsplit_once('.').map(|(_, ending)| ending);
        let has_ending = ending.is_some_and(|ending| {
            ending.len() >= 2 && ending.chars().all(|c| c.is_ascii_alphabetic())
        });
        let dots = [
            local.starts_with('.'),
            local.ends_with('.'),
            local.contains(".."),
        ];
        let is_good = !local.is_empty()
            && local.chars().all(is_local)
            && !dots.contains(&true)
            && domain.split('.').all(is_label)
            && has_ending
            && lower.len() <= LONGEST;
        if is_good {
            Ok(Self(lower))
        } else {
            Err(refuse())
        }
    }
}

/// Who has an account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// Identifier, 24 hexadecimal digits.
    pub id: String,
    /// Main address.
    pub email: String,
    /// Further addresses.
    pub others: Vec<String>,
    /// First and last name; empty where none is known.
    pub name: String,
    /// Whether it is an administrator.
    pub is_admin: bool,
    /// When the account was made.
    pub signed_up: Option<OffsetDateTime>,
    /// When it was last logged in.
    pub last_login: Option<OffsetDateTime>,
    /// Projects it owns.
    pub projects: u64,
    /// How long a compile may take, in seconds, where that is said.
    pub timeout: Option<i64>,
}

impl User {
    /// Whether an address is one of this user's.
    #[must_use]
    pub fn has(&self, email: &Email) -> bool {
        let own = std::iter::once(&self.email).chain(&self.others);
        own.into_iter().any(|known| known.to_lowercase() == email.0)
    }
}

/// Everybody who has an account, by address.
///
/// # Errors
/// Mongo cannot be asked.
pub async fn all<E: Inside>(stores: &Stores<'_, E>) -> Result<Vec<User>, StoreError> {
    let (users, owners) = stores
        .in_mongo(async |database: mongodb::Database| {
            let fields = doc! {
                "email": 1, "emails": 1, "first_name": 1, "last_name": 1, "isAdmin": 1,
                "signUpDate": 1, "lastLoggedIn": 1, "features": 1,
            };
            let users = database.collection::<Document>("users");
            let users = users.find(doc! {}).projection(fields).await?;
            let users: Vec<Document> = users.try_collect().await?;
            let projects = database.collection::<Document>("projects");
            let owners = doc! { "$group": { "_id": "$owner_ref", "count": { "$sum": 1 } } };
            let owners = projects.aggregate([owners]).await?;
            let owners: Vec<Document> = owners.try_collect().await?;
            Ok((users, owners))
        })
        .await?;
    let counts = owners.iter().filter_map(|row| {
        let owner = row.get_object_id("_id").ok()?;
        Some((owner, number(row.get("count"))?))
    });
    let counts: BTreeMap<ObjectId, i64> = counts.collect();
    let mut all: Vec<User> = users
        .iter()
        .filter_map(|document| user(document, &counts))
        .collect();
    all.sort_by(|a, b| a.email.cmp(&b.email));
    Ok(all)
}

fn user(document: &Document, counts: &BTreeMap<ObjectId, i64>) -> Option<User> {
    let id = document.get_object_id("_id").ok()?;
    let text = |field: &str| document.get_str(field).unwrap_or_default().trim();
    let moment = |field: &str| {
        let at = document.get_datetime(field).ok()?;
        let nanoseconds = i128::from(at.timestamp_millis()) * 1_000_000;
        OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).ok()
    };
    let email = text("email").to_owned();
    let addresses = document.get_array("emails").ok().into_iter().flatten();
    let addresses = addresses.filter_map(|one| one.as_document()?.get_str("email").ok());
    let others = addresses.filter(|other| *other != email);
    let features = document.get_document("features").ok();
    let name = format!("{} {}", text("first_name"), text("last_name"));
    Some(User {
        id: id.to_hex(),
        others: others.map(str::to_owned).collect(),
        name: name.trim().to_owned(),
        is_admin: document.get_bool("isAdmin").unwrap_or(false),
        signed_up: moment("signUpDate"),
        last_login: moment("lastLoggedIn"),
        projects: counts
            .get(&id)
            .map_or(0, |count| u64::try_from(*count).unwrap_or(0)),
        timeout: features.and_then(|features| number(features.get("compileTimeout"))),
        email,
    })
}

fn number(value: Option<&Bson>) -> Option<i64> {
    match value? {
        Bson::Int32(number) => Some(i64::from(*number)),
        Bson::Int64(number) => Some(*number),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "counts and seconds are small"
        )]
        Bson::Double(number) => Some(*number as i64),
        _ => None,
    }
}

/// The user with an address.
#[must_use]
pub fn find<'a>(users: &'a [User], email: &Email) -> Option<&'a User> {
    users.iter().find(|user| user.has(email))
}

/// The main address that is most like one that nobody has.
#[must_use]
pub fn nearest<'a>(users: &'a [User], email: &Email) -> Option<&'a str> {
    let addresses = users.iter().map(|user| user.email.as_str());
    likeness::nearest(addresses, email.as_str(), SIMILAR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_that_the_application_takes() {
        for (text, expected) in [
            (
                "Ada.Lovelace@Example.ORG ",
                Some("ada.lovelace@example.org"),
            ),
            ("a+b@x-y.example.org", Some("a+b@x-y.example.org")),
            ("admin@localhost", None),
            ("admin", None),
            ("a@b@example.org", None),
            ("a b@example.org", None),
            ("a@example.o", None),
            ("a@example..org", None),
            ("a@-x.org", None),
            (".a@example.org", None),
            ("@example.org", None),
            ("--help", None),
        ] {
            let found = text.parse::<Email>().ok();
            assert_eq!(found.as_ref().map(Email::as_str), expected, "{text}");
        }
    }

    #[test]
    fn a_document_becomes_a_user() {
        let id = ObjectId::parse_str("64f0c0ffee0000000000d0c1").unwrap();
        let document = doc! {
            "_id": id, "email": "ada@example.org", "first_name": "Ada", "last_name": "",
            "emails": [{ "email": "ada@example.org" }, { "email": "Countess@example.org" }],
            "isAdmin": true, "features": { "compileTimeout": 240 },
            "lastLoggedIn": bson::DateTime::from_millis(1_700_000_000_000),
        };
        let found = user(&document, &BTreeMap::from([(id, 3)])).unwrap();
        assert_eq!(found.name, "Ada");
        assert_eq!((found.projects, found.timeout), (3, Some(240)));
        assert_eq!(found.others, ["Countess@example.org"]);
        assert_eq!(found.last_login.unwrap().unix_timestamp(), 1_700_000_000);
        assert_eq!(found.signed_up, None);
        let address: Email = "countess@example.org".parse().unwrap();
        let all = [found];
        assert!(find(&all, &address).is_some());
        let misspelt: Email = "ada@exmaple.org".parse().unwrap();
        assert_eq!(find(&all, &misspelt), None);
        assert_eq!(nearest(&all, &misspelt), Some("ada@example.org"));
        let other: Email = "zoe@other.net".parse().unwrap();
        assert_eq!(nearest(&all, &other), None);
    }
}
