//! What lint says goes with what resolving the settings says.

use std::path::Path;

use super::super::{Changes, Input, check};
use super::{expect_rc, expect_variables, places};
use crate::settings::problem::ProblemKind;
use crate::settings::{self, Sources};

#[test]
fn what_up_refuses_is_an_error_on_the_same_file() {
    for (rc, variables, version, dotenv) in [
        ("OVERLEAF_LISTEN_IP=::1\n", "", "6.2.2", ""),
        ("SHARELATEX_FOO=1\n", "", "6.2.2", ""),
        ("MONGO_ENABLED=true\n", "", "6.2.2 \n", ""),
        ("", "SHARELATEX_APP_NAME=x\n", "6.2.2", ""),
        ("", "OVERLEAF_APP_NAME=x\n", "4.2.9", ""),
        (
            "",
            "TEXMFVAR=/var/lib/sharelatex/tmp/texmf-var\n",
            "5.5.8",
            "",
        ),
        ("", "", "6.2.2", "A B=1\n"),
        ("EDITION=ce\nSERVER_PRO=true\n", "", "6.2.2", ""),
    ] {
        let sources = Sources {
            root: Path::new("/srv"),
            rc,
            variables,
            version,
            dotenv,
            environment: &|_| None,
            canonical: &|path| Ok(path.to_path_buf()),
            is_folder: &|_| true,
        };
        let input = Input {
            sources: &sources,
            mode: &|_| None,
            further: Vec::new(),
            other_line: &|_, _| None,
            changes: Changes::default(),
        };
        let report = check(&input).unwrap();
        let Err(settings::SettingsError::Invalid(refused)) = settings::resolve(&sources) else {
            panic!("not refused: {rc}{variables}{version}{dotenv}");
        };
        let errors = refused.iter().filter(|one| one.kind == ProblemKind::Error);
        for refusal in errors {
            let is_said = report.findings.iter().any(|found| {
                found.problem.kind == ProblemKind::Error && found.problem.place == refusal.place
            });
            assert!(is_said, "{refusal:?} in {:?}", places(&report));
        }
    }
}

#[test]
fn a_name_that_the_toolkit_gives_a_meaning_is_no_dollar_into_nothing() {
    expect_variables("A=$COMPOSE_PROJECT_NAME:$OVERLEAF_PORT\n", &[]);
    expect_rc("OVERLEAF_PORT=$TLS_PORT\n", &[]);
}
