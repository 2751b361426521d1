//! Known failures: what an exit code or a line of a log means, and what to do. The rows are in
//! `lib/diagnoses.toml`, embedded; the first that matches is the diagnosis.

pub mod log;

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
    /// Lowest version of the image that shows it, by the number in the image's tag.
    pub image_from: Option<String>,
    /// First and last release of the kernel on which it happens.
    pub kernel: Option<(String, String)>,
    /// Whether the kernel ended it for lack of memory.
    pub out_of_memory: Option<bool>,
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

/// What a service showed. What is unknown is left empty and rules no diagnosis out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Symptom<'a> {
    /// The service.
    pub service: &'a str,
    /// Exit code of its container.
    pub exit_code: Option<i64>,
    /// The last lines of its log, or the engine's answer.
    pub log: &'a [String],
    /// Reference of its image.
    pub image: &'a str,
    /// Release of the kernel it runs on, as `uname -r` prints it.
    pub kernel: &'a str,
    /// Whether the kernel ended it for lack of memory.
    pub out_of_memory: Option<bool>,
}

/// Finds the diagnosis for what a service showed.
///
/// Returns `None` for an unknown failure, and if the embedded file were broken, which a test
/// prevents: a failure is reported without a diagnosis rather than not at all.
#[must_use]
pub fn find(symptom: &Symptom<'_>) -> Option<Diagnosis> {
    let file: File = toml::from_str(DIAGNOSES_TOML).ok()?;
    let log = symptom.log.join("\n").to_lowercase();
    let name = symptom.image.split('@').next().unwrap_or_default();
    let tag = name.rsplit_once(':').map(|(_, tag)| tag);
    let (image, kernel) = (tag.and_then(numbers), numbers(symptom.kernel));
    let matches = |row: &Diagnosis| {
        row.service.as_ref().is_none_or(|of| of == symptom.service)
            && row
                .exit_code
                .is_none_or(|code| symptom.exit_code == Some(code))
            && row
                .log
                .as_ref()
                .is_none_or(|text| log.contains(&text.to_lowercase()))
            && is_possible(&row.image_from, &image, |from, image| {
                numbers(from).is_some_and(|from| *image >= from)
            })
            && is_possible(&row.kernel, &kernel, |(from, to), kernel| {
                numbers(from).is_some_and(|from| *kernel >= from)
                    && numbers(to).is_some_and(|to| *kernel <= to)
            })
            && is_possible(&row.out_of_memory, &symptom.out_of_memory, |a, b| a == b)
    };
    file.diagnosis.into_iter().find(matches)
}

/// Whether what a row asks for is not ruled out by what is known.
fn is_possible<A, B>(asked: &Option<A>, known: &Option<B>, fits: impl Fn(&A, &B) -> bool) -> bool {
    match (asked, known) {
        (Some(asked), Some(known)) => fits(asked, known),
        _ => true,
    }
}

/// The numbers at the beginning of a version: 8, 0 and 4 of `8.0.4-noble`; `None` for a hash or a
/// word.
fn numbers(version: &str) -> Option<Vec<u64>> {
    let end = version.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (digits, rest) = version.split_at(end.unwrap_or(version.len()));
    if rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/') {
        return None;
    }
    let numbers: Vec<u64> = digits.split('.').map_while(|n| n.parse().ok()).collect();
    (!numbers.is_empty()).then_some(numbers)
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
        let fine = ["fine".to_owned()];
        let unknown = Symptom {
            service: "sharelatex",
            exit_code: Some(3),
            log: &fine,
            ..Symptom::default()
        };
        assert_eq!(find(&unknown), None);
        assert_eq!(
            decode(137),
            "137 (ended by SIGKILL, out of memory or stopped too slowly)"
        );
        assert_eq!(decode(2), "2");
    }

    #[test]
    fn kernel_version_and_memory_tell_causes_apart() {
        let (in_range, fixed, old) = ("6.19.1-arch1-1", "7.0.14", "6.1.0-40-amd64");
        for (exit_code, image, kernel, out_of_memory, expected) in [
            (132, "", "", None, "MONGO_NO_AVX"),
            (132, "mongo:5.0", old, Some(false), "MONGO_NO_AVX"),
            (
                132,
                "mongo:4.4",
                old,
                Some(false),
                "EXIT_ILLEGAL_INSTRUCTION",
            ),
            (
                139,
                "mongo:8.0.4",
                in_range,
                Some(false),
                "MONGO_KERNEL_CRASH",
            ),
            (
                139,
                "mongo:8.0",
                "7.0.13",
                Some(false),
                "MONGO_KERNEL_CRASH",
            ),
            (139, "host:5000/mongo:8", "", None, "MONGO_KERNEL_CRASH"),
            (139, "mongo@sha256:0a", in_range, None, "MONGO_KERNEL_CRASH"),
            (139, "mongo:8.0", fixed, Some(false), "MONGO_CRASH"),
            (139, "mongo:8.0", old, Some(false), "MONGO_CRASH"),
            (139, "mongo:7.0", in_range, Some(false), "MONGO_CRASH"),
            (137, "mongo:8.0", old, Some(true), "MONGO_OUT_OF_MEMORY"),
            (137, "mongo:8.0", old, Some(false), "MONGO_KILLED"),
            (14, "mongo:8.0", old, Some(false), "MONGO_EXIT_STORAGE"),
            (
                62,
                "mongo:8.0",
                old,
                Some(false),
                "MONGO_EXIT_DATA_INCOMPATIBLE",
            ),
            (100, "mongo:8.0", old, Some(false), "MONGO_EXIT_START"),
        ] {
            let symptom = Symptom {
                service: "mongo",
                exit_code: Some(exit_code),
                image,
                kernel,
                out_of_memory,
                ..Symptom::default()
            };
            let found = find(&symptom).map(|row| row.id);
            assert_eq!(found.as_deref(), Some(expected), "{symptom:?}");
        }
        for (service, expected) in [
            ("redis", ["REDIS_OUT_OF_MEMORY", "REDIS_KILLED"]),
            (
                "sharelatex",
                ["EXIT_APPLICATION_OUT_OF_MEMORY", "EXIT_KILLED"],
            ),
            ("other", ["EXIT_OUT_OF_MEMORY", "EXIT_SIGKILL"]),
        ] {
            for (out_of_memory, expected) in [true, false].into_iter().zip(expected) {
                let symptom = Symptom {
                    service,
                    exit_code: Some(137),
                    out_of_memory: Some(out_of_memory),
                    ..Symptom::default()
                };
                assert_eq!(find(&symptom).unwrap().id, expected);
            }
        }
    }
}
