//! The records of the operations file: how a list of operations becomes bytes that show whether
//! they are complete. Knows bytes and operations; must not know files.
//!
//! A record is a header of three little-endian 32-bit numbers and a payload: the length of the
//! payload in bytes, the checksum of these four length bytes, the checksum of the payload. The
//! payload is one BSON document per operation. The length has its own checksum, so that a damaged
//! length in the middle of the file is not taken for a record cut off at the end.

use bson::Document;

use super::super::catalog::Operation;

const HEADER_BYTES: usize = 12;

/// Why operations cannot become a record.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum EncodeError {
    #[error("cannot encode a document")]
    Document(#[source] bson::error::Error),
    #[error("a record of {bytes} bytes is too long")]
    TooLong { bytes: usize },
}

/// What comes next in the file.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    /// A complete record, and how many bytes it takes.
    Record {
        operations: Vec<Operation>,
        bytes: usize,
    },
    /// Nothing: the file ends here.
    End,
    /// A record whose writing was interrupted; nothing complete follows.
    Torn,
    /// Damage with complete records behind it, or a complete record nobody can read.
    Damaged,
}

/// One record with all `operations`.
pub(super) fn encode(operations: &[Operation]) -> Result<Vec<u8>, EncodeError> {
    let mut payload = Vec::new();
    for operation in operations {
        payload.extend(
            operation
                .to_document()
                .to_vec()
                .map_err(EncodeError::Document)?,
        );
    }
    let length = u32::try_from(payload.len())
        .map_err(|_| EncodeError::TooLong {
            bytes: payload.len(),
        })?
        .to_le_bytes();
    let mut record = Vec::with_capacity(HEADER_BYTES + payload.len());
    record.extend(length);
    record.extend(checksum(&length).to_le_bytes());
    record.extend(checksum(&payload).to_le_bytes());
    record.extend(payload);
    Ok(record)
}

/// Reads the first record of `bytes`.
pub(super) fn next(bytes: &[u8]) -> Next {
    if bytes.is_empty() {
        return Next::End;
    }
    if let Some(payload) = complete_payload(bytes) {
        return match decode(payload) {
            Some(operations) => Next::Record {
                operations,
                bytes: HEADER_BYTES + payload.len(),
            },
            None => Next::Damaged,
        };
    }
    let mut rest = bytes;
    while let Some((_, shorter)) = rest.split_first() {
        rest = shorter;
        if complete_payload(rest).is_some() {
            return Next::Damaged;
        }
    }
    Next::Torn
}

/// The payload of the record at the beginning, when the record is complete.
fn complete_payload(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (length_checksum, rest) = rest.split_first_chunk::<4>()?;
    let (payload_checksum, rest) = rest.split_first_chunk::<4>()?;
    if checksum(length) != u32::from_le_bytes(*length_checksum) {
        return None;
    }
    let payload = rest.get(..usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    (checksum(payload) == u32::from_le_bytes(*payload_checksum)).then_some(payload)
}

fn decode(mut payload: &[u8]) -> Option<Vec<Operation>> {
    let mut operations = Vec::new();
    while let Some((length, _)) = payload.split_first_chunk::<4>() {
        let length = usize::try_from(i32::from_le_bytes(*length)).ok()?;
        let (document, rest) = payload.split_at_checked(length)?;
        let document = Document::from_reader(document).ok()?;
        operations.push(Operation::from_document(document)?);
        payload = rest;
    }
    payload.is_empty().then_some(operations)
}

/// CRC-32 with the polynomial of Ethernet and zip.
fn checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        let index = (sum ^ u32::from(*byte)) & 0xFF;
        // The table has an entry for every byte.
        (sum >> 8)
            ^ usize::try_from(index)
                .ok()
                .and_then(|index| TABLE.get(index))
                .unwrap_or(&0)
    })
}

const TABLE: [u32; 256] = table();

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated at compile time, where it cannot panic unseen"
)]
const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < table.len() {
        let mut entry = index as u32;
        let mut bit = 0;
        while bit < 8 {
            entry = if entry & 1 == 1 {
                (entry >> 1) ^ 0xEDB8_8320
            } else {
                entry >> 1
            };
            bit += 1;
        }
        table[index] = entry;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bson::doc;

    use super::super::super::catalog::Namespace;
    use super::*;

    fn operations(text: &str) -> Vec<Operation> {
        let namespace = Namespace::new("a", "b");
        let document = Arc::new(doc! {"_id": 1, "text": text});
        vec![
            Operation::Put {
                namespace: namespace.clone(),
                document,
            },
            Operation::Remove {
                namespace,
                id: 1.into(),
            },
        ]
    }

    #[test]
    fn the_checksum_is_crc_32() {
        assert_eq!(checksum(b"123456789"), 0xCBF4_3926);
        assert_eq!(checksum(b""), 0);
    }

    #[test]
    fn a_record_is_read_as_written() {
        let record = encode(&operations("x")).unwrap();
        let expected = Next::Record {
            operations: operations("x"),
            bytes: record.len(),
        };
        assert_eq!(next(&record), expected);
        assert_eq!(next(&[]), Next::End);
    }

    #[test]
    fn a_record_cut_anywhere_is_torn() {
        let record = encode(&operations("x")).unwrap();
        for length in 1..record.len() {
            assert_eq!(next(&record[..length]), Next::Torn, "{length} bytes");
        }
    }

    #[test]
    fn a_record_followed_by_a_complete_one_is_damaged_not_torn() {
        let first = encode(&operations("x")).unwrap();
        let second = encode(&operations("y")).unwrap();
        for position in 0..first.len() {
            let mut bytes = [first.clone(), second.clone()].concat();
            bytes[position] ^= 0x40;
            assert_eq!(next(&bytes), Next::Damaged, "byte {position}");
        }
    }

    #[test]
    fn zeros_at_the_end_are_torn() {
        assert_eq!(next(&[0; 100]), Next::Torn);
    }
}
