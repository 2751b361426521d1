//! What changes in a text file, as a unified diff. The caller masks secrets in both texts first.

use similar::TextDiff;

use super::words::Style;

/// Lines shown around a change.
const CONTEXT: usize = 3;

/// The changes from `before` to `after` in the unified format, empty when there are none. `file` is
/// the name in its head.
#[must_use]
pub fn unified(file: &str, before: &str, after: &str) -> String {
    TextDiff::from_lines(before, after)
        .unified_diff()
        .context_radius(CONTEXT)
        .header(file, file)
        .to_string()
}

/// A unified diff with what goes in red, what comes in green and the rest of its head dim.
#[must_use]
pub fn styled(diff: &str, style: Style) -> String {
    diff.split_inclusive('\n')
        .map(|line| {
            let (text, end) = match line.strip_suffix('\n') {
                Some(text) => (text, "\n"),
                None => (line, ""),
            };
            format!("{}{end}", painted(text, style))
        })
        .collect()
}

fn painted(line: &str, style: Style) -> String {
    let is_head = ["--- ", "+++ ", "@@", "\\"]
        .iter()
        .any(|mark| line.starts_with(mark));
    match line.chars().next() {
        _ if is_head => style.dim(line),
        Some('-') => style.red(line),
        Some('+') => style.green(line),
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_shown_with_the_lines_around_it() {
        let before = "a\nb\nc\nd\ne\nf\ng\n";
        let diff = unified("config/overleaf.rc", before, &before.replace('e', "x\ny"));
        insta::assert_snapshot!(diff, @r"
        --- config/overleaf.rc
        +++ config/overleaf.rc
        @@ -2,6 +2,7 @@
         b
         c
         d
        -e
        +x
        +y
         f
         g
        ");
        assert_eq!(unified("f", before, before), "");
        assert_eq!(unified("f", "", ""), "");
    }

    #[test]
    fn a_missing_last_line_end_is_named() {
        insta::assert_snapshot!(unified("f", "a", "a\nb\n"), @r"
        --- f
        +++ f
        @@ -1 +1,2 @@
        -a
        \ No newline at end of file
        +a
        +b
        ");
    }

    #[test]
    fn colour_changes_nothing_but_colour() {
        let diff = unified("f", "a\nb\n", "a\nc\n");
        assert_eq!(styled(&diff, Style::default()), diff);
        let style = Style {
            color: true,
            unicode: false,
        };
        assert_eq!(
            styled(&diff, style),
            "\u{1b}[2m--- f\u{1b}[0m\n\u{1b}[2m+++ f\u{1b}[0m\n\u{1b}[2m@@ -1,2 +1,2 @@\u{1b}[0m\n a\n\u{1b}[1;31m-b\u{1b}[0m\n\u{1b}[32m+c\u{1b}[0m\n"
        );
    }
}
