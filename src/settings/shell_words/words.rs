//! The words of overleaf.rc: quotes `'…'`, `"…"`, `$'…'` and `$"…"`, escapes, continuation lines,
//! `~`, `$NAME` and `${NAME}` with `:- - :+ + :? ? := =`.

use super::super::problem::Place;
use super::{Declaration, Reader};

/// What ends a word outside quotes.
fn ends_word(c: Option<char>) -> bool {
    matches!(c, None | Some(' ' | '\t' | '\n' | ';'))
}

/// A word or an alternative of `${NAME:-…}`, and so where quotes and `}` count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Bare,
    Quotes,
}

impl Reader<'_> {
    /// Reads one word: everything up to a blank, `;` or line end outside quotes. The value of an
    /// assignment expands `~` at its beginning and after each colon.
    pub(super) fn word(&mut self, is_value: bool) -> Option<String> {
        let mut value = String::new();
        self.tilde(&mut value, false)?;
        while !ends_word(self.peek()) {
            let c = self.peek()?;
            match c {
                '\'' => value.push_str(&self.single_quoted()?),
                '"' => value.push_str(&self.double_quoted()?),
                '$' => value.push_str(&self.reference(Within::Bare)?),
                '\\' => {
                    self.advance();
                    value.extend(self.advance().filter(|escaped| *escaped != '\n'));
                }
                '`' | '&' | '|' | '<' | '>' | '(' | ')' | '\r' => return self.refuse(c),
                _ => {
                    value.push(c);
                    self.advance();
                    if c == ':' && is_value {
                        self.tilde(&mut value, false)?;
                    }
                }
            }
        }
        Some(value)
    }

    fn refuse(&mut self, c: char) -> Option<String> {
        let place = self.place();
        match c {
            '`' => self.foreign(
                place,
                "a backtick would run a command, and overleaf.rc is never executed",
                "write the value itself",
            ),
            '(' | ')' => self.foreign(
                place,
                "a parenthesis outside quotes needs a shell",
                "put the value in single quotes",
            ),
            '\r' => self.problem(
                place,
                "a carriage return stands in the middle of the line",
                "remove the character; line ends are LF or CRLF",
            ),
            _ => self.foreign(
                place,
                "`&`, `|`, `<` and `>` outside quotes need a shell",
                "put the value in single quotes",
            ),
        }
        None
    }

    /// Expands `~` where it stands for a folder; every other `~` is an ordinary character.
    fn tilde(&mut self, value: &mut String, in_braces: bool) -> Option<()> {
        if self.peek() != Some('~') {
            return Some(());
        }
        let place = self.place();
        let after = self.peek_after(1);
        let names_user =
            after.is_some_and(|c| c.is_ascii_alphabetic() || matches!(c, '_' | '+' | '-'));
        if names_user {
            self.foreign(
                place,
                "`~` with a name behind it needs a shell",
                "write the folder itself, or put the value in single quotes",
            );
            return None;
        }
        let ends = ends_word(after) || matches!(after, Some('/' | ':'));
        if !(ends || (in_braces && after == Some('}'))) {
            return Some(());
        }
        self.advance();
        let Some(home) = self.look_up("HOME") else {
            self.problem(
                place,
                "`~` stands for HOME, which is not set",
                "write the folder itself",
            );
            return None;
        };
        value.push_str(&home);
        Some(())
    }

    fn single_quoted(&mut self) -> Option<String> {
        let place = self.place();
        self.advance();
        let value = self.take_while(|c| c != '\'');
        if self.advance().is_none() {
            self.problem(
                place,
                "the single quote is not closed",
                "add the closing `'`",
            );
            return None;
        }
        Some(value)
    }

    fn double_quoted(&mut self) -> Option<String> {
        let place = self.place();
        self.advance();
        let mut value = String::new();
        loop {
            match self.peek() {
                None => {
                    self.problem(
                        place,
                        "the double quote is not closed",
                        "add the closing `\"`",
                    );
                    return None;
                }
                Some('"') => {
                    self.advance();
                    return Some(value);
                }
                Some('$') => value.push_str(&self.reference(Within::Quotes)?),
                Some('`') => return self.refuse('`'),
                Some('\\') => self.quoted_escape(&mut value, false),
                Some(c) => {
                    value.push(c);
                    self.advance();
                }
            }
        }
    }

    /// Reads a backslash between double quotes, which only counts before a few characters.
    fn quoted_escape(&mut self, value: &mut String, in_braces: bool) {
        self.advance();
        match self.peek() {
            Some('\n') => {
                self.advance();
            }
            Some(c) if matches!(c, '"' | '\\' | '$' | '`') || (in_braces && c == '}') => {
                value.push(c);
                self.advance();
            }
            _ => value.push('\\'),
        }
    }

    /// Reads what begins with `$`; before anything that is no reference it is literal.
    fn reference(&mut self, within: Within) -> Option<String> {
        let place = self.place();
        self.advance();
        match self.peek() {
            Some('(' | '[') => {
                self.foreign(
                    place,
                    "`$(…)` would run a command, and overleaf.rc is never executed",
                    "write the value itself",
                );
                None
            }
            Some('\'') if within == Within::Bare => self.ansi_quoted(),
            Some('"') if within == Within::Bare => self.double_quoted(),
            Some('{') => {
                self.advance();
                self.braced(&place, within)
            }
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                let name = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
                self.value_of(&name, &place)
            }
            Some(c) if c.is_ascii_digit() || "$?#@*!-".contains(c) => {
                let text = format!("`${c}` is a parameter of the running shell");
                let advice = "put the value in single quotes for a literal `$`";
                self.foreign(place, &text, advice);
                None
            }
            _ => Some("$".to_owned()),
        }
    }

    pub(super) fn look_up(&self, name: &str) -> Option<String> {
        match self.variables.get(name) {
            Some(variable) => variable.value.clone(),
            None => (self.environment)(name),
        }
    }

    fn value_of(&mut self, name: &str, place: &Place) -> Option<String> {
        let value = self.look_up(name);
        if value.is_none() && self.refuses_unset && self.unused == 0 {
            self.problem(
                place.clone(),
                &format!("`${name}` has no value here"),
                &format!(
                    "set it on an earlier line, write `${{{name}:-default}}`, or put a literal `$` in single quotes"
                ),
            );
            return None;
        }
        Some(value.unwrap_or_default())
    }

    /// Reads what follows `${`.
    fn braced(&mut self, place: &Place, within: Within) -> Option<String> {
        let name = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if self.peek() == Some('}') && is_name {
            self.advance();
            return self.value_of(&name, place);
        }
        let is_strict = self.peek() == Some(':');
        let operator = if is_strict {
            self.peek_after(1)
        } else {
            self.peek()
        };
        let operator = operator.filter(|c| is_name && matches!(c, '-' | '+' | '?' | '='));
        let Some(operator) = operator else {
            self.foreign(
                place.clone(),
                "this `${…}` form needs a shell",
                "use `$NAME`, `${NAME}` or `${NAME:-default}`, or write the value itself",
            );
            return None;
        };
        if is_strict {
            self.advance();
        }
        self.advance();
        let value = self.look_up(&name);
        let value = value.filter(|value| !(is_strict && value.is_empty()));
        let is_used = value.is_some() == (operator == '+');
        // A shell does not look at an alternative that it does not need.
        self.unused += usize::from(!is_used);
        let alternative = self.alternative(place, within);
        self.unused -= usize::from(!is_used);
        let alternative = alternative?;
        match operator {
            '+' => Some(if is_used { alternative } else { String::new() }),
            _ if !is_used => value,
            '-' => Some(alternative),
            '=' => {
                if self.unused == 0 {
                    let declaration = Declaration::Plain;
                    self.assign(&name, Some(alternative.clone()), place.clone(), declaration)?;
                }
                Some(alternative)
            }
            _ if self.unused > 0 => Some(String::new()),
            _ => {
                let text = format!("`{name}` is required: {alternative}");
                self.problem(place.clone(), &text, "set it on an earlier line");
                None
            }
        }
    }

    /// Reads the word of `${NAME:-word}` and the closing brace.
    fn alternative(&mut self, place: &Place, within: Within) -> Option<String> {
        let mut value = String::new();
        if within == Within::Bare {
            self.tilde(&mut value, true)?;
        }
        loop {
            match self.peek() {
                None => {
                    self.problem(place.clone(), "`${` is not closed", "add the closing `}`");
                    return None;
                }
                Some('}') => {
                    self.advance();
                    return Some(value);
                }
                Some('"') => value.push_str(&self.double_quoted()?),
                Some('$') => value.push_str(&self.reference(within)?),
                Some('`') => return self.refuse('`'),
                Some('\\') if within == Within::Quotes => self.quoted_escape(&mut value, true),
                Some('\\') => {
                    self.advance();
                    value.extend(self.advance().filter(|escaped| *escaped != '\n'));
                }
                Some('\'') if within == Within::Bare => value.push_str(&self.single_quoted()?),
                Some(c) => {
                    value.push(c);
                    self.advance();
                    if c == ':' && within == Within::Bare {
                        self.tilde(&mut value, true)?;
                    }
                }
            }
        }
    }

    /// Reads `'…'` after `$`, with the escapes of C.
    fn ansi_quoted(&mut self) -> Option<String> {
        let place = self.place();
        self.advance();
        // An escape may name a single byte, so that only the whole is text.
        let mut bytes: Vec<u8> = Vec::new();
        loop {
            match self.advance() {
                None => {
                    self.problem(place, "the quote is not closed", "add the closing `'`");
                    return None;
                }
                Some('\'') => break,
                Some('\\') => self.ansi_escape(&mut bytes),
                Some(c) => bytes.extend(c.to_string().bytes()),
            }
        }
        match String::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => Some(text),
            _ => {
                self.problem(
                    place,
                    "the escapes between these quotes are not text",
                    "write the characters themselves",
                );
                None
            }
        }
    }

    fn ansi_escape(&mut self, bytes: &mut Vec<u8>) {
        let Some(c) = self.advance() else {
            return;
        };
        let single = match c {
            'a' => Some(7),
            'b' => Some(8),
            'e' | 'E' => Some(27),
            'f' => Some(12),
            'n' => Some(10),
            'r' => Some(13),
            't' => Some(9),
            'v' => Some(11),
            '\\' => Some(b'\\'),
            '\'' => Some(b'\''),
            '"' => Some(b'"'),
            '?' => Some(b'?'),
            _ => None,
        };
        if let Some(single) = single {
            bytes.push(single);
            return;
        }
        let number = match c {
            '0'..='7' => self.digits(8, 2, c.to_digit(8)),
            'x' => self.digits(16, 2, None),
            'u' => self.digits(16, 4, None),
            'U' => self.digits(16, 8, None),
            _ => None,
        };
        let encoded = match number {
            // These two name a byte, the other two a character.
            Some(number) if matches!(c, 'x' | '0'..='7') => {
                number.to_le_bytes().first().copied().map(|byte| vec![byte])
            }
            Some(number) => char::from_u32(number).map(|c| c.to_string().into_bytes()),
            None => None,
        };
        bytes.extend(encoded.unwrap_or_else(|| format!("\\{c}").into_bytes()));
    }

    /// Reads up to `most` digits after those read before; `None` when there is none at all.
    fn digits(&mut self, base: u32, most: usize, before: Option<u32>) -> Option<u32> {
        let mut number = before;
        for _ in 0..most {
            let Some(digit) = self.peek().and_then(|c| c.to_digit(base)) else {
                break;
            };
            number = Some(number.unwrap_or(0).wrapping_mul(base) + digit);
            self.advance();
        }
        number
    }
}
