//! Known failures: what an exit code or a line of a log means, and what to do. The rows are in
//! `lib/diagnoses.toml`, embedded; the first that matches is the diagnosis.

use serde::Deserialize;

const DIAGNOSES_TOML: &str = include_str!("../lib/diagnoses.toml");

/// One known failure.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Diagnosis {
    /// Stable identifier.
    pub id: String,
    /// Service that can show it; `None` for any.
    pub service: Option<String>,
    /// Exit code that goes with it.
    pub exit_code: Option<i64>,
    /// Text that the log contains, compared without regard to case.
    pub log: Option<String>,
    /// What it means.
    pub text: String,
    /// What to do.
    pub fix: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    diagnosis: Vec<Diagnosis>,
}

/// Finds the diagnosis for what a service showed.
///
/// Returns `None` for an unknown failure, and if the embedded file were broken, which a test
/// prevents: a failure is reported without a diagnosis rather than not at all.
#[must_use]
pub fn find(service: &str, exit_code: Option<i64>, log: &[String]) -> Option<Diagnosis> {
    let file: File = toml::from_str(DIAGNOSES_TOML).ok()?;
    let log = log.join("\n").to_lowercase();
    file.diagnosis.into_iter().find(|row| {
        row.service.as_ref().is_none_or(|of| of == service)
            && row.exit_code.is_none_or(|code| exit_code == Some(code))
            && row
                .log
                .as_ref()
                .is_none_or(|text| log.contains(&text.to_lowercase()))
    })
}

/// What an exit code says by itself: `137 (killed by SIGKILL)`.
#[must_use]
pub fn decode(exit_code: i64) -> String {
    let signal = match exit_code - 128 {
        4 => "SIGILL, an instruction this processor does not have",
        6 => "SIGABRT",
        7 => "SIGBUS",
        9 => "SIGKILL, out of memory or stopped too slowly",
        11 => "SIGSEGV, a crash",
        15 => "SIGTERM",
        _ => {
            return match exit_code {
                126 => "126 (the program cannot be executed)".to_owned(),
                127 => "127 (the program does not exist)".to_owned(),
                _ => exit_code.to_string(),
            };
        }
    };
    format!("{exit_code} (ended by {signal})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_rows_load_and_say_something() {
        let file: File = toml::from_str(DIAGNOSES_TOML).unwrap();
        let mut ids: Vec<&str> = file.diagnosis.iter().map(|row| row.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), file.diagnosis.len(), "an id stands twice");
        for row in &file.diagnosis {
            assert!(
                row.exit_code.is_some() || row.log.is_some(),
                "{} matches everything",
                row.id
            );
            assert!(!row.text.is_empty() && !row.fix.is_empty(), "{}", row.id);
        }
    }

    #[test]
    fn a_crash_is_decoded() {
        assert_eq!(find("mongo", Some(132), &[]).unwrap().id, "MONGO_NO_AVX");
        assert_eq!(find("sharelatex", Some(3), &["fine".to_owned()]), None);
        assert_eq!(
            decode(137),
            "137 (ended by SIGKILL, out of memory or stopped too slowly)"
        );
        assert_eq!(decode(2), "2");
    }
}
