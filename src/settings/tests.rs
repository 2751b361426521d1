//! Settings out of whole files: layers, types, and what goes wrong.

use super::*;

const RC: &str = "PROJECT_NAME=overleaf\nOVERLEAF_DATA_PATH=data/overleaf\nMONGO_DATA_PATH=data/mongo\nMONGO_IMAGE=mongo\nMONGO_VERSION=8.0\nREDIS_IMAGE=redis:7.4\n";

fn resolved(rc: &str, version: &str) -> Result<(Settings, Vec<Problem>), Vec<String>> {
    let sources = Sources {
        root: Path::new("/srv/overleaf"),
        rc,
        variables: "OVERLEAF_APP_NAME=x\n",
        version,
        dotenv: "",
        environment: &|_| None,
        canonical: &|path| Ok(path.to_path_buf()),
        is_folder: &|_| true,
    };
    resolve(&sources).map_err(|error| match error {
        SettingsError::Invalid(problems) => problems.into_iter().map(|p| p.text).collect(),
        other => vec![other.to_string()],
    })
}

#[test]
fn values_know_where_they_came_from() {
    let (settings, _) = resolved(RC, "6.2.2\n").unwrap();
    assert_eq!(settings.mongo.as_ref().unwrap().image, "mongo:8.0");
    assert_eq!(
        settings.sharelatex.data_path,
        Path::new("/srv/overleaf/data/overleaf")
    );
    assert_eq!(settings.origin("OVERLEAF_PORT"), Some(&Origin::Default));
    let Some(Origin::File(place)) = settings.origin("MONGO_VERSION") else {
        panic!()
    };
    assert_eq!(place.to_string(), "/srv/overleaf/config/overleaf.rc:5:1");
    assert_eq!(settings.variable("OVERLEAF_APP_NAME"), Some("x"));
}

#[test]
fn every_problem_is_found_in_one_run() {
    let rc = format!("{RC}OVERLEAF_PORT=http\nOVERLEAF_LISTEN_IP=here\nEDITION=gold\n");
    assert_eq!(
        resolved(&rc, "6.2").unwrap_err(),
        [
            "OVERLEAF_PORT: `http` is not a port",
            "OVERLEAF_LISTEN_IP: `here` is not an IP address",
            "EDITION: `gold` is not a value for it",
            "`6.2` is not an Overleaf version; write it as `6.2.2`",
        ]
    );
}

#[test]
fn a_misspelt_setting_is_named() {
    let (_, warnings) = resolved(&format!("{RC}OVERLEAF_PROT=81\nBASE=/x\n"), "6.2.2").unwrap();
    let texts: Vec<_> = warnings
        .iter()
        .map(|w| (w.text.as_str(), w.advice.as_str()))
        .collect();
    assert_eq!(
        texts,
        [(
            "`OVERLEAF_PROT` is not a setting",
            "did you mean `OVERLEAF_PORT`?"
        )]
    );
}

#[test]
fn git_bridge_needs_an_edition_that_has_it() {
    let rc = format!("{RC}GIT_BRIDGE_ENABLED=true\nGIT_BRIDGE_DATA_PATH=data/git-bridge\n");
    let (settings, warnings) = resolved(&rc, "6.2.2").unwrap();
    assert!(settings.git_bridge.is_none());
    assert_eq!(warnings.len(), 1);
    let (settings, _) = resolved(&format!("{rc}SERVER_PRO=true\n"), "6.2.2").unwrap();
    assert!(settings.git_bridge.is_some());
    assert_eq!(settings.edition, Edition::ServerPro);
}

/// Settings of an instance below `/srv/overleaf`, with the environment and the file system that a
/// case needs.
struct Case<'a> {
    rc: &'a str,
    variables: &'a str,
    version: &'a str,
    dotenv: &'a str,
    environment: &'a [(&'a str, &'a str)],
    missing: &'a [&'a str],
}

const CASE: Case<'_> = Case {
    rc: RC,
    variables: "",
    version: "6.2.2\n",
    dotenv: "",
    environment: &[],
    missing: &[],
};

impl Case<'_> {
    fn resolve(&self) -> Result<(Settings, Vec<Problem>), Vec<Problem>> {
        let sources = Sources {
            root: Path::new("/srv/overleaf"),
            rc: self.rc,
            variables: self.variables,
            version: self.version,
            dotenv: self.dotenv,
            environment: &|name| {
                let known = self.environment.iter().find(|(known, _)| *known == name);
                known.map(|(_, value)| (*value).to_owned())
            },
            canonical: &|path| {
                if path.ends_with("loop") {
                    Err("it leads round in a circle".to_owned())
                } else {
                    Ok(path.to_path_buf())
                }
            },
            is_folder: &|path| !self.missing.iter().any(|missing| path.ends_with(missing)),
        };
        resolve(&sources).map_err(|error| match error {
            SettingsError::Invalid(problems) => problems,
            other => panic!("{other}"),
        })
    }

    /// The settings, when nothing is wrong.
    fn settings(&self) -> Settings {
        match self.resolve() {
            Ok((settings, _)) => settings,
            Err(problems) => panic!("{problems:?}"),
        }
    }

    /// Every problem as `file:line: text`, errors and warnings.
    fn problems(&self) -> Vec<String> {
        let problems = match self.resolve() {
            Ok((_, warnings)) => warnings,
            Err(problems) => problems,
        };
        let shown = problems.iter().map(|problem| {
            assert!(!problem.advice.is_empty(), "{problem:?}");
            let place = problem.place.as_ref().unwrap();
            let file = place.file.file_name().unwrap().to_string_lossy();
            format!("{file}:{}: {}", place.line, problem.text)
        });
        shown.collect()
    }

    fn is_refused(&self) -> bool {
        self.resolve().is_err()
    }
}

#[test]
fn the_environment_supplies_only_what_the_catalogue_says() {
    let environment = [
        ("OVERLEAF_LISTEN_IP", "10.0.0.1"),
        ("OVERLEAF_PORT", "81"),
        ("MONGO_VERSION", "4.0"),
    ];
    let case = Case {
        environment: &environment,
        ..CASE
    };
    let settings = case.settings();
    assert_eq!(settings.sharelatex.listen_ip, "10.0.0.1");
    assert_eq!(settings.sharelatex.port, "80");
    let origin = settings.origin("OVERLEAF_LISTEN_IP");
    assert_eq!(origin, Some(&Origin::Environment));
    let without_version = RC.replace("MONGO_VERSION=8.0\n", "");
    let case = Case {
        rc: &without_version,
        ..case
    };
    assert_eq!(
        case.problems(),
        ["overleaf.rc:6: MONGO_VERSION: is not set"]
    );
}

#[test]
fn an_empty_value_counts_as_missing_where_the_catalogue_says_so() {
    let rc = format!(
        "{RC}OVERLEAF_PORT=\nOVERLEAF_LISTEN_IP=null\nOVERLEAF_LOG_PATH=null\nREDIS_HOST=\n"
    );
    let settings = Case { rc: &rc, ..CASE }.settings();
    assert_eq!(settings.sharelatex.port, "80");
    assert_eq!(settings.sharelatex.listen_ip, "0.0.0.0");
    assert_eq!(settings.sharelatex.log_path, None);
    assert_eq!(settings.redis_host, "");
}

#[test]
fn a_line_may_refer_to_a_default_and_to_the_release() {
    let rc = format!(
        "{RC}OVERLEAF_DATA_PATH=$TOOLKIT_ROOT/$REDIS_HOST\nREDIS_IMAGE=own/redis:$IMAGE_VERSION_MAJOR\n"
    );
    let settings = Case { rc: &rc, ..CASE }.settings();
    assert_eq!(
        settings.sharelatex.data_path,
        Path::new("/srv/overleaf/redis")
    );
    assert_eq!(settings.redis.unwrap().image, "own/redis:6");
}

#[test]
fn an_empty_project_name_falls_back_as_docker_compose_does() {
    let rc = format!("{RC}PROJECT_NAME=\n");
    let case = Case { rc: &rc, ..CASE };
    let settings = case.settings();
    assert_eq!(settings.project_name, "lib");
    assert!(!settings.is_project_named);
    let case = Case {
        dotenv: "COMPOSE_PROJECT_NAME=other\n",
        ..case
    };
    let settings = case.settings();
    assert_eq!(settings.project_name, "other");
    assert!(settings.is_project_named);
    let case = Case {
        environment: &[("COMPOSE_PROJECT_NAME", "Not One")],
        ..case
    };
    assert!(case.is_refused());
}

#[test]
fn mongo_is_named_by_image_and_version() {
    let rest = RC
        .replace("MONGO_IMAGE=mongo\n", "")
        .replace("MONGO_VERSION=8.0\n", "");
    for (lines, image, shell) in [
        (
            "MONGO_IMAGE=mongo\nMONGO_VERSION=8.0\n",
            "mongo:8.0",
            "mongosh",
        ),
        (
            "MONGO_IMAGE=mongo\nMONGO_VERSION=5.0-own\n",
            "mongo:5.0-own",
            "mongo",
        ),
        ("MONGO_IMAGE=mongo:4.4\n", "mongo:4.4", "mongo"),
        (
            "MONGO_IMAGE=host:5000/mongo\nMONGO_VERSION=8.0\n",
            "host:5000/mongo:8.0",
            "mongosh",
        ),
        (
            "MONGO_IMAGE=mongo@sha256:ab\nMONGO_VERSION=5.0\n",
            "mongo@sha256:ab",
            "mongo",
        ),
        (
            "MONGO_IMAGE=mongo:8.0\nMONGO_VERSION=8.0\n",
            "mongo:8.0",
            "mongosh",
        ),
        (
            "MONGO_IMAGE=mongo\nMONGO_VERSION=8.0\nMONGO_DOCKER_IMAGE=own:1\nMONGOSH=sh\n",
            "own:1",
            "sh",
        ),
    ] {
        let rc = format!("{rest}{lines}");
        let settings = Case { rc: &rc, ..CASE }.settings();
        assert_eq!(settings.mongo.unwrap().image, image, "{lines}");
        assert_eq!(settings.mongo_shell, shell, "{lines}");
    }
    for lines in [
        "",
        "MONGO_VERSION=8.0\n",
        "MONGO_IMAGE=mongo\n",
        "MONGO_IMAGE=mongo:6\n",
        "MONGO_IMAGE=own/mongo:4.4\n",
        "MONGO_IMAGE=mongo\nMONGO_VERSION=latest\n",
        "MONGO_IMAGE=mongo\nMONGO_VERSION=8\n",
        "MONGO_IMAGE=mongo:7.0\nMONGO_VERSION=8.0\n",
    ] {
        let rc = format!("{rest}{lines}");
        assert!(Case { rc: &rc, ..CASE }.is_refused(), "{lines}");
        let rc = format!("{rc}MONGO_ENABLED=false\n");
        assert!(!Case { rc: &rc, ..CASE }.is_refused(), "{lines}");
    }
}

#[test]
fn names_of_the_other_brand_are_refused_and_comments_are_not() {
    for (rc, variables, version, expected) in [
        (
            "SHARELATEX_PORT=1\n",
            "",
            "6.2.2",
            Some("`SHARELATEX_PORT` is the old name of a setting and has no effect"),
        ),
        (
            "# SHARELATEX_PORT=1\n",
            "# SHARELATEX_X=1\nA=SHARELATEX_\n",
            "6.2.2",
            None,
        ),
        (
            "",
            "SHARELATEX_X=1\n",
            "6.2.2",
            Some(
                "`SHARELATEX_X` has no effect: Overleaf 6.2.2 reads names that begin with `OVERLEAF_`",
            ),
        ),
        (
            "",
            "OVERLEAF_X=1\n",
            "4.2.0",
            Some(
                "`OVERLEAF_X` has no effect: Overleaf 4.2.0 reads names that begin with `SHARELATEX_`",
            ),
        ),
        ("", "SHARELATEX_X=1\n", "4.2.0", None),
        (
            "",
            "TEXMFVAR=/var/lib/sharelatex/tmp/texmf-var\n",
            "4.2.0",
            None,
        ),
        (
            "",
            "TEXMFVAR=/var/lib/sharelatex/tmp/texmf-var\n",
            "5.0.0",
            Some("`TEXMFVAR` names a folder that is not there from Overleaf 5.0 on"),
        ),
        (
            "",
            "# TEXMFVAR=/var/lib/sharelatex/tmp/texmf-var\n",
            "5.0.0",
            None,
        ),
        (
            "",
            "TEXMFVAR=\"/var/lib/sharelatex/tmp/texmf-var\"\n",
            "5.0.0",
            None,
        ),
    ] {
        let rc = format!("{RC}{rc}");
        let case = Case {
            rc: &rc,
            variables,
            version,
            ..CASE
        };
        let first = case.resolve().err().map(|problems| problems[0].clone());
        assert_eq!(
            first.as_ref().map(|problem| problem.text.as_str()),
            expected
        );
        if let Some(problem) = first {
            assert!(
                problem.advice.contains("toolkit config migrate"),
                "{problem:?}"
            );
        }
    }
}

#[test]
fn only_the_first_line_of_the_version_file_counts() {
    for version in ["6.2.2", "6.2.2\n", "6.2.2\r\n", "6.2.2\nnotes\n"] {
        assert_eq!(
            Case { version, ..CASE }.settings().version.to_string(),
            "6.2.2"
        );
    }
    for version in [
        "",
        "\n6.2.2",
        " 6.2.2",
        "6.2.2 ",
        "4.1",
        "08.1.0",
        "6.2.2-foo",
    ] {
        assert!(Case { version, ..CASE }.is_refused(), "{version:?}");
    }
}

#[test]
fn a_folder_behind_a_missing_disk_is_not_made() {
    for (line, expected) in [
        (
            "OVERLEAF_DATA_PATH=/mnt/disk/data\n",
            Some("OVERLEAF_DATA_PATH: `/mnt/disk` is not a folder"),
        ),
        ("OVERLEAF_DATA_PATH=data/disk/data\n", None),
        (
            "OVERLEAF_DATA_PATH=data/loop\n",
            Some("OVERLEAF_DATA_PATH: it leads round in a circle"),
        ),
        (
            "OVERLEAF_DATA_PATH=data/a:b\n",
            Some(
                "OVERLEAF_DATA_PATH: a path cannot hold a colon, which separates the parts of a mount",
            ),
        ),
        ("GIT_BRIDGE_DATA_PATH=/mnt/disk/data\n", None),
    ] {
        let rc = format!("{RC}{line}");
        let case = Case {
            rc: &rc,
            missing: &["disk"],
            ..CASE
        };
        let first = case
            .resolve()
            .err()
            .map(|problems| problems[0].text.clone());
        assert_eq!(first.as_deref(), expected, "{line}");
    }
}

#[test]
fn a_socket_is_a_path_of_the_definitions() {
    for (path, expected) in [
        ("/run/docker.sock", Some("/run/docker.sock")),
        ("./docker.sock", Some("/srv/overleaf/lib/docker.sock")),
        ("../run/docker.sock", Some("/srv/overleaf/run/docker.sock")),
        ("docker.sock", None),
    ] {
        let rc = format!(
            "{RC}EDITION=pro\nSIBLING_CONTAINERS_ENABLED=true\nDOCKER_SOCKET_PATH={path}\n"
        );
        let resolved = Case { rc: &rc, ..CASE }.resolve();
        let socket = resolved
            .ok()
            .and_then(|(settings, _)| settings.sibling_socket);
        assert_eq!(socket.as_deref(), expected);
    }
}

#[test]
fn a_missing_key_is_reported_where_it_could_stand() {
    let rc = format!(
        "# MONGO_DATA_PATH=data/mongo\n{}",
        RC.replace("MONGO_DATA_PATH=data/mongo\n", "")
    );
    let case = Case { rc: &rc, ..CASE };
    assert_eq!(
        case.problems(),
        ["overleaf.rc:1: MONGO_DATA_PATH: is not set"]
    );
    // A line that cannot be read is reported once, and not as missing as well.
    let rc = RC.replace("MONGO_DATA_PATH=data/mongo", "MONGO_DATA_PATH=$(pwd)");
    assert_eq!(Case { rc: &rc, ..CASE }.problems().len(), 1);
    assert_eq!(
        Case { rc: "", ..CASE }.problems(),
        [
            "overleaf.rc:1: MONGO_IMAGE: is not set",
            "overleaf.rc:1: MONGO_DATA_PATH: is not set"
        ]
    );
}

#[test]
fn a_release_without_the_git_integration_does_not_run_it() {
    let rc = format!("{RC}EDITION=pro\nGIT_BRIDGE_ENABLED=true\n");
    for (version, is_on) in [("3.5.13", false), ("4.0.1", true), ("6.2.2", true)] {
        let settings = Case {
            rc: &rc,
            version,
            ..CASE
        }
        .settings();
        assert_eq!(settings.git_bridge.is_some(), is_on, "{version}");
    }
}

#[test]
fn names_of_compose_never_show_their_values() {
    let case = Case {
        variables: "A=$SECRET\nB=marker\n",
        environment: &[("SECRET", "marker")],
        dotenv: "C=marker\n",
        ..CASE
    };
    let settings = case.settings();
    assert_eq!(settings.variable("A"), Some("marker"));
    assert!(!format!("{settings:?}").contains("marker"));
}
