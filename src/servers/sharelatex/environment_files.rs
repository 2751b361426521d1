//! The files from which the shells and scripts of the container learn its environment, as the start of
//! the real image writes and ships them.
#![expect(
    clippy::disallowed_methods,
    reason = "a server runs alone in its container and owns its files"
)]

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::environment::{Brand, below};

/// Every variable of the container.
const ALL: &str = "/etc/container_environment.sh";

/// Where the services of the application are.
const SERVICES: [(&str, u16); 4] = [
    ("DOCUMENT_UPDATER", 3003),
    ("PROJECT_HISTORY", 3054),
    ("V1_HISTORY", 3100),
    ("WEB", 3000),
];

/// Writes both files.
pub(super) fn write(
    environment: &BTreeMap<String, String>,
    root: &Path,
    brand: Brand,
) -> io::Result<()> {
    let all: String = environment
        .iter()
        .map(|(name, value)| line(name, value))
        .collect();
    let services: String = SERVICES
        .iter()
        .map(|(name, port)| {
            let host = line(&format!("{name}_HOST"), "127.0.0.1");
            host + &line(&format!("{name}_PORT"), &port.to_string())
        })
        .collect();
    let folder = below(root, &format!("/etc/{}", brand.folder()));
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("env.sh"), services)?;
    let all_file = below(root, ALL);
    std::fs::write(&all_file, all)?;
    // It holds the secrets.
    std::fs::set_permissions(&all_file, Permissions::from_mode(0o640))
}

/// A variable as a shell reads it.
fn line(name: &str, value: &str) -> String {
    format!("export {name}='{}'\n", value.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_the_values_back() {
        let root = tempfile::tempdir().unwrap();
        let value = "it's a \"$HOME\"\nof two lines \\ ";
        let environment = BTreeMap::from([("A".to_owned(), value.to_owned())]);
        write(&environment, root.path(), Brand::Overleaf).unwrap();
        let script =
            ". etc/container_environment.sh; . etc/overleaf/env.sh; printf '%s|' \"$A\" $WEB_PORT";
        let shell = std::process::Command::new("/bin/sh")
            .args([
                "-c",
                &script.replace("etc/", &format!("{}/etc/", root.path().display())),
            ])
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8_lossy(&shell.stdout),
            format!("{value}|3000|")
        );
    }
}
