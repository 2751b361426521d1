//! The language of the stand-in for mongo's shell: names joined by dots, calls, and values as JavaScript
//! writes them. Pure.

use std::iter::Peekable;
use std::str::Chars;

use bson::oid::ObjectId;
use bson::{Bson, Document};

/// A statement that is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("SyntaxError: {0}")]
pub(super) struct LanguageError(pub(super) String);

/// One name of a chain, with what it is called with.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    pub(super) name: String,
    /// `None` where it is no call.
    pub(super) arguments: Option<Vec<Argument>>,
}

/// What is handed to a call.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Argument {
    /// A value.
    Value(Bson),
    /// What another chain gives.
    Chain(Vec<Step>),
}

impl Argument {
    /// The value, if it is one.
    pub(super) fn value(&self) -> Option<&Bson> {
        match self {
            Self::Value(value) => Some(value),
            Self::Chain(_) => None,
        }
    }
}

/// A statement.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Statement {
    /// `use NAME`.
    Use(String),
    /// `show collections` and the like.
    Show(String),
    /// `db = connect(process.env.NAME)`.
    Connect(String),
    /// `exit` and its like.
    Exit,
    /// Everything else.
    Value(Argument),
}

/// The statements of a text, between semicolons and line ends outside of brackets and quotes.
pub(super) fn parse(text: &str) -> Result<Vec<Statement>, LanguageError> {
    let mut statements = Vec::new();
    for part in split(text) {
        let part = part.trim();
        if part.is_empty() || part.starts_with("//") {
            continue;
        }
        statements.push(statement(part)?);
    }
    Ok(statements)
}

/// Whether a bracket or quote is still open.
pub(super) fn is_open(text: &str) -> bool {
    scan(text, |_, _| {}) != 0
}

fn split(text: &str) -> Vec<&str> {
    let mut ends = Vec::new();
    scan(text, |at, letter| {
        if matches!(letter, ';' | '\n') {
            ends.push(at);
        }
    });
    let mut parts = Vec::new();
    let mut begin = 0;
    for end in ends {
        parts.push(text.get(begin..end).unwrap_or_default());
        begin = end + 1;
    }
    parts.push(text.get(begin..).unwrap_or_default());
    parts
}

/// Shows each letter outside of brackets and quotes; returns how many are open at the end.
fn scan(text: &str, mut outside: impl FnMut(usize, char)) -> usize {
    let mut depth = 0_usize;
    let mut quote = None;
    let mut is_escaped = false;
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            (Some(_), _) if is_escaped => is_escaped = false,
            (Some(_), '\\') => is_escaped = true,
            (Some(mark), letter) if letter == mark => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(letter),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            (None, letter) if depth == 0 => outside(at, letter),
            (None, _) => {}
        }
    }
    depth + usize::from(quote.is_some())
}

fn statement(text: &str) -> Result<Statement, LanguageError> {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.as_slice() {
        ["use", name] => return Ok(Statement::Use((*name).to_owned())),
        ["show", what] => return Ok(Statement::Show((*what).to_owned())),
        ["exit" | "quit" | "exit()" | "quit()" | ".exit" | "quit(0)"] => {
            return Ok(Statement::Exit);
        }
        _ => {}
    }
    let flat: String = text.split_whitespace().collect();
    let connect = flat.strip_prefix("db=connect(process.env.");
    if let Some(name) = connect.and_then(|rest| rest.strip_suffix(')')) {
        return Ok(Statement::Connect(name.to_owned()));
    }
    let mut reader = Reader {
        letters: text.chars().peekable(),
    };
    let found = reader.argument()?;
    reader.blanks();
    match reader.letters.next() {
        None => Ok(Statement::Value(found)),
        Some(other) => Err(LanguageError(format!("`{other}` is unexpected here"))),
    }
}

struct Reader<'a> {
    letters: Peekable<Chars<'a>>,
}

impl Reader<'_> {
    fn blanks(&mut self) {
        while self
            .letters
            .next_if(|letter| letter.is_whitespace())
            .is_some()
        {}
    }

    fn eat(&mut self, wanted: char) -> bool {
        self.blanks();
        self.letters.next_if_eq(&wanted).is_some()
    }

    fn expect(&mut self, wanted: char) -> Result<(), LanguageError> {
        match self.eat(wanted) {
            true => Ok(()),
            false => Err(LanguageError(format!("`{wanted}` is missing"))),
        }
    }

    fn argument(&mut self) -> Result<Argument, LanguageError> {
        self.blanks();
        let first = self.letters.peek().copied();
        let is_name = first.is_some_and(|first| first.is_alphabetic() || "_$".contains(first));
        if !is_name {
            return Ok(Argument::Value(self.value()?));
        }
        let steps = self.chain()?;
        Ok(match constant(&steps) {
            Some(value) => Argument::Value(value?),
            None => Argument::Chain(steps),
        })
    }

    fn chain(&mut self) -> Result<Vec<Step>, LanguageError> {
        let mut steps = Vec::new();
        loop {
            self.blanks();
            let name = self.name();
            if name.is_empty() {
                return Err(LanguageError("a name is missing".to_owned()));
            }
            if name == "new" && steps.is_empty() {
                continue;
            }
            let arguments = if self.eat('(') {
                Some(self.arguments()?)
            } else {
                None
            };
            steps.push(Step { name, arguments });
            if !self.eat('.') {
                return Ok(steps);
            }
        }
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        let is_part = |letter: &char| letter.is_alphanumeric() || "_$".contains(*letter);
        while let Some(letter) = self.letters.next_if(is_part) {
            name.push(letter);
        }
        name
    }

    fn arguments(&mut self) -> Result<Vec<Argument>, LanguageError> {
        let mut arguments = Vec::new();
        while !self.eat(')') {
            arguments.push(self.argument()?);
            if !self.eat(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(arguments)
    }

    /// A value in a place where no chain can stand.
    fn plain(&mut self) -> Result<Bson, LanguageError> {
        match self.argument()? {
            Argument::Value(value) => Ok(value),
            Argument::Chain(steps) => {
                let name = steps.first().map_or("", |step| step.name.as_str());
                Err(LanguageError(format!("`{name}` is no value")))
            }
        }
    }

    fn value(&mut self) -> Result<Bson, LanguageError> {
        self.blanks();
        match self.letters.peek().copied() {
            Some('{') => {
                self.letters.next();
                let mut document = Document::new();
                while !self.eat('}') {
                    self.blanks();
                    let key = match self.letters.peek() {
                        Some('"' | '\'') => self.text()?,
                        _ => self.name(),
                    };
                    if key.is_empty() {
                        return Err(LanguageError("a key is missing".to_owned()));
                    }
                    self.expect(':')?;
                    document.insert(key, self.plain()?);
                    if !self.eat(',') {
                        self.expect('}')?;
                        break;
                    }
                }
                Ok(Bson::Document(document))
            }
            Some('[') => {
                self.letters.next();
                let mut list = Vec::new();
                while !self.eat(']') {
                    list.push(self.plain()?);
                    if !self.eat(',') {
                        self.expect(']')?;
                        break;
                    }
                }
                Ok(Bson::Array(list))
            }
            Some('"' | '\'') => Ok(Bson::String(self.text()?)),
            Some(digit) if digit.is_ascii_digit() || "-.".contains(digit) => self.number(),
            Some(other) => Err(LanguageError(format!("`{other}` is unexpected here"))),
            None => Err(LanguageError("the end comes too early".to_owned())),
        }
    }

    fn text(&mut self) -> Result<String, LanguageError> {
        let mark = self.letters.next().unwrap_or('"');
        let mut text = String::new();
        let open = || LanguageError("a quote is not closed".to_owned());
        loop {
            match self.letters.next().ok_or_else(open)? {
                '\\' => text.push(match self.letters.next().ok_or_else(open)? {
                    'n' => '\n',
                    't' => '\t',
                    other => other,
                }),
                letter if letter == mark => return Ok(text),
                letter => text.push(letter),
            }
        }
    }

    fn number(&mut self) -> Result<Bson, LanguageError> {
        let mut digits = String::new();
        let is_part = |letter: &char| letter.is_ascii_alphanumeric() || "+-.".contains(*letter);
        while let Some(letter) = self.letters.next_if(is_part) {
            digits.push(letter);
        }
        if let Ok(number) = digits.parse::<i32>() {
            return Ok(Bson::Int32(number));
        }
        if let Ok(number) = digits.parse::<i64>() {
            return Ok(Bson::Int64(number));
        }
        let number = digits.parse().map(Bson::Double);
        number.map_err(|_| LanguageError(format!("`{digits}` is no number")))
    }
}

/// The value that a chain is, such as `true` or `ObjectId("…")`; `None` when it has to be evaluated.
fn constant(steps: &[Step]) -> Option<Result<Bson, LanguageError>> {
    let [step] = steps else { return None };
    match (step.name.as_str(), step.arguments.as_deref()) {
        ("true", None) => Some(Ok(Bson::Boolean(true))),
        ("false", None) => Some(Ok(Bson::Boolean(false))),
        ("null" | "undefined", None) => Some(Ok(Bson::Null)),
        ("ObjectId", Some([Argument::Value(Bson::String(digits))])) => {
            let id = ObjectId::parse_str(digits).map(Bson::ObjectId);
            Some(id.map_err(|_| LanguageError(format!("`{digits}` is no id"))))
        }
        ("NumberLong", Some([Argument::Value(Bson::Int32(number))])) => {
            Some(Ok(Bson::Int64(i64::from(*number))))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::doc;

    fn one(text: &str) -> Result<Statement, LanguageError> {
        let mut statements = parse(text)?;
        assert_eq!(statements.len(), 1, "{text}");
        Ok(statements.remove(0))
    }

    fn chain(text: &str) -> Vec<Step> {
        match one(text).unwrap() {
            Statement::Value(Argument::Chain(steps)) => steps,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn calls_have_their_values() {
        let steps = chain(
            "db.users.find({ email: 'a;b', \"n\": {$gt: -1.5}, l: [1, true, null,], }, {_id: 0}).limit(2)",
        );
        let names: Vec<&str> = steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(names, ["db", "users", "find", "limit"]);
        let arguments = steps[2].arguments.as_ref().unwrap();
        let filter = doc! { "email": "a;b", "n": { "$gt": -1.5 }, "l": [1, true, Bson::Null] };
        assert_eq!(arguments[0], Argument::Value(Bson::Document(filter)));
        assert_eq!(
            steps[3].arguments,
            Some(vec![Argument::Value(Bson::Int32(2))])
        );
        let nested = chain("print(db.version())");
        assert!(matches!(
            nested[0].arguments.as_deref(),
            Some([Argument::Chain(_)])
        ));
    }

    #[test]
    fn other_statements_are_told_apart() {
        assert_eq!(one("use admin;"), Ok(Statement::Use("admin".to_owned())));
        assert_eq!(one("show dbs"), Ok(Statement::Show("dbs".to_owned())));
        assert_eq!(one("exit"), Ok(Statement::Exit));
        assert_eq!(
            one("db = connect(process.env.URL)"),
            Ok(Statement::Connect("URL".to_owned()))
        );
        let two = parse("db.a.find({x: 'y;'}); rs.status()\n// rest\n").unwrap();
        assert_eq!(two.len(), 2);
        assert!(is_open("db.runCommand({"));
        assert!(!is_open("db.runCommand({ping: 1})"));
        let id = one("ObjectId('64b7f0c0a1b2c3d4e5f60718')").unwrap();
        assert!(matches!(
            id,
            Statement::Value(Argument::Value(Bson::ObjectId(_)))
        ));
    }

    #[test]
    fn what_is_no_statement_is_refused() {
        for text in ["db.a.find({", "db..a", "db.a b", "db.a({x})", "1x", "a = 1"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
