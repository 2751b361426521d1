//! The glob patterns of `KEYS`, `SCAN … MATCH`, `PSUBSCRIBE` and `CONFIG GET`: `*`, `?`, `[a-z]`,
//! `[^a]` and a backslash that takes the next byte as it is. Works on bytes and must not know
//! what the patterns are matched against.

/// Whether `pattern` matches the whole of `text`.
///
/// Only the latest star is ever tried again, so the cost is at most the product of the two
/// lengths: a hostile pattern cannot hold the server up.
pub(super) fn is_match(pattern: &[u8], text: &[u8]) -> bool {
    let mut rest = pattern;
    let mut text = text;
    let mut latest_star: Option<(&[u8], &[u8])> = None;
    loop {
        match rest.split_first() {
            Some((b'*', after)) => {
                latest_star = Some((after, text));
                rest = after;
                continue;
            }
            None if text.is_empty() => return true,
            None => {}
            Some(_) => {
                if let Some((byte, following)) = text.split_first()
                    && let Some(after) = match_one(rest, *byte)
                {
                    rest = after;
                    text = following;
                    continue;
                }
            }
        }
        let Some((after, from)) = latest_star else {
            return false;
        };
        let Some((_, shorter)) = from.split_first() else {
            return false;
        };
        latest_star = Some((after, shorter));
        rest = after;
        text = shorter;
    }
}

/// Matches one byte against the first element of `pattern`; the pattern after it, or `None`.
fn match_one(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    match pattern {
        [b'?', after @ ..] => Some(after),
        [b'[', class @ ..] => match_class(class, byte),
        [b'\\', literal, after @ ..] | [literal, after @ ..] => (*literal == byte).then_some(after),
        [] => None,
    }
}

/// Matches one byte against a class whose opening bracket is gone. A class that is never closed
/// ends with the pattern.
fn match_class(class: &[u8], byte: u8) -> Option<&[u8]> {
    let (is_negated, mut rest) = match class {
        [b'^', after @ ..] => (true, after),
        _ => (false, class),
    };
    let mut is_member = false;
    let after = loop {
        match rest {
            [] => break rest,
            [b']', after @ ..] => break after,
            [b'\\', literal, after @ ..] => {
                is_member |= *literal == byte;
                rest = after;
            }
            [low, b'-', high, after @ ..] => {
                is_member |= (*low.min(high)..=*low.max(high)).contains(&byte);
                rest = after;
            }
            [literal, after @ ..] => {
                is_member |= *literal == byte;
                rest = after;
            }
        }
    };
    (is_member != is_negated).then_some(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_like_the_protocol_says() {
        let cases = [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything", true),
            ("a*", "abc", true),
            ("a*c", "abbc", true),
            ("a*c", "abbd", false),
            ("a*b*c", "a1b2b3c", true),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-c]llo", "hbllo", true),
            ("h[c-a]llo", "hbllo", true),
            ("h[a-c]llo", "hdllo", false),
            ("h[\\]]llo", "h]llo", true),
            ("h\\*llo", "h*llo", true),
            ("h\\*llo", "hello", false),
            ("h[ab", "ha", true),
            ("DocsIn:*", "DocsIn:{64f}", true),
            ("*:{64f}", "DocsIn:{64f}", true),
            ("a\\", "a\\", true),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(
                is_match(pattern.as_bytes(), text.as_bytes()),
                expected,
                "{pattern} against {text}"
            );
        }
    }

    #[test]
    fn many_stars_end() {
        let pattern = "*a".repeat(40);
        let text = "a".repeat(5_000) + "b";
        assert!(!is_match(pattern.as_bytes(), text.as_bytes()));
    }
}
