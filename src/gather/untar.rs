//! Takes an archive apart while it comes: names and contents of its files, without holding them.

/// Size of a header, and what contents are filled up to.
const BLOCK: usize = 512;

/// An archive that is being read.
#[derive(Debug, Default)]
pub(super) struct Untar {
    header: Vec<u8>,
    /// Bytes of the contents that are to come, and of what fills them up.
    left: u64,
    padding: u64,
    is_file: bool,
}

impl Untar {
    /// Takes a piece. `file` is told the name of each file as it begins, and `content` its bytes.
    pub(super) fn push(
        &mut self,
        mut piece: &[u8],
        file: &mut dyn FnMut(&str),
        content: &mut dyn FnMut(&[u8]),
    ) {
        while !piece.is_empty() {
            if self.left > 0 {
                let bytes = taken(&mut piece, self.left);
                self.left -= bytes.len() as u64;
                if self.is_file {
                    content(bytes);
                }
            } else if self.padding > 0 {
                self.padding -= taken(&mut piece, self.padding).len() as u64;
            } else {
                let wanted = BLOCK - self.header.len();
                let bytes = taken(&mut piece, wanted as u64);
                self.header.extend_from_slice(bytes);
                if self.header.len() == BLOCK {
                    self.begin(file);
                    self.header.clear();
                }
            }
        }
    }

    fn begin(&mut self, file: &mut dyn FnMut(&str)) {
        let header = tar::Header::from_byte_slice(&self.header);
        let size = header.entry_size().unwrap_or(0);
        self.left = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        // Names that are too long for a header, which no log has, come in entries of another kind.
        self.is_file = header.entry_type().is_file() && self.header.first() != Some(&0);
        if self.is_file
            && let Ok(path) = header.path()
        {
            file(&path.to_string_lossy());
        }
    }
}

fn taken<'a>(piece: &mut &'a [u8], wanted: u64) -> &'a [u8] {
    let length = usize::try_from(wanted)
        .unwrap_or(usize::MAX)
        .min(piece.len());
    let (taken, rest) = piece.split_at(length);
    *piece = rest;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_out_wherever_the_archive_is_cut() {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, text) in [("a/x.log", "one"), ("a/empty.log", ""), ("a/y.log", "two")] {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            builder
                .append_data(&mut header, name, text.as_bytes())
                .unwrap();
        }
        let archive = builder.into_inner().unwrap();
        for length in [1, 7, 512, archive.len()] {
            let (mut untar, mut names, mut text) = (Untar::default(), Vec::new(), Vec::new());
            for piece in archive.chunks(length) {
                untar.push(
                    piece,
                    &mut |name| names.push(name.to_owned()),
                    &mut |bytes| text.extend_from_slice(bytes),
                );
            }
            assert_eq!(names, ["a/x.log", "a/empty.log", "a/y.log"], "{length}");
            assert_eq!(text, b"onetwo");
        }
    }
}
