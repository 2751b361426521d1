//! RESP2 on the wire: requests are parsed as their bytes arrive, replies are encoded. Knows the
//! limits of the protocol and nothing about commands.

use bytes::{Bytes, BytesMut};

/// Longest line that holds a length or an inline command, in bytes.
const LINE_LIMIT: usize = 64 * 1024;

/// Longest bulk string, in bytes.
pub(super) const BULK_LIMIT: usize = 512 * 1024 * 1024;

/// What one request may measure.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    arguments: usize,
    bulk: usize,
    is_authenticated: bool,
}

impl Limits {
    /// For clients that may use the server.
    pub(super) const FULL: Self = Self {
        arguments: 1024 * 1024,
        bulk: BULK_LIMIT,
        is_authenticated: true,
    };

    /// For clients that have yet to give the password: enough for `AUTH` and `HELLO`, too little
    /// to fill the memory with.
    pub(super) const UNAUTHENTICATED: Self = Self {
        arguments: 10,
        bulk: 16 * 1024,
        is_authenticated: false,
    };
}

/// A request that breaks the protocol. The texts are what clients of the protocol expect.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProtocolError {
    /// The argument count is not a number or is too large.
    #[error("invalid multibulk length")]
    ArrayLength,
    /// The length of an argument is not a number or is too large.
    #[error("invalid bulk length")]
    BulkLength,
    /// More arguments than a client without authentication may send.
    #[error("unauthenticated multibulk length")]
    UnauthenticatedArrayLength,
    /// A longer argument than a client without authentication may send.
    #[error("unauthenticated bulk length")]
    UnauthenticatedBulkLength,
    /// An argument does not begin as a bulk string.
    #[error("expected '$', got '{}'", found.escape_ascii())]
    ExpectedBulk {
        /// The byte in its place.
        found: u8,
    },
    /// A recorded command does not begin as an array.
    #[error("expected '*', got '{}'", found.escape_ascii())]
    ExpectedArray {
        /// The byte in its place.
        found: u8,
    },
    /// An argument is longer than its length says.
    #[error("expected a line end after an argument")]
    ExpectedLineEnd,
    /// The line with the argument count does not end.
    #[error("too big mbulk count string")]
    ArrayLine,
    /// The line with the length of an argument does not end.
    #[error("too big bulk count string")]
    BulkLine,
    /// The line of an inline command does not end.
    #[error("too big inline request")]
    InlineLine,
    /// An inline command has a quote without its counterpart.
    #[error("unbalanced quotes in request")]
    UnbalancedQuotes,
}

/// Turns bytes into requests, whatever pieces they come in. After an error the parser is spent.
#[derive(Debug, Default)]
pub(super) struct RequestParser {
    buffer: BytesMut,
    /// Bytes at the front of `buffer` known to hold no line end.
    searched: usize,
    consumed: u64,
    arguments: Vec<Bytes>,
    missing: usize,
    bulk_length: Option<usize>,
    refuses_inline: bool,
}

impl RequestParser {
    /// A parser for recorded commands, which are always arrays.
    pub(super) fn of_arrays() -> Self {
        Self {
            refuses_inline: true,
            ..Self::default()
        }
    }

    /// Where bytes that arrive are appended.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Bytes used up so far; at the end of a request when `next` has just returned one.
    pub(super) fn consumed(&self) -> u64 {
        self.consumed
    }

    /// The next complete request (never empty), or `None` until more bytes arrive.
    pub(super) fn next(&mut self, limits: Limits) -> Result<Option<Vec<Bytes>>, ProtocolError> {
        while self.missing == 0 {
            let Some(first) = self.buffer.first().copied() else {
                return Ok(None);
            };
            if first != b'*' {
                if self.refuses_inline {
                    return Err(ProtocolError::ExpectedArray { found: first });
                }
                let Some(line) = self.line(ProtocolError::InlineLine)? else {
                    return Ok(None);
                };
                let arguments = split_inline(&line).ok_or(ProtocolError::UnbalancedQuotes)?;
                if !arguments.is_empty() {
                    return Ok(Some(arguments));
                }
                continue;
            }
            let Some(line) = self.line(ProtocolError::ArrayLine)? else {
                return Ok(None);
            };
            let count = number_after_marker(&line).ok_or(ProtocolError::ArrayLength)?;
            // A count of zero or less is an empty request: it gets no reply.
            let count = usize::try_from(count).unwrap_or(0);
            if count > Limits::FULL.arguments {
                return Err(ProtocolError::ArrayLength);
            }
            if count > limits.arguments && !limits.is_authenticated {
                return Err(ProtocolError::UnauthenticatedArrayLength);
            }
            self.missing = count;
        }
        while self.missing > 0 {
            let Some(argument) = self.bulk(limits)? else {
                return Ok(None);
            };
            self.arguments.push(argument);
            self.missing -= 1;
        }
        Ok(Some(std::mem::take(&mut self.arguments)))
    }

    fn bulk(&mut self, limits: Limits) -> Result<Option<Bytes>, ProtocolError> {
        let length = match self.bulk_length {
            Some(length) => length,
            None => {
                if let Some(found) = self.buffer.first().copied()
                    && found != b'$'
                {
                    return Err(ProtocolError::ExpectedBulk { found });
                }
                let Some(line) = self.line(ProtocolError::BulkLine)? else {
                    return Ok(None);
                };
                let length = number_after_marker(&line)
                    .and_then(|length| usize::try_from(length).ok())
                    .filter(|length| *length <= Limits::FULL.bulk)
                    .ok_or(ProtocolError::BulkLength)?;
                if length > limits.bulk && !limits.is_authenticated {
                    return Err(ProtocolError::UnauthenticatedBulkLength);
                }
                self.bulk_length = Some(length);
                length
            }
        };
        let Some(line_end) = self.buffer.get(length..length + 2) else {
            return Ok(None);
        };
        if line_end != b"\r\n" {
            return Err(ProtocolError::ExpectedLineEnd);
        }
        let with_line_end = self.take(length + 2);
        self.bulk_length = None;
        // Copied, because a value that shares the read buffer would keep all of it alive.
        let argument = with_line_end.get(..length).unwrap_or_default();
        Ok(Some(Bytes::copy_from_slice(argument)))
    }

    /// The next line without its end, or `None` until it is complete.
    fn line(&mut self, too_long: ProtocolError) -> Result<Option<BytesMut>, ProtocolError> {
        let unseen = self.buffer.get(self.searched..).unwrap_or_default();
        let Some(position) = unseen.iter().position(|byte| *byte == b'\n') else {
            self.searched = self.buffer.len();
            if self.buffer.len() > LINE_LIMIT {
                return Err(too_long);
            }
            return Ok(None);
        };
        let mut line = self.take(self.searched + position + 1);
        line.truncate(line.len() - 1);
        if line.last() == Some(&b'\r') {
            line.truncate(line.len() - 1);
        }
        if line.len() > LINE_LIMIT {
            return Err(too_long);
        }
        Ok(Some(line))
    }

    fn take(&mut self, length: usize) -> BytesMut {
        self.searched = 0;
        self.consumed += length as u64;
        self.buffer.split_to(length)
    }
}

fn number_after_marker(line: &[u8]) -> Option<i64> {
    let digits = line.get(1..)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Splits an inline command into words; `None` when a quote is not closed or is followed by
/// anything but a space.
fn split_inline(line: &[u8]) -> Option<Vec<Bytes>> {
    let mut words = Vec::new();
    let mut rest = line.trim_ascii_start();
    while !rest.is_empty() {
        let mut word = Vec::new();
        loop {
            match rest {
                [b'"', after @ ..] => {
                    rest = double_quoted(after, &mut word)?;
                    if rest.first().is_some_and(|byte| !byte.is_ascii_whitespace()) {
                        return None;
                    }
                }
                [b'\'', after @ ..] => {
                    rest = single_quoted(after, &mut word)?;
                    if rest.first().is_some_and(|byte| !byte.is_ascii_whitespace()) {
                        return None;
                    }
                }
                [byte, after @ ..] if !byte.is_ascii_whitespace() => {
                    word.push(*byte);
                    rest = after;
                }
                _ => break,
            }
        }
        words.push(Bytes::from(word));
        rest = rest.trim_ascii_start();
    }
    Some(words)
}

fn double_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [b'"', after @ ..] => return Some(after),
            [b'\\', b'x', high, low, after @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                word.push(hex_value(*high) * 16 + hex_value(*low));
                rest = after;
            }
            [b'\\', escaped, after @ ..] => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                rest = after;
            }
            [byte, after @ ..] => {
                word.push(*byte);
                rest = after;
            }
            [] => return None,
        }
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [b'\'', after @ ..] => return Some(after),
            [b'\\', b'\'', after @ ..] => {
                word.push(b'\'');
                rest = after;
            }
            [byte, after @ ..] => {
                word.push(*byte);
                rest = after;
            }
            [] => return None,
        }
    }
}

fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit.wrapping_sub(b'A').wrapping_add(10),
    }
}

/// One answer to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// A fixed word such as `OK`.
    Status(&'static str),
    /// An error; its text begins with a code such as `ERR`.
    Error(String),
    Integer(i64),
    Bulk(Bytes),
    /// A bulk string that is not there.
    Nil,
    /// An array that is not there.
    NilArray,
    Array(Vec<Reply>),
    /// Several replies to one request, as `SUBSCRIBE a b` gives.
    Several(Vec<Reply>),
    /// No reply at all.
    Nothing,
}

impl Reply {
    pub(super) const OK: Self = Self::Status("OK");

    /// A bulk string of text.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Bulk(Bytes::from(text.into()))
    }

    /// A bulk string, or nil.
    pub(super) fn optional(value: Option<&Bytes>) -> Self {
        value.map_or(Self::Nil, |value| Self::Bulk(value.clone()))
    }

    /// An array of bulk strings.
    pub(super) fn bulks<'a>(values: impl IntoIterator<Item = &'a Bytes>) -> Self {
        Self::Array(values.into_iter().cloned().map(Self::Bulk).collect())
    }

    /// A count. No collection here can exceed what the integer holds.
    pub(super) fn count(count: usize) -> Self {
        Self::Integer(i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// One for yes, zero for no.
    pub(super) fn flag(is_true: bool) -> Self {
        Self::Integer(i64::from(is_true))
    }

    /// Appends the wire form.
    pub(super) fn encode(&self, output: &mut Vec<u8>) {
        match self {
            Self::Status(text) => encode_line(output, b'+', text.as_bytes()),
            Self::Error(text) => {
                // A line end inside the text would end the reply early.
                let line: Vec<u8> = text
                    .bytes()
                    .map(|byte| {
                        if byte == b'\r' || byte == b'\n' {
                            b' '
                        } else {
                            byte
                        }
                    })
                    .collect();
                encode_line(output, b'-', &line);
            }
            Self::Integer(value) => encode_line(output, b':', value.to_string().as_bytes()),
            Self::Bulk(value) => encode_bulk(output, value),
            Self::Nil => output.extend_from_slice(b"$-1\r\n"),
            Self::NilArray => output.extend_from_slice(b"*-1\r\n"),
            Self::Array(items) => {
                encode_line(output, b'*', items.len().to_string().as_bytes());
                for item in items {
                    item.encode(output);
                }
            }
            Self::Several(replies) => {
                for reply in replies {
                    reply.encode(output);
                }
            }
            Self::Nothing => {}
        }
    }
}

/// Appends a command in the form clients send it, which is also the form it is recorded in.
pub(super) fn encode_command<A: AsRef<[u8]>>(output: &mut Vec<u8>, arguments: &[A]) {
    encode_line(output, b'*', arguments.len().to_string().as_bytes());
    for argument in arguments {
        encode_bulk(output, argument.as_ref());
    }
}

fn encode_line(output: &mut Vec<u8>, marker: u8, text: &[u8]) {
    output.push(marker);
    output.extend_from_slice(text);
    output.extend_from_slice(b"\r\n");
}

fn encode_bulk(output: &mut Vec<u8>, value: &[u8]) {
    encode_line(output, b'$', value.len().to_string().as_bytes());
    output.extend_from_slice(value);
    output.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(request: &[Bytes]) -> Vec<String> {
        request
            .iter()
            .map(|argument| argument.escape_ascii().to_string())
            .collect()
    }

    fn parse(pieces: &[&[u8]], limits: Limits) -> Result<Vec<Vec<String>>, ProtocolError> {
        let mut parser = RequestParser::default();
        let mut requests = Vec::new();
        for piece in pieces {
            parser.buffer().extend_from_slice(piece);
            while let Some(request) = parser.next(limits)? {
                requests.push(words(&request));
            }
        }
        Ok(requests)
    }

    #[test]
    fn requests_are_found_whatever_the_pieces() {
        let stream: &[u8] =
            b"*2\r\n$3\r\nGET\r\n$5\r\na\r\nb\n\r\n\r\nPING\r\n*0\r\n*-1\r\n*1\r\n$0\r\n\r\nSET k 'v w'\n";
        let expected = vec![
            vec!["GET".to_owned(), "a\\r\\nb\\n".to_owned()],
            vec!["PING".to_owned()],
            vec![String::new()],
            vec!["SET".to_owned(), "k".to_owned(), "v w".to_owned()],
        ];
        assert_eq!(parse(&[stream], Limits::FULL).unwrap(), expected);
        for size in 1..stream.len() {
            let pieces: Vec<&[u8]> = stream.chunks(size).collect();
            assert_eq!(
                parse(&pieces, Limits::FULL).unwrap(),
                expected,
                "pieces of {size}"
            );
        }
    }

    #[test]
    fn consumed_counts_whole_requests() {
        let mut parser = RequestParser::of_arrays();
        parser
            .buffer()
            .extend_from_slice(b"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPI");
        assert!(parser.next(Limits::FULL).unwrap().is_some());
        assert_eq!(parser.consumed(), 14);
        assert!(parser.next(Limits::FULL).unwrap().is_none());
    }

    #[test]
    fn malformed_requests_are_named() {
        let long = vec![b'1'; LINE_LIMIT + 1];
        let mut long_count = b"*".to_vec();
        long_count.extend_from_slice(&long);
        let mut long_length = b"*1\r\n$".to_vec();
        long_length.extend_from_slice(&long);
        let cases: [(&[u8], ProtocolError); 12] = [
            (b"*x\r\n", ProtocolError::ArrayLength),
            (b"*1048577\r\n", ProtocolError::ArrayLength),
            (b"*1\r\n:1\r\n", ProtocolError::ExpectedBulk { found: b':' }),
            (b"*1\r\n$x\r\n", ProtocolError::BulkLength),
            (b"*1\r\n$-1\r\n", ProtocolError::BulkLength),
            (b"*1\r\n$536870913\r\n", ProtocolError::BulkLength),
            (b"*1\r\n$1\r\nabc\r\n", ProtocolError::ExpectedLineEnd),
            (&long_count, ProtocolError::ArrayLine),
            (&long_length, ProtocolError::BulkLine),
            (&long, ProtocolError::InlineLine),
            (b"SET k \"v\r\n", ProtocolError::UnbalancedQuotes),
            (b"SET k \"v\"w\r\n", ProtocolError::UnbalancedQuotes),
        ];
        for (stream, expected) in cases {
            let start = stream
                .get(..20)
                .unwrap_or(stream)
                .escape_ascii()
                .to_string();
            assert_eq!(parse(&[stream], Limits::FULL), Err(expected), "{start}");
        }
        let mut recorded = RequestParser::of_arrays();
        recorded.buffer().extend_from_slice(b"PING\r\n");
        assert_eq!(
            recorded.next(Limits::FULL),
            Err(ProtocolError::ExpectedArray { found: b'P' })
        );
    }

    #[test]
    fn strangers_are_held_to_small_requests() {
        assert_eq!(
            parse(&[b"*11\r\n"], Limits::UNAUTHENTICATED),
            Err(ProtocolError::UnauthenticatedArrayLength)
        );
        assert_eq!(
            parse(&[b"*1\r\n$16385\r\n"], Limits::UNAUTHENTICATED),
            Err(ProtocolError::UnauthenticatedBulkLength)
        );
    }

    #[test]
    fn inline_words_follow_the_quoting_rules() {
        let cases = [
            ("  a  b ", Some(vec!["a", "b"])),
            (
                r#""a\x41\n\"" 'b\'c' d"e""#,
                Some(vec!["aA\\n\\\"", "b\\'c", "de"]),
            ),
            (r#""""#, Some(vec![""])),
            ("'a", None),
            (r#""a\"#, None),
        ];
        for (line, expected) in cases {
            let found = split_inline(line.as_bytes()).map(|found| words(&found));
            let expected =
                expected.map(|words| words.iter().map(|word| (*word).to_owned()).collect());
            assert_eq!(found, expected, "{line}");
        }
    }

    #[test]
    fn replies_have_their_wire_form() {
        let cases = [
            (Reply::OK, "+OK\\r\\n"),
            (Reply::Error("ERR a\r\nb".to_owned()), "-ERR a  b\\r\\n"),
            (Reply::Integer(-3), ":-3\\r\\n"),
            (Reply::text("ab"), "$2\\r\\nab\\r\\n"),
            (Reply::Nil, "$-1\\r\\n"),
            (Reply::NilArray, "*-1\\r\\n"),
            (
                Reply::Array(vec![Reply::Integer(1), Reply::Array(vec![])]),
                "*2\\r\\n:1\\r\\n*0\\r\\n",
            ),
            (Reply::Several(vec![Reply::OK, Reply::Nothing]), "+OK\\r\\n"),
        ];
        for (reply, expected) in cases {
            let mut output = Vec::new();
            reply.encode(&mut output);
            assert_eq!(output.escape_ascii().to_string(), expected);
        }
    }
}
