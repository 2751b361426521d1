//! A text that is drawn over the one before, in a terminal of whatever size.

use super::words;

/// A text that is drawn from the first line of a terminal over what stands there, with as much of it as
/// a window of so many lines and columns holds: what is pushed out of sight would be drawn again and
/// again. Each line is cleared as it is written, so that nothing flickers.
#[must_use]
pub fn in_place(text: &str, window: Option<(u16, u16)>) -> String {
    let Some((rows, columns)) = window else {
        let lines = text.replace('\n', "\u{1b}[K\n");
        return format!("\u{1b}[H{lines}\u{1b}[J");
    };
    let lines: Vec<&str> = text.lines().collect();
    // The cursor stands below the last line.
    let room = usize::from(rows).saturating_sub(1).max(1);
    let (shown, missing) = match lines.split_at_checked(room) {
        Some((_, [_, ..])) => {
            let (shown, rest) = lines.split_at(room - 1);
            (shown, rest.len())
        }
        _ => (&lines[..], 0),
    };
    let note = (missing > 0).then(|| {
        let missing = words::count(missing, "more line");
        format!("{missing}: the window is too low")
    });
    let all = shown.iter().copied().chain(note.as_deref());
    let drawn: String = all.map(|line| drawn(line, columns.into())).collect();
    format!("\u{1b}[H{drawn}\u{1b}[J")
}

/// A line, cut at the width of the window. One that fills it is not cleared behind its end, where a
/// terminal would take its last character.
fn drawn(line: &str, columns: usize) -> String {
    let (mut text, mut width) = (String::new(), 0);
    let (mut is_full, mut characters) = (false, line.chars());
    while let Some(character) = characters.next() {
        if character == '\u{1b}' {
            // Colours take no room, and have to end behind what is cut off as well.
            text.push(character);
            for part in characters.by_ref() {
                text.push(part);
                if part.is_ascii_alphabetic() {
                    break;
                }
            }
            continue;
        }
        let own = columns_of(character);
        is_full = is_full || width + own > columns;
        if !is_full {
            text.push(character);
            width += own;
        }
    }
    if width < columns {
        text.push_str("\u{1b}[K");
    }
    text.push('\n');
    text
}

/// How many columns a character takes: two in the scripts of East Asia, and as a picture.
fn columns_of(character: char) -> usize {
    match u32::from(character) {
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff => 2,
        0xfe30..=0xfe6f | 0xff00..=0xff60 | 0x1_f300..=0x1_faff | 0x2_0000..=0x3_fffd => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_in_place_leaves_nothing_behind() {
        let expected = "\u{1b}[Ha\u{1b}[K\nb\u{1b}[K\n\u{1b}[J";
        assert_eq!(in_place("a\nb\n", None), expected);
        assert_eq!(in_place("a\nb\n", Some((3, 80))), expected);
    }

    #[test]
    fn a_low_window_keeps_the_top_and_counts_the_rest() {
        let told = |text: &str, rows, columns| {
            let drawn = in_place(text, Some((rows, columns)));
            drawn
                .replace("\u{1b}[K", "")
                .replace("\u{1b}[H", "")
                .replace("\u{1b}[J", "")
        };
        let note = |number: &str| format!("{number}: the window is too low\n");
        assert_eq!(told("a\nb\nc\n", 4, 80), "a\nb\nc\n");
        assert_eq!(
            told("a\nb\nc\n", 3, 80),
            format!("a\n{}", note("2 more lines"))
        );
        assert_eq!(told("a\nb\n", 2, 80), note("2 more lines"));
        assert_eq!(told("a\n", 1, 80), "a\n");
        for rows in 2..40 {
            let drawn = in_place(&"x\n".repeat(30), Some((rows, 80)));
            assert!(drawn.matches('\n').count() < usize::from(rows), "{rows}");
        }
    }

    #[test]
    fn a_narrow_window_cuts_lines_and_no_colours() {
        for (line, columns, expected) in [
            ("abc", 4, "abc\u{1b}[K\n"),
            ("abcd", 4, "abcd\n"),
            ("abcde", 4, "abcd\n"),
            ("\u{1b}[32mabcde\u{1b}[0m", 4, "\u{1b}[32mabcd\u{1b}[0m\n"),
            (
                "ab\u{1b}[2mc\u{1b}[0m",
                4,
                "ab\u{1b}[2mc\u{1b}[0m\u{1b}[K\n",
            ),
            ("a維護", 4, "a維\u{1b}[K\n"),
        ] {
            assert_eq!(drawn(line, columns), expected, "{line:?}");
        }
    }
}
