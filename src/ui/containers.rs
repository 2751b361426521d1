//! Containers and their processes in the columns of Docker Compose.

use super::words;

/// A container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// Name.
    pub name: String,
    /// Image reference.
    pub image: String,
    /// What it runs; cut where it is long.
    pub command: String,
    /// Service.
    pub service: String,
    /// How long ago it was made.
    pub created: String,
    /// What it does, in the engine's words.
    pub status: String,
    /// Published ports.
    pub ports: String,
}

/// The containers, one line each.
#[must_use]
pub fn list(lines: &[Line]) -> String {
    let head = [
        "NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS",
    ];
    let mut rows: Vec<Vec<String>> = vec![head.map(str::to_owned).to_vec()];
    rows.extend(lines.iter().map(|line| {
        vec![
            line.name.clone(),
            line.image.clone(),
            line.command.clone(),
            line.service.clone(),
            line.created.clone(),
            line.status.clone(),
            line.ports.clone(),
        ]
    }));
    words::columns(&rows, "   ")
}

/// The processes of a container below its name.
#[must_use]
pub fn processes(name: &str, titles: &[String], rows: &[Vec<String>]) -> String {
    let mut all = vec![titles.to_vec()];
    all.extend(rows.iter().cloned());
    format!("{name}\n{}\n", words::columns(&all, "   "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_need_to_be() {
        let line = Line {
            name: "p-redis-1".to_owned(),
            image: "redis:7.4".to_owned(),
            command: "\"redis-server\"".to_owned(),
            service: "redis".to_owned(),
            created: "4m10s ago".to_owned(),
            status: "Up 4 minutes".to_owned(),
            ports: String::new(),
        };
        insta::assert_snapshot!(list(&[line]), @r#"
        NAME        IMAGE       COMMAND          SERVICE   CREATED     STATUS         PORTS
        p-redis-1   redis:7.4   "redis-server"   redis     4m10s ago   Up 4 minutes
        "#);
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let rows = [words("root 12 redis-server")];
        insta::assert_snapshot!(processes("p-redis-1", &words("UID PID CMD"), &rows), @r"
        p-redis-1
        UID    PID   CMD
        root   12    redis-server
        ");
    }
}
