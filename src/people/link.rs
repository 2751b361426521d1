//! Links for passwords in what the application's scripts write, brought into a form that works: under
//! the site's own URL, without a double slash, and for the page that is meant. Pure.

use super::Email;
use crate::percent;

/// Page on which somebody sets a new password.
const SET_PAGE: &str = "/user/password/set";

/// A link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The URL to open.
    pub url: String,
    /// What it began with where the script wrote it, when that was something else.
    pub instead_of: Option<String>,
}

/// The link in what a script wrote, under the site's URL; `None` where there is none.
#[must_use]
pub fn of_output(text: &str, site: &str) -> Option<Link> {
    let words = text.split_whitespace();
    let is_link = |word: &&str| {
        let has_token = ["?token=", "&token=", "passwordResetToken="];
        word.contains("://") && has_token.iter().any(|part| word.contains(part))
    };
    let written = words.into_iter().rfind(is_link)?;
    let start = written.find("http")?;
    let written = written.get(start..)?;
    let path = written.find("/user/")?;
    let (origin, rest) = written.split_at_checked(path)?;
    let site = site.trim_end_matches('/');
    let url = format!("{site}{rest}");
    // A base with a slash at its end gives two, which lead to the page for the login.
    let instead_of = (url != written)
        .then(|| format!("{origin}{}", if origin.ends_with('/') { "/" } else { "" }));
    Some(Link { url, instead_of })
}

/// The link with which somebody who has an account sets a new password, out of the one that the same
/// script wrote for a new account: that one leads who has ever logged in to the page for the login.
#[must_use]
pub fn for_reset(link: &Link, email: &Email, site: &str) -> Option<Link> {
    let query = link.url.split_once('?').map(|(_, query)| query)?;
    let mut fields = query.split('&').filter_map(|field| field.split_once('='));
    let (_, token) = fields.find(|(name, _)| matches!(*name, "token" | "passwordResetToken"))?;
    let site = site.trim_end_matches('/');
    let email = email.as_str();
    Some(Link {
        url: format!(
            "{site}{SET_PAGE}?passwordResetToken={token}&email={}",
            percent::encoded(email)
        ),
        instead_of: link.instead_of.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: &str = "https://tex.example.org";

    #[test]
    fn a_link_is_found_and_comes_under_the_site() {
        let written =
            "\nSuccessfully created a@example.org as a user.\n\nOpen this to set a password:\n\n  ";
        for (link, site, expected, instead_of) in [
            (
                "https://tex.example.org/user/activate?token=abc&user_id=1",
                SITE,
                "https://tex.example.org/user/activate?token=abc&user_id=1",
                None,
            ),
            (
                "http://localhost/user/activate?token=abc&user_id=1",
                "https://tex.example.org/",
                "https://tex.example.org/user/activate?token=abc&user_id=1",
                Some("http://localhost"),
            ),
            (
                "https://tex.example.org//user/activate?token=abc&user_id=1",
                SITE,
                "https://tex.example.org/user/activate?token=abc&user_id=1",
                Some("https://tex.example.org//"),
            ),
            (
                "http://localhost/user/password/set?passwordResetToken=abc",
                "http://localhost:8080",
                "http://localhost:8080/user/password/set?passwordResetToken=abc",
                Some("http://localhost"),
            ),
        ] {
            let found = of_output(&format!("{written}{link}\n\n\n"), site).unwrap();
            assert_eq!(found.url, expected);
            assert_eq!(found.instead_of.as_deref(), instead_of, "{link}");
        }
        assert_eq!(of_output("https://tex.example.org/login\n", SITE), None);
    }

    #[test]
    fn a_new_password_has_a_page_of_its_own() {
        let text = "http://localhost/user/activate?token=abc&user_id=1";
        let link = of_output(text, SITE).unwrap();
        let email = "a+b@example.org".parse().unwrap();
        let link = for_reset(&link, &email, SITE).unwrap();
        assert_eq!(
            link.url,
            "https://tex.example.org/user/password/set?passwordResetToken=abc&email=a%2Bb%40example.org"
        );
        assert_eq!(link.instead_of.as_deref(), Some("http://localhost"));
    }
}
