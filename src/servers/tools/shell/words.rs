//! The text of a script becomes lists of commands: words, quotes, names, redirections, `&&`, `||` and `;`.
//! Pure. What it does not know it refuses by name, so that no script does half of what it says.

use std::iter::Peekable;
use std::str::Chars;

/// A script that is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SyntaxError {
    /// More text is needed.
    #[error("unexpected end of file")]
    Unfinished,
    /// Something that real shells know.
    #[error("`{0}` is not known to this stand-in for a shell")]
    Unknown(String),
    /// Something out of place.
    #[error("syntax error near unexpected token `{0}'")]
    Unexpected(String),
}

/// A part of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// As it stands.
    Literal(String),
    /// A quoted text without anything in it still makes a word.
    Empty,
    /// The value of a name, with what stands for an unset or empty one.
    Name {
        name: String,
        default: Option<String>,
        is_quoted: bool,
    },
    /// All arguments, each a word of its own.
    All,
}

/// A word before its names are replaced.
pub(super) type Word = Vec<Part>;

/// Where a stream of a command goes to or comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Redirect {
    /// 0, 1 or 2.
    pub(super) stream: u8,
    pub(super) target: Target,
}

/// See [`Redirect`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// Read from a file.
    Read(Word),
    /// Written to a file, from its beginning.
    Write(Word),
    /// Written to the end of a file.
    Append(Word),
    /// The same as another stream.
    Same(u8),
}

/// How a command follows the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// Always.
    Next,
    /// After a success.
    And,
    /// After a failure.
    Or,
}

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Simple {
    pub(super) link: Link,
    /// Whether success and failure are exchanged.
    pub(super) is_negated: bool,
    pub(super) assignments: Vec<(String, Word)>,
    pub(super) words: Vec<Word>,
    pub(super) redirects: Vec<Redirect>,
}

impl Simple {
    fn new(link: Link) -> Self {
        Self {
            link,
            is_negated: false,
            assignments: Vec::new(),
            words: Vec::new(),
            redirects: Vec::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.assignments.is_empty() && self.words.is_empty() && self.redirects.is_empty()
    }
}

/// Words that begin what is not known here.
const KEYWORDS: [&str; 12] = [
    "if", "for", "while", "until", "case", "function", "select", "{", "[[", "time", "coproc",
    "trap",
];

/// The commands of a text.
pub(super) fn parse(text: &str) -> Result<Vec<Simple>, SyntaxError> {
    let mut letters = text.chars().peekable();
    let mut commands = Vec::new();
    let mut command = Simple::new(Link::Next);
    loop {
        match letters.peek().copied() {
            None => break,
            Some(' ' | '\t' | '\r') => {
                letters.next();
            }
            Some('\\') => match following(&letters) {
                Some('\n') => {
                    letters.next();
                    letters.next();
                }
                _ => word_or_redirect(&mut letters, &mut command)?,
            },
            Some('#') => while letters.next_if(|letter| *letter != '\n').is_some() {},
            Some(separator @ ('\n' | ';')) => {
                letters.next();
                let is_open = command.link != Link::Next;
                if command.is_empty() && separator == '\n' {
                    // After `&&` the command may stand on the next line.
                    continue;
                }
                if command.is_empty() && (is_open || separator == ';') {
                    return Err(SyntaxError::Unexpected(separator.to_string()));
                }
                commands.push(std::mem::replace(&mut command, Simple::new(Link::Next)));
            }
            Some(letter @ ('&' | '|')) => {
                letters.next();
                if letters.next_if_eq(&letter).is_none() {
                    return Err(SyntaxError::Unknown(letter.to_string()));
                }
                if command.is_empty() {
                    return Err(SyntaxError::Unexpected(format!("{letter}{letter}")));
                }
                let link = if letter == '&' { Link::And } else { Link::Or };
                commands.push(std::mem::replace(&mut command, Simple::new(link)));
            }
            Some(letter @ ('(' | ')' | '`')) => {
                return Err(SyntaxError::Unknown(letter.to_string()));
            }
            Some(_) => word_or_redirect(&mut letters, &mut command)?,
        }
    }
    if !command.is_empty() {
        commands.push(command);
    } else if command.link != Link::Next || command.is_negated {
        return Err(SyntaxError::Unfinished);
    }
    Ok(commands)
}

/// The letter after the next one.
fn following(letters: &Peekable<Chars<'_>>) -> Option<char> {
    let mut ahead = letters.clone();
    ahead.next();
    ahead.next()
}

fn word_or_redirect(
    letters: &mut Peekable<Chars<'_>>,
    command: &mut Simple,
) -> Result<(), SyntaxError> {
    let first = letters.peek().copied();
    let stream = match (first, following(letters)) {
        (Some(digit @ '0'..='2'), Some('<' | '>')) => {
            letters.next();
            digit
                .to_digit(10)
                .and_then(|digit| u8::try_from(digit).ok())
        }
        _ => None,
    };
    if let Some(arrow @ ('<' | '>')) = letters.peek().copied() {
        letters.next();
        command.redirects.push(redirect(letters, stream, arrow)?);
        return Ok(());
    }
    let word = word(letters)?;
    let is_first = command.words.is_empty();
    if is_first && let Some((name, value)) = assignment(&word) {
        command.assignments.push((name, value));
        return Ok(());
    }
    if is_first && let [Part::Literal(text)] = word.as_slice() {
        if text == "!" {
            command.is_negated = !command.is_negated;
            return Ok(());
        }
        if KEYWORDS.contains(&text.as_str()) {
            return Err(SyntaxError::Unknown(text.clone()));
        }
    }
    command.words.push(word);
    Ok(())
}

fn redirect(
    letters: &mut Peekable<Chars<'_>>,
    stream: Option<u8>,
    arrow: char,
) -> Result<Redirect, SyntaxError> {
    let is_input = arrow == '<';
    let stream = stream.unwrap_or(if is_input { 0 } else { 1 });
    let is_appended = !is_input && letters.next_if_eq(&'>').is_some();
    if is_input && letters.next_if_eq(&'<').is_some() {
        return Err(SyntaxError::Unknown("<<".to_owned()));
    }
    if letters.next_if_eq(&'&').is_some() {
        let other = letters.next().and_then(|digit| digit.to_digit(10));
        let other = other.filter(|digit| *digit <= 2);
        let other = other.and_then(|digit| u8::try_from(digit).ok());
        let target = Target::Same(other.ok_or(SyntaxError::Unexpected("&".to_owned()))?);
        return Ok(Redirect { stream, target });
    }
    while letters
        .next_if(|letter| matches!(letter, ' ' | '\t'))
        .is_some()
    {}
    let file = word(letters)?;
    if file.is_empty() {
        return Err(SyntaxError::Unexpected("newline".to_owned()));
    }
    let target = match (is_input, is_appended) {
        (true, _) => Target::Read(file),
        (false, false) => Target::Write(file),
        (false, true) => Target::Append(file),
    };
    Ok(Redirect { stream, target })
}

/// `NAME=value` at the beginning of a command.
fn assignment(word: &Word) -> Option<(String, Word)> {
    let (first, rest) = word.split_first()?;
    let Part::Literal(text) = first else {
        return None;
    };
    let (name, value) = text.split_once('=')?;
    if !is_name(name) {
        return None;
    }
    let mut parts = Vec::new();
    if !value.is_empty() {
        parts.push(Part::Literal(value.to_owned()));
    }
    parts.extend_from_slice(rest);
    Some((name.to_owned(), parts))
}

/// Whether a text can name a variable.
pub(super) fn is_name(text: &str) -> bool {
    let mut letters = text.chars();
    let first = letters.next();
    first.is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

/// One word, up to a blank or an operator. An unquoted beginning is one literal, so that it can be
/// told from a quoted one.
fn word(letters: &mut Peekable<Chars<'_>>) -> Result<Word, SyntaxError> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let flush = |literal: &mut String, parts: &mut Word| {
        if !literal.is_empty() {
            parts.push(Part::Literal(std::mem::take(literal)));
        }
    };
    while let Some(letter) = letters.peek().copied() {
        match letter {
            ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')' => break,
            '\'' => {
                letters.next();
                flush(&mut literal, &mut parts);
                let mut text = String::new();
                loop {
                    match letters.next().ok_or(SyntaxError::Unfinished)? {
                        '\'' => break,
                        other => text.push(other),
                    }
                }
                parts.push(quoted(text));
            }
            '"' => {
                letters.next();
                flush(&mut literal, &mut parts);
                double_quoted(letters, &mut parts)?;
            }
            '\\' => {
                letters.next();
                match letters.next() {
                    Some('\n') => {}
                    // Quoted, so that it makes no assignment or keyword.
                    Some(other) => {
                        flush(&mut literal, &mut parts);
                        parts.push(Part::Literal(other.to_string()));
                    }
                    None => return Err(SyntaxError::Unfinished),
                }
            }
            '$' => {
                letters.next();
                match name(letters, false)? {
                    Some(part) => {
                        flush(&mut literal, &mut parts);
                        parts.push(part);
                    }
                    None => literal.push('$'),
                }
            }
            '`' => return Err(SyntaxError::Unknown("`".to_owned())),
            other => {
                letters.next();
                literal.push(other);
            }
        }
    }
    flush(&mut literal, &mut parts);
    Ok(parts)
}

fn quoted(text: String) -> Part {
    match text.is_empty() {
        true => Part::Empty,
        false => Part::Literal(text),
    }
}

fn double_quoted(letters: &mut Peekable<Chars<'_>>, parts: &mut Word) -> Result<(), SyntaxError> {
    let mut literal = String::new();
    let before = parts.len();
    loop {
        match letters.next().ok_or(SyntaxError::Unfinished)? {
            '"' => break,
            '\\' => match letters.next().ok_or(SyntaxError::Unfinished)? {
                '\n' => {}
                escaped @ ('"' | '\\' | '$' | '`') => literal.push(escaped),
                other => {
                    literal.push('\\');
                    literal.push(other);
                }
            },
            '`' => return Err(SyntaxError::Unknown("`".to_owned())),
            '$' => match name(letters, true)? {
                Some(part) => {
                    if !literal.is_empty() {
                        parts.push(Part::Literal(std::mem::take(&mut literal)));
                    }
                    parts.push(part);
                }
                None => literal.push('$'),
            },
            other => literal.push(other),
        }
    }
    if !literal.is_empty() || parts.len() == before {
        parts.push(quoted(literal));
    }
    Ok(())
}

/// What follows a dollar; `None` when it is a dollar and nothing else.
fn name(letters: &mut Peekable<Chars<'_>>, is_quoted: bool) -> Result<Option<Part>, SyntaxError> {
    let of = |name: String, default| Part::Name {
        name,
        default,
        is_quoted,
    };
    match letters.peek().copied() {
        Some('@') => {
            letters.next();
            Ok(Some(Part::All))
        }
        Some(special @ ('?' | '#' | '$' | '0'..='9')) => {
            letters.next();
            Ok(Some(of(special.to_string(), None)))
        }
        Some('(') => Err(SyntaxError::Unknown("$(".to_owned())),
        Some('{') => {
            letters.next();
            let mut inside = String::new();
            loop {
                match letters.next().ok_or(SyntaxError::Unfinished)? {
                    '}' => break,
                    other => inside.push(other),
                }
            }
            if inside == "@" {
                return Ok(Some(Part::All));
            }
            let (name, default) = match inside.split_once(":-") {
                Some((name, default)) => (name.to_owned(), Some(default.to_owned())),
                None => (inside.clone(), None),
            };
            let is_plain = |text: &str| !text.contains(['$', '\'', '"', '\\', '`']);
            let is_special = matches!(name.as_str(), "?" | "#" | "$")
                || (!name.is_empty() && name.chars().all(|letter| letter.is_ascii_digit()));
            if !(is_name(&name) || is_special) || !default.as_deref().is_none_or(is_plain) {
                return Err(SyntaxError::Unknown(format!("${{{inside}}}")));
            }
            Ok(Some(of(name, default)))
        }
        Some(letter) if letter.is_ascii_alphabetic() || letter == '_' => {
            let mut name = String::new();
            while let Some(letter) =
                letters.next_if(|letter| letter.is_ascii_alphanumeric() || *letter == '_')
            {
                name.push(letter);
            }
            Ok(Some(of(name, None)))
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(text: &str) -> Word {
        vec![Part::Literal(text.to_owned())]
    }

    fn name(name: &str, is_quoted: bool) -> Part {
        Part::Name {
            name: name.to_owned(),
            default: None,
            is_quoted,
        }
    }

    #[test]
    fn the_calling_pattern_of_the_scripts_is_understood() {
        let text = "source /a.sh && cd \"$1\" &&\n shift; exec node \"$@\" 2>&1";
        let found = parse(text).unwrap();
        let links: Vec<Link> = found.iter().map(|command| command.link).collect();
        assert_eq!(links, [Link::Next, Link::And, Link::And, Link::Next]);
        assert_eq!(found[0].words, [literal("source"), literal("/a.sh")]);
        assert_eq!(found[1].words, [literal("cd"), vec![name("1", true)]]);
        assert_eq!(
            found[3].words,
            [literal("exec"), literal("node"), vec![Part::All]]
        );
        let same = Redirect {
            stream: 2,
            target: Target::Same(1),
        };
        assert_eq!(found[3].redirects, [same]);
    }

    #[test]
    fn quotes_keep_what_they_hold() {
        let found = parse("A=1 B='x y'\"$C\" echo a\\ b '' \"\" 'it'\\''s' $D # rest\n").unwrap();
        let [command] = found.as_slice() else {
            panic!("{found:?}");
        };
        assert_eq!(command.assignments[0], ("A".to_owned(), literal("1")));
        assert_eq!(
            command.assignments[1].1,
            [Part::Literal("x y".to_owned()), name("C", true)]
        );
        let parts = |texts: &[&str]| -> Word {
            let texts = texts.iter();
            texts
                .map(|text| Part::Literal((*text).to_owned()))
                .collect()
        };
        assert_eq!(
            command.words,
            [
                literal("echo"),
                parts(&["a", " ", "b"]),
                vec![Part::Empty],
                vec![Part::Empty],
                parts(&["it", "'", "s"]),
                vec![name("D", false)],
            ]
        );
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        for (text, error) in [
            ("a | b", SyntaxError::Unknown("|".to_owned())),
            ("a &", SyntaxError::Unknown("&".to_owned())),
            ("echo $(ls)", SyntaxError::Unknown("$(".to_owned())),
            ("if true; then a; fi", SyntaxError::Unknown("if".to_owned())),
            ("echo ${A%b}", SyntaxError::Unknown("${A%b}".to_owned())),
            ("&& a", SyntaxError::Unexpected("&&".to_owned())),
            ("a && ; b", SyntaxError::Unexpected(";".to_owned())),
            ("a &&", SyntaxError::Unfinished),
            ("echo 'a", SyntaxError::Unfinished),
            ("echo \"a", SyntaxError::Unfinished),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }
}
