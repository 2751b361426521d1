//! `redis-cli`: sends one command, or one per line of its input, and shows the answers as the real
//! program does.

#![expect(
    clippy::disallowed_methods,
    reason = "a program of its own in a container, with that container's environment"
)]

use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;

use super::complain;

const NAME: &str = "redis-cli";
/// The variable that holds the password.
const PASSWORD: &str = "REDISCLI_AUTH";

/// Deepest answer within answers.
const DEEPEST: usize = 32;

/// What the arguments ask for.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    host: String,
    port: u16,
    database: Option<String>,
    password: Option<String>,
    is_raw: bool,
    command: Vec<String>,
}

/// An answer of the server.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Status(String),
    Error(String),
    Number(i64),
    Text(String),
    Nothing,
    List(Vec<Answer>),
}

/// Runs the command, or talks.
pub(super) fn run(arguments: &[String]) -> ExitCode {
    let is_terminal = io::stdout().is_terminal();
    let mut options = match options(arguments, is_terminal) {
        Ok(options) => options,
        Err(text) => {
            complain(NAME, &text);
            return ExitCode::FAILURE;
        }
    };
    if options.password.is_none() {
        options.password = std::env::var(PASSWORD).ok();
    }
    match converse(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let (host, port) = (&options.host, options.port);
            complain(
                NAME,
                &format!("Could not talk to Redis at {host}:{port}: {error}"),
            );
            ExitCode::FAILURE
        }
    }
}

fn options(arguments: &[String], is_terminal: bool) -> Result<Options, String> {
    let mut found = Options {
        host: "127.0.0.1".to_owned(),
        port: 6379,
        database: None,
        password: None,
        is_raw: !is_terminal,
        command: Vec::new(),
    };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().cloned().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "-h" => found.host = value()?,
            "-p" => {
                let port = value()?;
                found.port = port.parse().map_err(|_| format!("{port} is no port"))?;
            }
            "-n" => found.database = Some(value()?),
            "-a" | "--pass" => found.password = Some(value()?),
            "--raw" => found.is_raw = true,
            "--no-raw" => found.is_raw = false,
            "--no-auth-warning" => {}
            other if other.starts_with('-') => {
                return Err(format!("{other} is not known to this stand-in"));
            }
            _ => {
                found.command.push(word.clone());
                found.command.extend(words.by_ref().cloned());
            }
        }
    }
    Ok(found)
}

fn converse(options: &Options) -> io::Result<()> {
    let stream = TcpStream::connect((options.host.as_str(), options.port))?;
    let mut server = BufReader::new(stream);
    if let Some(password) = &options.password
        && let Answer::Error(text) = ask(&mut server, &["AUTH".to_owned(), password.clone()])?
    {
        complain(NAME, &format!("AUTH failed: {text}"));
    }
    if let Some(database) = &options.database
        && let Answer::Error(text) = ask(&mut server, &["SELECT".to_owned(), database.clone()])?
    {
        complain(NAME, &format!("SELECT {database} failed: {text}"));
    }
    let mut output = io::stdout();
    if !options.command.is_empty() {
        let answer = ask(&mut server, &options.command)?;
        output.write_all(shown(&answer, options.is_raw, "").as_bytes())?;
        return output.flush();
    }
    let is_prompted = io::stdin().is_terminal();
    let mut lines = io::stdin().lock();
    loop {
        if is_prompted {
            write!(output, "{}:{}> ", options.host, options.port)?;
        }
        output.flush()?;
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let words = words(&line);
        match words.first().map(|word| word.to_lowercase()).as_deref() {
            None => continue,
            Some("exit" | "quit") => return Ok(()),
            Some(_) => {}
        }
        let answer = ask(&mut server, &words)?;
        output.write_all(shown(&answer, options.is_raw, "").as_bytes())?;
    }
}

/// The words of a line; quotes keep blanks.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for letter in line.chars() {
        match (quote, letter) {
            (Some(mark), letter) if letter == mark => quote = None,
            (None, '"' | '\'') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, letter) if letter.is_whitespace() => words.extend(word.take()),
            (_, letter) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

fn ask(server: &mut BufReader<TcpStream>, command: &[String]) -> io::Result<Answer> {
    let mut request = format!("*{}\r\n", command.len()).into_bytes();
    for word in command {
        request.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    server.get_mut().write_all(&request)?;
    answer(server, 0)
}

fn answer(server: &mut impl BufRead, depth: usize) -> io::Result<Answer> {
    let broken = || io::Error::other("the answer cannot be read");
    let mut line = Vec::new();
    if server.read_until(b'\n', &mut line)? == 0 {
        return Err(io::Error::other("Server closed the connection"));
    }
    let line = String::from_utf8_lossy(&line).trim_end().to_owned();
    let mut letters = line.chars();
    let kind = letters.next().ok_or_else(broken)?;
    let rest = letters.as_str();
    let number = || rest.parse::<i64>().map_err(|_| broken());
    match kind {
        '+' => Ok(Answer::Status(rest.to_owned())),
        '-' => Ok(Answer::Error(rest.to_owned())),
        ':' => Ok(Answer::Number(number()?)),
        '$' => {
            let Ok(length) = u64::try_from(number()?) else {
                return Ok(Answer::Nothing);
            };
            let mut bytes = Vec::new();
            server.by_ref().take(length + 2).read_to_end(&mut bytes)?;
            let text = bytes.strip_suffix(b"\r\n");
            let is_whole = |text: &&[u8]| text.len() as u64 == length;
            let text = text.filter(is_whole).ok_or_else(broken)?;
            Ok(Answer::Text(String::from_utf8_lossy(text).into_owned()))
        }
        '*' if depth < DEEPEST => {
            let Ok(length) = u64::try_from(number()?) else {
                return Ok(Answer::Nothing);
            };
            let answers = (0..length).map(|_| answer(server, depth + 1));
            Ok(Answer::List(answers.collect::<io::Result<Vec<Answer>>>()?))
        }
        _ => Err(broken()),
    }
}

/// An answer as it is shown: bare for programs, marked by its kind for people.
fn shown(answer: &Answer, is_raw: bool, indent: &str) -> String {
    match answer {
        Answer::Status(text) => format!("{text}\n"),
        Answer::Error(text) if is_raw => format!("{text}\n"),
        Answer::Error(text) => format!("(error) {text}\n"),
        Answer::Number(number) if is_raw => format!("{number}\n"),
        Answer::Number(number) => format!("(integer) {number}\n"),
        Answer::Text(text) if is_raw => format!("{text}\n"),
        Answer::Text(text) => format!("{text:?}\n"),
        Answer::Nothing if is_raw => "\n".to_owned(),
        Answer::Nothing => "(nil)\n".to_owned(),
        Answer::List(answers) if answers.is_empty() => match is_raw {
            true => "\n".to_owned(),
            false => "(empty array)\n".to_owned(),
        },
        Answer::List(answers) if is_raw => {
            let answers = answers.iter();
            answers.map(|answer| shown(answer, true, "")).collect()
        }
        Answer::List(answers) => {
            let width = answers.len().to_string().len();
            let mut text = String::new();
            for (place, answer) in answers.iter().enumerate() {
                let before = if place == 0 { "" } else { indent };
                let deeper = format!("{indent}{}", " ".repeat(width + 2));
                let number = place + 1;
                text.push_str(&format!(
                    "{before}{number:>width$}) {}",
                    shown(answer, false, &deeper)
                ));
            }
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<String> {
        text.split(' ').map(ToOwned::to_owned).collect()
    }

    #[test]
    fn options_end_where_the_command_begins() {
        let found = options(&split("-h redis -p 7000 -n 1 --raw get -n"), true).unwrap();
        assert_eq!((found.host.as_str(), found.port), ("redis", 7000));
        assert_eq!(found.database.as_deref(), Some("1"));
        assert_eq!(found.command, ["get", "-n"]);
        assert!(found.is_raw);
        assert!(options(&split("-p x"), true).is_err());
        assert!(options(&split("--cluster"), true).is_err());
        assert_eq!(words("set a 'b c' \"\"\n"), ["set", "a", "b c", ""]);
    }

    #[test]
    fn answers_are_shown_for_people_and_for_programs() {
        let bytes = b"*3\r\n:1\r\n$3\r\na\"b\r\n*2\r\n$-1\r\n+OK\r\n";
        let list = answer(&mut bytes.as_slice(), 0).unwrap();
        assert_eq!(
            shown(&list, false, ""),
            "1) (integer) 1\n2) \"a\\\"b\"\n3) 1) (nil)\n   2) OK\n"
        );
        assert_eq!(shown(&list, true, ""), "1\na\"b\n\nOK\n");
        let error = answer(&mut b"-ERR no\r\n".as_slice(), 0).unwrap();
        assert_eq!(shown(&error, false, ""), "(error) ERR no\n");
        assert!(answer(&mut b"".as_slice(), 0).is_err());
        assert!(answer(&mut b"$5\r\nab\r\n".as_slice(), 0).is_err());
    }
}
