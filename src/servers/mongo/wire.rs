//! The wire protocol: messages as bytes. Reads OP_MSG and the OP_QUERY of a driver's first hello,
//! writes OP_MSG and OP_REPLY. Knows bytes and BSON; must not know what the commands mean.
//!
//! Every error means that the connection cannot be trusted any more and has to be closed.

use bson::Bson;
use bson::Document;
use bson::raw::RawBsonRef;
use bson::raw::RawDocument;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;

/// The longest message, in bytes, headers included.
pub(super) const LONGEST_MESSAGE: usize = 48_000_000;

/// How deep the documents of a message may be nested: the 200 levels a stored document may have,
/// and the levels of the command around it.
const DEEPEST_MESSAGE: u32 = 210;

const HEADER_BYTES: usize = 16;
const OP_REPLY: i32 = 1;
const OP_QUERY: i32 = 2004;
const OP_MSG: i32 = 2013;
const CHECKSUM_PRESENT: u32 = 1;
const MORE_TO_COME: u32 = 1 << 1;
/// The lower flag bits have to be understood; the upper ones may be ignored.
const REQUIRED_FLAGS: u32 = 0xFFFF;
const AWAIT_CAPABLE: i32 = 8;

/// What a peer sent that is not the protocol, or not all of it.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    #[error("the connection broke")]
    Broken(#[source] std::io::Error),
    #[error("a message declares {0} bytes")]
    Length(i32),
    #[error("operation code {0} is not served")]
    Operation(i32),
    #[error("unknown required flags {0:#x}")]
    Flags(u32),
    #[error("a message does not have the form its operation code demands")]
    Malformed,
    #[error("a document is nested too deeply")]
    TooDeep,
    #[error("a document is not BSON")]
    Bson(#[source] bson::error::Error),
}

/// A message from a client.
#[derive(Debug, PartialEq)]
pub(super) enum Message {
    /// OP_MSG: the command document, with its document sequences put in as arrays.
    Command {
        request: i32,
        body: Document,
        is_reply_wanted: bool,
    },
    /// OP_QUERY: how a driver says its first hello.
    Query {
        request: i32,
        namespace: String,
        body: Document,
    },
}

/// Reads one message; `None` when the peer has closed the connection between two messages.
pub(super) async fn read(
    reader: &mut (impl AsyncRead + Unpin),
) -> Result<Option<Message>, WireError> {
    let mut header = Vec::with_capacity(HEADER_BYTES);
    let mut limited = (&mut *reader).take(HEADER_BYTES as u64);
    limited
        .read_to_end(&mut header)
        .await
        .map_err(WireError::Broken)?;
    if header.is_empty() {
        return Ok(None);
    }
    let mut fields = Bytes(&header);
    let length = fields.number()?;
    let request = fields.number()?;
    let _response_to = fields.number()?;
    let operation = fields.number()?;
    let payload_bytes = usize::try_from(length)
        .ok()
        .filter(|length| *length <= LONGEST_MESSAGE)
        .and_then(|length| length.checked_sub(HEADER_BYTES))
        .ok_or(WireError::Length(length))?;
    // Memory is taken as bytes arrive, not as the header promises.
    let mut payload = Vec::new();
    let mut limited = reader.take(payload_bytes as u64);
    limited
        .read_to_end(&mut payload)
        .await
        .map_err(WireError::Broken)?;
    if payload.len() != payload_bytes {
        return Err(WireError::Malformed);
    }
    match operation {
        OP_MSG => parse_command(request, &payload).map(Some),
        OP_QUERY => parse_query(request, &payload).map(Some),
        other => Err(WireError::Operation(other)),
    }
}

fn parse_command(request: i32, payload: &[u8]) -> Result<Message, WireError> {
    let mut payload = Bytes(payload);
    let flags = payload.number()?.cast_unsigned();
    let unknown = flags & REQUIRED_FLAGS & !(CHECKSUM_PRESENT | MORE_TO_COME);
    if unknown != 0 {
        return Err(WireError::Flags(unknown));
    }
    if flags & CHECKSUM_PRESENT != 0 {
        // Only its presence is checked: TCP has its own checksum, and no driver sends one.
        let (rest, _) = payload
            .0
            .split_last_chunk::<4>()
            .ok_or(WireError::Malformed)?;
        payload = Bytes(rest);
    }
    let mut body = None;
    let mut sequences: Vec<(String, Vec<Bson>)> = Vec::new();
    while !payload.0.is_empty() {
        match payload.take(1)? {
            [0] if body.is_none() => body = Some(payload.document()?),
            [1] => sequences.push(payload.sequence()?),
            _ => return Err(WireError::Malformed),
        }
    }
    let mut body = body.ok_or(WireError::Malformed)?;
    for (name, documents) in sequences {
        if body.insert(name, documents).is_some() {
            return Err(WireError::Malformed);
        }
    }
    Ok(Message::Command {
        request,
        body,
        is_reply_wanted: flags & MORE_TO_COME == 0,
    })
}

fn parse_query(request: i32, payload: &[u8]) -> Result<Message, WireError> {
    let mut payload = Bytes(payload);
    let _flags = payload.number()?;
    let namespace = payload.text()?;
    let _skip = payload.number()?;
    let _count = payload.number()?;
    let mut body = payload.document()?;
    // Some drivers wrap the command together with a read preference.
    if let Some(Bson::Document(wrapped)) = body.remove("$query") {
        body = wrapped;
    }
    Ok(Message::Query {
        request,
        namespace,
        body,
    })
}

/// The bytes of an OP_MSG with one document.
pub(super) fn command(
    request: i32,
    response_to: i32,
    body: &Document,
) -> Result<Vec<u8>, WireError> {
    let body = body.to_vec().map_err(WireError::Bson)?;
    message(
        request,
        response_to,
        OP_MSG,
        &[&0_u32.to_le_bytes(), &[0], &body],
    )
}

/// The bytes of an OP_REPLY with one document.
pub(super) fn query_reply(
    request: i32,
    response_to: i32,
    body: &Document,
) -> Result<Vec<u8>, WireError> {
    let body = body.to_vec().map_err(WireError::Bson)?;
    let parts: [&[u8]; 5] = [
        &AWAIT_CAPABLE.to_le_bytes(),
        &0_i64.to_le_bytes(),
        &0_i32.to_le_bytes(),
        &1_i32.to_le_bytes(),
        &body,
    ];
    message(request, response_to, OP_REPLY, &parts)
}

fn message(
    request: i32,
    response_to: i32,
    operation: i32,
    parts: &[&[u8]],
) -> Result<Vec<u8>, WireError> {
    let payload = parts.concat();
    let length = HEADER_BYTES + payload.len();
    let declared = i32::try_from(length).unwrap_or(i32::MAX);
    if length > LONGEST_MESSAGE {
        return Err(WireError::Length(declared));
    }
    let mut bytes = Vec::with_capacity(length);
    for field in [declared, request, response_to, operation] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.extend(payload);
    Ok(bytes)
}

/// What is left to read of a message.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(WireError::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<i32, WireError> {
        let (taken, rest) = self
            .0
            .split_first_chunk::<4>()
            .ok_or(WireError::Malformed)?;
        self.0 = rest;
        Ok(i32::from_le_bytes(*taken))
    }

    fn text(&mut self) -> Result<String, WireError> {
        let length = self
            .0
            .iter()
            .position(|byte| *byte == 0)
            .ok_or(WireError::Malformed)?;
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| WireError::Malformed)?;
        self.take(1)?;
        Ok(text.to_owned())
    }

    fn document(&mut self) -> Result<Document, WireError> {
        let (length, _) = self
            .0
            .split_first_chunk::<4>()
            .ok_or(WireError::Malformed)?;
        let length =
            usize::try_from(i32::from_le_bytes(*length)).map_err(|_| WireError::Malformed)?;
        let raw = RawDocument::from_bytes(self.take(length)?).map_err(WireError::Bson)?;
        check_document_depth(raw, DEEPEST_MESSAGE)?;
        Document::try_from(raw).map_err(WireError::Bson)
    }

    fn sequence(&mut self) -> Result<(String, Vec<Bson>), WireError> {
        let length = usize::try_from(self.number()?)
            .ok()
            .and_then(|length| length.checked_sub(4))
            .ok_or(WireError::Malformed)?;
        let mut section = Bytes(self.take(length)?);
        let name = section.text()?;
        let mut documents = Vec::new();
        while !section.0.is_empty() {
            documents.push(Bson::Document(section.document()?));
        }
        Ok((name, documents))
    }
}

/// Decoding calls itself once per level: unlimited depth would end in a stack overflow.
fn check_document_depth(document: &RawDocument, left: u32) -> Result<(), WireError> {
    for element in document {
        let (_, value) = element.map_err(WireError::Bson)?;
        check_depth(value, left)?;
    }
    Ok(())
}

fn check_depth(value: RawBsonRef<'_>, left: u32) -> Result<(), WireError> {
    let deeper = || left.checked_sub(1).ok_or(WireError::TooDeep);
    match value {
        RawBsonRef::Document(document) => check_document_depth(document, deeper()?),
        RawBsonRef::JavaScriptCodeWithScope(code) => check_document_depth(code.scope, deeper()?),
        RawBsonRef::Array(array) => {
            let left = deeper()?;
            for value in array {
                check_depth(value.map_err(WireError::Bson)?, left)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    async fn parse(bytes: &[u8]) -> Result<Option<Message>, WireError> {
        read(&mut &*bytes).await
    }

    fn with_payload(operation: i32, parts: &[&[u8]]) -> Vec<u8> {
        message(7, 0, operation, parts).unwrap()
    }

    fn sequence(name: &str, documents: &[Document]) -> Vec<u8> {
        let mut content = [name.as_bytes(), &[0]].concat();
        for document in documents {
            content.extend(document.to_vec().unwrap());
        }
        let length = i32::try_from(content.len() + 4).unwrap();
        [&[1], length.to_le_bytes().as_slice(), content.as_slice()].concat()
    }

    #[tokio::test]
    async fn a_command_is_read_as_written() {
        let body = doc! {"ping": 1, "$db": "admin"};
        let bytes = command(7, 3, &body).unwrap();
        assert_eq!(bytes[8..12], 3_i32.to_le_bytes());
        let expected = Message::Command {
            request: 7,
            body,
            is_reply_wanted: true,
        };
        assert_eq!(parse(&bytes).await.unwrap(), Some(expected));
    }

    #[tokio::test]
    async fn document_sequences_become_arrays_in_any_section_order() {
        let body = doc! {"insert": "a", "$db": "b"};
        let documents = [doc! {"_id": 1}, doc! {"_id": 2}];
        let body_section = [&[0], body.to_vec().unwrap().as_slice()].concat();
        let sequence = sequence("documents", &documents);
        for sections in [[&body_section, &sequence], [&sequence, &body_section]] {
            let bytes = with_payload(OP_MSG, &[&[0; 4], sections[0], sections[1]]);
            let Some(Message::Command { body: read, .. }) = parse(&bytes).await.unwrap() else {
                panic!("not a command");
            };
            let mut expected = body.clone();
            expected.insert("documents", documents.to_vec());
            assert_eq!(read, expected);
        }
    }

    #[tokio::test]
    async fn flags_say_whether_a_checksum_follows_and_a_reply_is_wanted() {
        let body = doc! {"ping": 1}.to_vec().unwrap();
        for (flags, checksum, is_reply_wanted) in [
            (1_u32, [1_u8, 2, 3, 4].as_slice(), true),
            (2, &[], false),
            (1 << 16, &[], true),
        ] {
            let bytes = with_payload(OP_MSG, &[&flags.to_le_bytes(), &[0], &body, checksum]);
            let expected = Message::Command {
                request: 7,
                body: doc! {"ping": 1},
                is_reply_wanted,
            };
            assert_eq!(
                parse(&bytes).await.unwrap(),
                Some(expected),
                "flags {flags}"
            );
        }
    }

    #[tokio::test]
    async fn the_first_hello_is_read_and_answered() {
        let body = doc! {"isMaster": 1};
        let wrapped = doc! {"$query": body.clone()}.to_vec().unwrap();
        let plain = body.to_vec().unwrap();
        for document in [plain, wrapped] {
            let parts: [&[u8]; 4] = [&[0; 4], b"admin.$cmd\0", &[0; 8], &document];
            let namespace = "admin.$cmd".to_owned();
            let expected = Message::Query {
                request: 7,
                namespace,
                body: body.clone(),
            };
            assert_eq!(
                parse(&with_payload(OP_QUERY, &parts)).await.unwrap(),
                Some(expected)
            );
        }
        let reply = query_reply(9, 7, &body).unwrap();
        assert_eq!(
            reply[8..16],
            [7_i32.to_le_bytes(), OP_REPLY.to_le_bytes()].concat()
        );
        assert_eq!(reply[36..], body.to_vec().unwrap());
    }

    #[tokio::test]
    async fn the_end_of_a_connection_is_not_an_error() {
        assert_eq!(parse(&[]).await.unwrap(), None);
    }

    #[tokio::test]
    async fn malformed_messages_are_errors() {
        let body = doc! {"insert": "a"}.to_vec().unwrap();
        let body_section = [&[0], body.as_slice()].concat();
        let whole = with_payload(OP_MSG, &[&[0; 4], &body_section]);
        let mut nested = doc! {};
        for _ in 0..=DEEPEST_MESSAGE {
            nested = doc! {"a": nested};
        }
        let cases: Vec<(&str, Vec<u8>)> = vec![
            ("half a header", whole[..9].to_vec()),
            ("half a payload", whole[..whole.len() - 1].to_vec()),
            ("no body", with_payload(OP_MSG, &[&[0; 4]])),
            (
                "two bodies",
                with_payload(OP_MSG, &[&[0; 4], &body_section, &body_section]),
            ),
            (
                "unknown section",
                with_payload(OP_MSG, &[&[0; 4], &[2], &body]),
            ),
            (
                "unknown required flag",
                with_payload(OP_MSG, &[&[4, 0, 0, 0], &body_section]),
            ),
            ("no checksum", with_payload(OP_MSG, &[&[1, 0, 0, 0]])),
            ("operation", with_payload(2012, &[&[0; 4], &body_section])),
            ("no namespace", with_payload(OP_QUERY, &[&[0; 4], b"admin"])),
            (
                "sequence named as a field",
                with_payload(OP_MSG, &[&[0; 4], &body_section, &sequence("insert", &[])]),
            ),
            ("nested too deeply", command(7, 0, &nested).unwrap()),
            ("too short", [[15, 0, 0, 0].as_slice(), &[0; 12]].concat()),
            ("too long", [[0, 0, 0, 0x7F].as_slice(), &[0; 12]].concat()),
            ("negative length", [[0xFF; 4].as_slice(), &[0; 12]].concat()),
        ];
        for (name, bytes) in cases {
            assert!(parse(&bytes).await.is_err(), "{name}");
        }
    }
}
