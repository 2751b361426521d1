//! `toolkit config migrate` and its aliases.

use std::os::unix::fs::PermissionsExt;

use super::sandbox::Sandbox;

const RC: &str = "# SHARELATEX_PORT=81\r\nPROJECT_NAME=overleaf\r\nSHARELATEX_DATA_PATH=data/sharelatex\r\nSHARELATEX_PORT=8080\r\nMONGO_IMAGE=mongo:4.4\r\nMONGO_DATA_PATH=data/mongo\r\nREDIS_IMAGE=redis:6.2\r\nMONGO_URL=mongodb://u:hunter2@mongo/sharelatex";

const VARIABLES: &str = "\u{feff}# The site\nSHARELATEX_SITE_URL=https://tex.example.org\nSHARELATEX_EMAIL_SMTP_PASS='hunter2'\nTEXMFVAR=/var/lib/sharelatex/tmp/texmf-var\nCOMPILE_TIMEOUT=300\n";

fn old(version: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("config/overleaf.rc", RC);
    sandbox.write("config/variables.env", VARIABLES);
    sandbox.write("config/version", version);
    sandbox
}

fn texts(sandbox: &Sandbox) -> [String; 3] {
    ["overleaf.rc", "variables.env", "version"].map(|name| sandbox.read(&format!("config/{name}")))
}

#[test]
fn a_folder_of_4_x_becomes_one_of_5_x_in_one_step() {
    let sandbox = old("4.2.8\n");
    let file = sandbox.root().join("config/variables.env");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let ran = sandbox
        .run(&["config", "migrate", "--to", "5.5.5", "--yes"])
        .succeeded();
    assert!(
        !ran.all().contains("hunter2"),
        "a secret is shown: {}",
        ran.all()
    );
    // Shown or not, as the data about the variables has it.
    let shown = ran
        .stdout
        .replace("=/var/lib/sharelatex/tmp/texmf-var", "=…");
    insta::assert_snapshot!(shown);
    let [rc, variables, version] = texts(&sandbox);
    assert_eq!(version, "5.5.5\n");
    assert_eq!(
        rc,
        RC.replace("\nSHARELATEX_", "\nOVERLEAF_")
            .replace("mongo:4.4", "mongo\r\nMONGO_VERSION=4.4")
    );
    assert_eq!(
        variables,
        VARIABLES
            .replace("\nSHARELATEX_", "\nOVERLEAF_")
            .replace("TEXMFVAR=/var/lib/sharelatex/tmp/texmf-var\n", "")
    );
    assert_eq!(sandbox.read("config/overleaf.rc.bak"), RC);
    assert_eq!(sandbox.read("config/variables.env.bak"), VARIABLES);
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    sandbox.run(&["compose", "config"]).succeeded();
    let ran = sandbox.run(&["config", "migrate"]).succeeded();
    assert_eq!(
        (ran.stdout.as_str(), ran.stderr.as_str()),
        (
            "",
            "nothing to do: the names and values are those of today\n"
        )
    );
}

#[test]
fn below_5_0_the_old_names_of_the_variables_are_right() {
    let sandbox = old("4.2.8\n");
    let ran = sandbox.run(&["config", "migrate", "--yes"]).succeeded();
    assert!(ran.stderr.contains("--to 5.5.5"), "{}", ran.stderr);
    let [rc, variables, version] = texts(&sandbox);
    assert!(rc.contains("OVERLEAF_DATA_PATH=data/sharelatex\r\n"));
    assert_eq!(
        (variables.as_str(), version.as_str()),
        (VARIABLES, "4.2.8\n")
    );
}

#[test]
fn nothing_is_written_without_a_yes_or_in_a_dry_run() {
    let sandbox = old("5.5.5\n");
    sandbox.write(
        "config/docker-compose.override.yml",
        "services: {sharelatex: {environment: [SHARELATEX_A=1]}}\n",
    );
    let before = texts(&sandbox);
    let ran = sandbox.run(&["config", "migrate"]).ended_with(2);
    assert!(ran.stderr.contains("--yes"), "{}", ran.stderr);
    let ran = sandbox
        .run(&["config", "migrate", "--dry-run", "--format", "json"])
        .succeeded();
    let answer: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(answer["schema"], "toolkit.migrate/v1");
    assert_eq!(answer["data"]["written"], false);
    let warnings = answer["warnings"].as_array().unwrap();
    assert!(
        warnings.contains(&"`config/docker-compose.override.yml` still names `SHARELATEX_`".into()),
        "{warnings:?}"
    );
    let changes = answer["data"]["changes"].as_array().unwrap();
    let last = changes.last().unwrap();
    assert_eq!(changes.len(), 6);
    assert_eq!(last["file"], "config/variables.env");
    assert_eq!(
        (&last["change"], &last["line"]),
        (&"remove".into(), &4.into())
    );
    assert_eq!(texts(&sandbox), before);
    sandbox
        .run(&["config", "migrate", "--to", "5.0.0"])
        .ended_with(2);
}

#[test]
fn a_conflict_in_one_file_leaves_both_alone() {
    let sandbox = old("5.5.5\n");
    sandbox.write(
        "config/variables.env",
        "OVERLEAF_A=hunter1\nSHARELATEX_A=hunter2\n",
    );
    let before = texts(&sandbox);
    let ran = sandbox.run(&["config", "migrate", "--yes"]).ended_with(3);
    insta::assert_snapshot!(ran.stderr, @r"
    error: `SHARELATEX_A` and `OVERLEAF_A` are both set, to different values
      at:      [ROOT]/config/variables.env:2:1
      2 | SHARELATEX_A=…
        | ^
      fix:     keep the value that is right and remove the other line; `OVERLEAF_A` is on line 1
    error[CONFIG_INVALID]: the configuration has 1 error
      state:   nothing was changed
      fix:     mend these by hand; `toolkit config flatten` does it for lines that need a shell
    ");
    assert_eq!(texts(&sandbox), before);
}

#[test]
fn the_aliases_change_one_file_each() {
    let sandbox = old("5.5.5\n");
    sandbox.run(&["rename-rc-vars", "--yes"]).succeeded();
    let [rc, variables, _] = texts(&sandbox);
    assert!(rc.contains("\nOVERLEAF_PORT=8080"));
    assert_eq!(variables, VARIABLES);
    sandbox.write("config/overleaf.rc", RC);
    sandbox.run(&["rename-env-vars-5-0", "--yes"]).succeeded();
    let [rc, variables, _] = texts(&sandbox);
    assert_eq!(rc, RC);
    assert!(variables.contains("\nOVERLEAF_SITE_URL="));
}

const RC_OF_4_2: &str = "\
# Upstream text about SHARELATEX_DATA_PATH
PROJECT_NAME=overleaf
# SHARELATEX_IMAGE_NAME=sharelatex/sharelatex
SHARELATEX_DATA_PATH=data/sharelatex
SERVER_PRO=true
SHARELATEX_LISTEN_IP=127.0.0.1
SHARELATEX_PORT=8080
SIBLING_CONTAINERS_ENABLED=true
DOCKER_SOCKET_PATH=/var/run/docker.sock
MONGO_ENABLED=true
MONGO_DATA_PATH=data/mongo
MONGO_IMAGE=mongo:6.0
REDIS_ENABLED=true
REDIS_DATA_PATH=data/redis
REDIS_IMAGE=redis:6.2
REDIS_AOF_PERSISTENCE=true
GIT_BRIDGE_ENABLED=true
GIT_BRIDGE_IMAGE=quay.io/sharelatex/git-bridge:4.2.8
GIT_BRIDGE_DATA_PATH=data/git-bridge
NGINX_ENABLED=false
";

const VARIABLES_OF_4_2: &str = "\
SHARELATEX_APP_NAME=\"Our Overleaf Instance\"
ENABLED_LINKED_FILE_TYPES=project_file,project_output_file
ENABLE_CONVERSIONS=true
EMAIL_CONFIRMATION_DISABLED=true
TEXMFVAR=/var/lib/sharelatex/tmp/texmf-var
SHARELATEX_SITE_URL=https://tex.example.org
SHARELATEX_NAV_TITLE=Our Overleaf
SHARELATEX_BEHIND_PROXY=true
SHARELATEX_SECURE_COOKIE=true
SHARELATEX_EMAIL_FROM_ADDRESS=tex@example.org
SHARELATEX_EMAIL_SMTP_HOST=smtp.example.org
SHARELATEX_EMAIL_SMTP_PORT=587
SHARELATEX_EMAIL_SMTP_PASS='hunter2'
SANDBOXED_COMPILES=true
SANDBOXED_COMPILES_HOST_DIR=/srv/overleaf/data/sharelatex/data/compiles
TEX_LIVE_DOCKER_IMAGE=quay.io/sharelatex/texlive-full:2023.1
ALL_TEX_LIVE_DOCKER_IMAGES=quay.io/sharelatex/texlive-full:2023.1
";

#[test]
fn a_folder_of_4_x_lints_clean_after_the_migration_alone() {
    let sandbox = Sandbox::new();
    sandbox.write("config/overleaf.rc", RC_OF_4_2);
    sandbox.write("config/variables.env", VARIABLES_OF_4_2);
    sandbox.write("config/version", "4.2.8\n");
    let file = sandbox.root().join("config/variables.env");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    sandbox.run(&["config", "lint"]).ended_with(3);
    sandbox
        .run(&["config", "migrate", "--to", "5.5.5", "--yes"])
        .succeeded();
    let ran = sandbox.run(&["config", "lint", "--strict"]).succeeded();
    assert_eq!(ran.stdout, "0 errors, 0 warnings\n");
}
