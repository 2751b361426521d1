//! Reads files that grow, from their end: the last lines without reading what is before them, and
//! what is written from now on, also when the file is rotated by copying and cutting it or by
//! renaming it.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::HostError;

/// Bytes that are read at once.
pub const BLOCK: usize = 128 << 10;

/// Longest line that is read backwards in one piece.
const LONGEST: usize = 1 << 20;

/// Bytes before the place of reading by which a file is known again.
const MARK: usize = 256;

/// How many lines are wanted of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// All.
    All,
    /// So many from its end.
    Last(u64),
}

/// Where the last lines of a file begin, which ends at `end`. A last line without an end counts.
///
/// # Errors
/// It cannot be read.
pub fn start_of(file: &File, end: u64, lines: Lines) -> io::Result<u64> {
    let Lines::Last(wanted) = lines else {
        return Ok(0);
    };
    if wanted == 0 {
        return Ok(end);
    }
    let mut block = vec![0; BLOCK];
    let (mut at, mut found) = (end, 0);
    while at > 0 {
        let length = at.min(BLOCK as u64);
        at -= length;
        let part = part(&mut block, length);
        file.read_exact_at(part, at)?;
        for place in memchr::memrchr_iter(b'\n', part) {
            let after = at + place as u64 + 1;
            // The end of the last line begins no line.
            if after == end {
                continue;
            }
            found += 1;
            if found == wanted {
                return Ok(after);
            }
        }
    }
    Ok(0)
}

fn part(block: &mut [u8], length: u64) -> &mut [u8] {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let length = length.min(block.len());
    block.split_at_mut(length).0
}

/// Hands on the lines of a file from its end at `end` backwards, each with its place and its end, as
/// long as `line` says to go on. Lines of more than a MiB come in several pieces.
///
/// # Errors
/// It cannot be read.
pub fn backwards(
    file: &File,
    end: u64,
    line: &mut dyn FnMut(u64, &[u8]) -> bool,
) -> io::Result<()> {
    // What is read of the file and not handed on: it begins at `at`.
    let (mut rest, mut at) = (Vec::new(), end);
    let mut block = vec![0; BLOCK];
    loop {
        // The end of the last line does not begin another.
        let within = rest.split_last().map_or(&[][..], |(_, before)| before);
        if let Some(place) = memchr::memrchr(b'\n', within) {
            let from = at + place as u64 + 1;
            if !line(from, rest.get(place + 1..).unwrap_or_default()) {
                return Ok(());
            }
            rest.truncate(place + 1);
            continue;
        }
        if at == 0 || rest.len() >= LONGEST {
            if !rest.is_empty() && !line(at, &rest) {
                return Ok(());
            }
            if at == 0 {
                return Ok(());
            }
            rest.clear();
        }
        let length = at.min(BLOCK as u64);
        at -= length;
        let part = part(&mut block, length);
        file.read_exact_at(part, at)?;
        let mut joined = part.to_vec();
        joined.append(&mut rest);
        rest = joined;
    }
}

/// Reads from a place of a file on; 0 at its end.
///
/// # Errors
/// It cannot be read.
pub fn read_at(file: &File, block: &mut [u8], at: u64) -> io::Result<usize> {
    loop {
        match file.read_at(block, at) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// The error that a file cannot be read.
#[must_use]
pub fn cannot_read(path: &Path, source: io::Error) -> HostError {
    HostError::file("read", path, source)
}

/// The log files of a folder, sorted; none where there is no folder.
///
/// # Errors
/// The folder cannot be read.
pub fn logs_of(folder: &Path) -> Result<Vec<PathBuf>, HostError> {
    let failed = |source| HostError::file("read", folder, source);
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(failed)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let is_log = path.extension().is_some_and(|ending| ending == "log");
        // To open anything but a file could wait for ever.
        if is_log && fs::metadata(&path).is_ok_and(|found| found.is_file()) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Copies the last lines of a file, as far as it is written now.
///
/// # Errors
/// It cannot be read, or the output cannot be written.
pub fn copy(path: &Path, lines: Lines, output: &mut impl io::Write) -> io::Result<()> {
    let mut file = File::open(path)?;
    let end = file.metadata()?.len();
    let start = start_of(&file, end, lines)?;
    file.seek(SeekFrom::Start(start))?;
    let mut rest = file.take(end - start);
    // Not `io::copy`: into a pipe that moves page by page, which wakes the reader more often.
    let mut block = vec![0; BLOCK];
    loop {
        match rest.read(&mut block) {
            Ok(0) => return Ok(()),
            Ok(length) => output.write_all(block.get(..length).unwrap_or_default())?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Reads a file from a place on, and what is written into it from then on.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    file: Option<File>,
    at: u64,
    /// The bytes before that place.
    mark: Vec<u8>,
    block: Vec<u8>,
}

impl Follower {
    /// From a place of a file that is open; without one, all of what will stand at the path.
    #[must_use]
    pub fn new(path: &Path, opened: Option<(File, u64)>) -> Self {
        let (file, at) = opened.unzip();
        let mut follower = Self {
            path: path.to_path_buf(),
            file,
            at: at.unwrap_or(0),
            mark: Vec::new(),
            block: vec![0; BLOCK],
        };
        follower.remember();
        follower
    }

    /// From the last lines of a file on.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn open(path: &Path, lines: Lines) -> io::Result<Self> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self::new(path, None));
            }
            other => other?,
        };
        let end = file.metadata()?.len();
        let start = start_of(&file, end, lines)?;
        Ok(Self::new(path, Some((file, start))))
    }

    /// Hands on what has been written since the last call.
    ///
    /// # Errors
    /// The file cannot be read. The next call goes on.
    pub fn poll(&mut self, piece: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        if let Some(file) = &self.file
            && self.was_cut(file)?
        {
            self.read_copy(piece)?;
            self.at = 0;
            self.mark.clear();
        }
        // A renamed file is written to until its writer opens the new one: only when something stands
        // there is the old one complete.
        let next = self.next()?;
        self.read(piece)?;
        if let Some(next) = next {
            self.file = Some(next);
            self.at = 0;
            self.mark.clear();
            self.read(piece)?;
        }
        Ok(())
    }

    /// Whether the file is shorter than what was read of it, or holds something else there.
    fn was_cut(&self, file: &File) -> io::Result<bool> {
        let length = file.metadata()?.len();
        Ok(length < self.at || !self.is_marked(file))
    }

    fn is_marked(&self, file: &File) -> bool {
        let mut found = vec![0; self.mark.len()];
        let from = self.at.saturating_sub(self.mark.len() as u64);
        file.read_exact_at(&mut found, from).is_ok() && found == self.mark
    }

    /// What was written between the last call and the copying of the file stands in the copy only.
    fn read_copy(&mut self, piece: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".1");
        // A copy that is compressed or named in another way cannot be read from.
        let Ok(copy) = File::open(Path::new(&name)) else {
            return Ok(());
        };
        if self.mark.is_empty() || !self.is_marked(&copy) {
            return Ok(());
        }
        let file = self.file.replace(copy);
        let outcome = self.read(piece);
        self.file = file;
        outcome
    }

    /// The file that stands at the path now, once it holds something, where it is another one.
    fn next(&self) -> io::Result<Option<File>> {
        let found = match fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        if let Some(file) = &self.file {
            let own = file.metadata()?;
            if (own.dev(), own.ino()) == (found.dev(), found.ino()) || found.len() == 0 {
                return Ok(None);
            }
        }
        match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            other => other.map(Some),
        }
    }

    /// Reads to the end of the file.
    fn read(&mut self, piece: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let before = self.at;
        loop {
            let length = read_at(file, &mut self.block, self.at)?;
            if length == 0 {
                break;
            }
            piece(self.block.get(..length).unwrap_or_default());
            self.at += length as u64;
        }
        if self.at != before {
            self.remember();
        }
        Ok(())
    }

    fn remember(&mut self) {
        let length = self.at.min(MARK as u64);
        let mut mark = vec![0; usize::try_from(length).unwrap_or(MARK)];
        let read = self
            .file
            .as_ref()
            .map(|file| file.read_exact_at(&mut mark, self.at - length));
        // Cut in this moment: then the next call sees that it is shorter.
        self.mark = match read {
            Some(Ok(())) => mark,
            _ => Vec::new(),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        fs::write(&path, content).unwrap();
        (folder, path)
    }

    fn append(path: &Path, text: &str) {
        let mut options = fs::OpenOptions::new();
        let mut file = options.create(true).append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// Copies a file away and cuts it, as logrotate does.
    fn copy_and_cut(path: &Path) {
        fs::copy(path, path.with_extension("log.1")).unwrap();
        let file = fs::OpenOptions::new().write(true).open(path).unwrap();
        file.set_len(0).unwrap();
    }

    #[test]
    fn the_last_lines_are_found_from_the_end() {
        for (text, wanted, expected) in [
            ("a\nb\nc\n", 2, "b\nc\n"),
            ("a\nb\nc", 2, "b\nc"),
            ("a\nb\nc\n", 3, "a\nb\nc\n"),
            ("a\nb\nc\n", 9, "a\nb\nc\n"),
            ("a\nb\n", 0, ""),
            ("\n\n\n", 1, "\n"),
            ("", 5, ""),
        ] {
            let (_folder, path) = file(text.as_bytes());
            let mut output = Vec::new();
            copy(&path, Lines::Last(wanted), &mut output).unwrap();
            assert_eq!(output, expected.as_bytes(), "{text:?} {wanted}");
        }
    }

    #[test]
    fn long_files_are_read_backwards_block_by_block() {
        let line = |number: usize| format!("{number} {}\n", "x".repeat(number % 700));
        let text: String = (0..3000).map(line).collect();
        assert!(text.len() > 4 * BLOCK);
        let (_folder, path) = file(text.as_bytes());
        let opened = File::open(&path).unwrap();
        let end = text.len() as u64;
        let start = start_of(&opened, end, Lines::Last(2000)).unwrap();
        let expected: String = (1000..3000).map(line).collect();
        assert_eq!(&text[usize::try_from(start).unwrap()..], expected);
        let mut number = 3000;
        backwards(&opened, end, &mut |at, found| {
            number -= 1;
            assert_eq!(found, line(number).as_bytes());
            assert!(text[usize::try_from(at).unwrap()..].starts_with(&line(number)));
            number > 10
        })
        .unwrap();
        assert_eq!(number, 10);
    }

    #[test]
    fn backwards_ends_with_the_first_line() {
        for (text, expected) in [
            ("a\nb", vec!["b", "a\n"]),
            ("\n\n", vec!["\n", "\n"]),
            ("", vec![]),
        ] {
            let (_folder, path) = file(text.as_bytes());
            let opened = File::open(&path).unwrap();
            let mut found = Vec::new();
            backwards(&opened, text.len() as u64, &mut |_, line| {
                found.push(String::from_utf8(line.to_vec()).unwrap());
                true
            })
            .unwrap();
            assert_eq!(found, expected, "{text:?}");
        }
    }

    struct Reading {
        follower: Follower,
        text: String,
    }

    impl Reading {
        fn new(path: &Path) -> Self {
            Self {
                follower: Follower::open(path, Lines::Last(1)).unwrap(),
                text: String::new(),
            }
        }

        fn poll(&mut self) -> &str {
            let text = &mut self.text;
            let mut take = |piece: &[u8]| text.push_str(std::str::from_utf8(piece).unwrap());
            self.follower.poll(&mut take).unwrap();
            &self.text
        }
    }

    #[test]
    fn a_file_is_followed_through_copy_and_cut() {
        let (_folder, path) = file(b"old\nlast\n");
        let mut reading = Reading::new(&path);
        assert_eq!(reading.poll(), "last\n");
        append(&path, "a\n");
        assert_eq!(reading.poll(), "last\na\n");
        // Written after the last look and before the copy; then cut, and shorter than before.
        append(&path, "b\n");
        copy_and_cut(&path);
        append(&path, "c\n");
        assert_eq!(reading.poll(), "last\na\nb\nc\n");
        // Cut, and longer than before at the next look.
        append(&path, "d\n");
        copy_and_cut(&path);
        append(&path, "e, which is much longer than all before\n");
        assert_eq!(
            reading.poll(),
            "last\na\nb\nc\nd\ne, which is much longer than all before\n"
        );
        assert_eq!(reading.poll().lines().count(), 6);
        // Cut, and as long as before.
        let length = fs::metadata(&path).unwrap().len();
        copy_and_cut(&path);
        append(
            &path,
            &format!("{:>1$}\n", "f", usize::try_from(length).unwrap() - 1),
        );
        assert_eq!(reading.poll().lines().count(), 7);
    }

    #[test]
    fn a_file_is_followed_through_a_rename() {
        let (_folder, path) = file(b"last\n");
        let mut reading = Reading::new(&path);
        let moved = path.with_extension("log.1");
        fs::rename(&path, &moved).unwrap();
        append(&moved, "a\n");
        assert_eq!(reading.poll(), "last\na\n");
        // The new file is there, and the writer has not opened it yet.
        append(&path, "");
        append(&moved, "b\n");
        assert_eq!(reading.poll(), "last\na\nb\n");
        append(&moved, "c\n");
        append(&path, "d\n");
        assert_eq!(reading.poll(), "last\na\nb\nc\nd\n");
        append(&path, "e\n");
        assert_eq!(reading.poll(), "last\na\nb\nc\nd\ne\n");
    }

    #[test]
    fn a_file_may_come_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let mut reading = Reading::new(&path);
        assert_eq!(reading.poll(), "");
        append(&path, "a\n");
        assert_eq!(reading.poll(), "a\n");
    }

    #[test]
    fn only_files_with_the_ending_are_logs() {
        let (folder, path) = file(b"");
        fs::write(folder.path().join("a.log.1"), "").unwrap();
        fs::create_dir(folder.path().join("b.log")).unwrap();
        assert_eq!(logs_of(folder.path()).unwrap(), [path]);
        let gone = folder.path().join("gone");
        assert_eq!(logs_of(&gone).unwrap(), Vec::<PathBuf>::new());
    }
}
