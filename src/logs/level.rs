//! Levels in bunyan's numbers, from 10 (trace) to 60 (fatal).

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// How serious a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level(pub u16);

/// The text is not a level.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "`{0}` is not a level; write trace, debug, info, warn, error, fatal or a number such as 50"
)]
pub struct LevelError(pub String);

const NAMES: [(&str, Level); 6] = [
    ("trace", Level(10)),
    ("debug", Level(20)),
    ("info", Level::INFO),
    ("warn", Level::WARN),
    ("error", Level::ERROR),
    ("fatal", Level::FATAL),
];

impl Level {
    /// What goes as it should.
    pub const INFO: Self = Self(30);
    /// What somebody should look at some day.
    pub const WARN: Self = Self(40);
    /// What failed.
    pub const ERROR: Self = Self(50);
    /// What ends the service.
    pub const FATAL: Self = Self(60);

    /// The level that a word of some log means.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        let lower = word.to_ascii_lowercase();
        let known = NAMES.iter().find(|(name, _)| *name == lower);
        if let Some((_, level)) = known {
            return Some(*level);
        }
        Some(match lower.as_str() {
            "verbose" | "finest" => Self(10),
            "notice" | "information" => Self::INFO,
            "warning" => Self::WARN,
            "err" | "severe" => Self::ERROR,
            "crit" | "critical" | "alert" | "emerg" | "emergency" | "panic" => Self::FATAL,
            _ => return None,
        })
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(_, level)| level == self) {
            Some((name, _)) => f.pad(name),
            None => f.pad(&self.0.to_string()),
        }
    }
}

impl FromStr for Level {
    type Err = LevelError;

    fn from_str(text: &str) -> Result<Self, LevelError> {
        let number = text.parse().ok().map(Self);
        number
            .or_else(|| Self::of_word(text))
            .ok_or_else(|| LevelError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_a_name_or_a_number() {
        for (text, number) in [
            ("trace", 10),
            ("INFO", 30),
            ("warning", 40),
            ("50", 50),
            ("35", 35),
            ("crit", 60),
        ] {
            assert_eq!(text.parse(), Ok(Level(number)), "{text}");
        }
        assert!("loud".parse::<Level>().is_err());
        assert_eq!(format!("{:<5}|{}", Level::WARN, Level(35)), "warn |35");
    }
}
