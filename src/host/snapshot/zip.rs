//! Zip archives of small files, stored as they are: configuration is a few kilobytes, so that nothing is
//! gained by compressing it.

use std::io;

/// Signatures of the parts of an archive.
const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;

/// Version 2.0 of the format, which has folders.
const VERSION: u16 = 20;
/// The same, made on Unix, whose modes then hold.
const MADE_BY: u16 = 3 << 8 | VERSION;
/// Names are UTF-8.
const UTF8: u16 = 1 << 11;
/// The first day of the format. Times in it have no zone and are left out.
const DATE: u16 = 1 << 5 | 1;

/// An archive in the making.
#[derive(Default)]
pub(super) struct Writer {
    files: Vec<u8>,
    central: Vec<u8>,
    count: usize,
    is_too_large: bool,
}

impl Writer {
    /// Adds a file, or a folder whose name ends in a slash. `mode` is that of Unix with the kind of file.
    pub(super) fn add(&mut self, name: &str, mode: u32, content: &[u8]) {
        let sizes = (u32::try_from(content.len()), u16::try_from(name.len()));
        let ((Ok(length), Ok(name_length)), Ok(offset)) = (sizes, u32::try_from(self.files.len()))
        else {
            self.is_too_large = true;
            return;
        };
        let mut common = Vec::new();
        for number in [VERSION, UTF8, 0, 0, DATE] {
            common.extend(number.to_le_bytes());
        }
        for number in [crc32(content), length, length] {
            common.extend(number.to_le_bytes());
        }
        common.extend(name_length.to_le_bytes());
        common.extend(0_u16.to_le_bytes());
        self.files.extend(LOCAL.to_le_bytes());
        self.files.extend(&common);
        self.files.extend(name.as_bytes());
        self.files.extend(content);
        self.central.extend(CENTRAL.to_le_bytes());
        self.central.extend(MADE_BY.to_le_bytes());
        self.central.extend(&common);
        for _ in ["comment", "disk", "kind"] {
            self.central.extend(0_u16.to_le_bytes());
        }
        self.central.extend((mode << 16).to_le_bytes());
        self.central.extend(offset.to_le_bytes());
        self.central.extend(name.as_bytes());
        self.count += 1;
    }

    /// The archive.
    ///
    /// # Errors
    /// It is larger than the format allows.
    pub(super) fn finish(mut self) -> io::Result<Vec<u8>> {
        let sizes = (
            u16::try_from(self.count),
            u32::try_from(self.central.len()),
            u32::try_from(self.files.len()),
        );
        let (Ok(count), Ok(length), Ok(offset), false) =
            (sizes.0, sizes.1, sizes.2, self.is_too_large)
        else {
            return Err(io::Error::other("it is too large for a zip archive"));
        };
        self.files.append(&mut self.central);
        self.files.extend(END.to_le_bytes());
        for number in [0, 0, count, count] {
            self.files.extend(number.to_le_bytes());
        }
        self.files.extend(length.to_le_bytes());
        self.files.extend(offset.to_le_bytes());
        self.files.extend(0_u16.to_le_bytes());
        Ok(self.files)
    }
}

/// CRC-32 as zip and Ethernet have it.
fn crc32(content: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0xEDB8_8320;
    let crc = content.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            let carry = POLYNOMIAL & (crc & 1).wrapping_neg();
            crc >> 1 ^ carry
        })
    });
    !crc
}

#[cfg(test)]
pub(super) mod testing {
    use std::collections::BTreeMap;

    /// The files of an archive by name, read from its directory at the end.
    pub(crate) fn read(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let two =
            |at: usize| usize::from(u16::from_le_bytes(archive[at..at + 2].try_into().unwrap()));
        let four = |at: usize| u32::from_le_bytes(archive[at..at + 4].try_into().unwrap()) as usize;
        let end = archive.len() - 22;
        assert_eq!(four(end), super::END as usize);
        let mut at = four(end + 16);
        let mut files = BTreeMap::new();
        for _ in 0..two(end + 10) {
            assert_eq!(four(at), super::CENTRAL as usize);
            let (length, name, local) = (four(at + 24), two(at + 28), four(at + 42));
            let text = String::from_utf8(archive[at + 46..at + 46 + name].to_vec()).unwrap();
            assert_eq!(four(local), super::LOCAL as usize);
            let start = local + 30 + two(local + 26);
            let content = archive[start..start + length].to_vec();
            assert_eq!(four(at + 16), super::crc32(&content) as usize);
            files.insert(text, content);
            at += 46 + name;
        }
        files
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_usual_one() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn an_archive_holds_what_was_put_in() {
        let mut writer = Writer::default();
        writer.add("a/", 0o040_700, &[]);
        writer.add("a/é", 0o100_600, b"text");
        let found = testing::read(&writer.finish().unwrap());
        let expected = [("a/", ""), ("a/é", "text")];
        let expected = expected.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
        assert_eq!(found, expected.into());
    }
}
