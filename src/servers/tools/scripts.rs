//! Script files in the images of the bundled servers, where those of the application lie. Each is one
//! line of comment: `run-script ls` finds them, and a stand-in that knows them acts them out.

/// Path without the leading slash, and text.
pub const SCRIPTS: &[(&str, &str)] = &[
    (
        "overleaf/services/document-updater/scripts/flush_all.js",
        "// Writes all documents from Redis to MongoDB\n",
    ),
    (
        "overleaf/services/project-history/scripts/flush_all.js",
        "// Processes all history queues\n",
    ),
    (
        "overleaf/services/web/modules/server-ce-scripts/scripts/change-compile-timeout.mjs",
        "// Changes how long the compiles of an account may take\n",
    ),
    (
        "overleaf/services/web/modules/server-ce-scripts/scripts/create-user.mjs",
        "// Makes an account\n",
    ),
    (
        "overleaf/services/web/modules/server-ce-scripts/scripts/delete-user.mjs",
        "// Deletes an account\n",
    ),
    (
        "overleaf/services/web/modules/server-ce-scripts/scripts/transfer-all-projects-to-user.mjs",
        "// Gives all projects of an account to another\n",
    ),
    (
        "overleaf/services/web/scripts/disconnect_all_users.mjs",
        "// Sends all editors away\n",
    ),
    (
        "overleaf/services/web/scripts/recover_docs_from_redis.mjs",
        "// Brings documents back that only Redis has; not acted out\n",
    ),
    (
        "overleaf/services/web/scripts/update_project_image_name.mjs",
        "// Gives projects another image for their compiles\n",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_lie_where_scripts_lie_and_say_what_they_are() {
        for (path, text) in SCRIPTS {
            assert!(path.starts_with("overleaf/services/"), "{path}");
            assert!(path.contains("/scripts/"), "{path}");
            assert!(text.starts_with("// ") && text.ends_with('\n'), "{path}");
        }
        assert!(SCRIPTS.is_sorted(), "rows are sorted by path");
    }
}
