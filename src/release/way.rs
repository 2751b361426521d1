//! Which release leads to which in one step.

use thiserror::Error;

use super::{Release, Version};

/// Why no single step leads from a release to another.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The data of the newer one cannot be read by the older one.
    #[error("it is older than what is there")]
    Older,
    /// It was withdrawn.
    #[error("it was withdrawn: {because}")]
    Withdrawn {
        /// Why.
        because: String,
    },
    /// There is one in between on which something has to be done first.
    #[error("the way halts on {stop}: {because}")]
    Stop {
        /// The release to halt on.
        stop: Version,
        /// What has to be done there.
        because: String,
    },
}

pub(super) fn one_step(releases: &[Release], from: &Version, to: &Version) -> Result<(), Refusal> {
    let (first, last) = (from.numbers(), to.numbers());
    if to.is_before(from) {
        return Err(Refusal::Older);
    }
    let same = releases
        .iter()
        .find(|release| release.version.numbers() == last);
    if let Some(because) = same.and_then(|release| release.retracted.clone()) {
        return Err(Refusal::Withdrawn { because });
    }
    let mut between = releases.iter().filter(|release| {
        let numbers = release.version.numbers();
        numbers > first && numbers < last
    });
    let stop = between.find_map(|release| Some((&release.version, release.stop.clone()?)));
    match stop {
        Some((stop, because)) => Err(Refusal::Stop {
            stop: stop.clone(),
            because,
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Catalogue;
    use super::*;

    fn step(from: &str, to: &str) -> String {
        let catalogue = Catalogue::load().unwrap();
        let step = catalogue.one_step(&from.parse().unwrap(), &to.parse().unwrap());
        match step {
            Ok(()) => "goes".to_owned(),
            Err(Refusal::Older) => "older".to_owned(),
            Err(Refusal::Withdrawn { .. }) => "withdrawn".to_owned(),
            Err(Refusal::Stop { stop, .. }) => format!("halts on {stop}"),
        }
    }

    #[test]
    fn a_way_halts_on_the_first_stop_between() {
        for (from, to, expected) in [
            ("6.2.1", "6.2.2", "goes"),
            ("6.2.2", "6.2.2", "goes"),
            ("5.5.8", "6.2.2", "goes"),
            ("5.4.1", "6.2.2", "halts on 5.5.8"),
            ("4.2.3", "6.2.2", "halts on 4.2.9"),
            ("4.2.3", "4.2.9", "goes"),
            ("4.2.9", "5.5.8", "goes"),
            ("6.2.2", "6.1.0", "older"),
            ("6.2.2", "6.2.2-RC1", "older"),
            ("6.2.2-RC1", "6.2.2", "goes"),
            ("6.2.0-ext-v9.0", "6.2.0-ext-v10.0", "goes"),
            ("6.2.2-with-texlive-full", "6.2.2", "goes"),
            ("4.2.9", "5.0.1", "withdrawn"),
            // One that is not in the catalogue may still be newer than all in it.
            ("6.2.2", "99.0.0", "goes"),
        ] {
            assert_eq!(step(from, to), expected, "{from} → {to}");
        }
    }
}
