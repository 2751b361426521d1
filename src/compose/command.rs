//! A command line as Docker Compose splits it into words: quotes and backslashes count, nothing is
//! expanded, `#` is an ordinary character.

/// The words, and whether something after a shell operator was left out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Words {
    /// The words.
    pub(super) words: Vec<String>,
    /// The operator (`;`, `&`, `|`, `<` or `>`) at which Docker Compose stops reading.
    pub(super) stopped_at: Option<char>,
}

/// Splits a line; `None` when a quote or bracket is not closed.
pub(super) fn split(line: &str) -> Option<Words> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut characters = line.chars();
    let mut stopped_at = None;
    while let Some(c) = characters.next() {
        match (c, quote) {
            ('\\', quote) if quote != Some('\'') => {
                word.get_or_insert_default().push(characters.next()?);
            }
            (c, Some(open)) if c == open => {
                quote = None;
                if matches!(c, '`' | ')') {
                    word.get_or_insert_default().push(c);
                }
            }
            (c, Some(_)) => word.get_or_insert_default().push(c),
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            ('`', None) => {
                quote = Some(c);
                word.get_or_insert_default().push(c);
            }
            ('(', None) => {
                let opens = word.as_ref().is_some_and(|word| word.ends_with('$'));
                if !opens {
                    return None;
                }
                word.get_or_insert_default().push(c);
                quote = Some(')');
            }
            (')', None) => return None,
            (';' | '&' | '|' | '<' | '>', None) => {
                let is_stream = c == '>'
                    && word
                        .as_ref()
                        .is_some_and(|word| word.starts_with(|c: char| c.is_ascii_digit()));
                if is_stream {
                    word = None;
                }
                stopped_at = Some(c);
                break;
            }
            (c, None) if c.is_ascii_whitespace() => words.extend(word.take()),
            (c, None) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(Words { words, stopped_at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_becomes_the_words_that_docker_compose_makes_of_it() {
        let words = |line: &str| split(line).map(|words| words.words.join("|"));
        for (line, expected) in [
            (r#"a 'b c' "d e" f\\ g"#, Some(r"a|b c|d e|f\|g")),
            (r##"echo "#x" y#z '#q'"##, Some("echo|#x|y#z|#q")),
            ("a ''", Some("a|")),
            (r"'a\b'", Some(r"a\b")),
            ("", Some("")),
            ("a 'b", None),
            ("a (b", None),
        ] {
            assert_eq!(words(line).as_deref(), expected, "{line}");
        }
        assert_eq!(split("a && b").unwrap().stopped_at, Some('&'));
    }
}
