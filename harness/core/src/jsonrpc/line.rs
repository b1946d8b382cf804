//! Splitting a byte stream into lines, with a cap.

/// A piece of the stream that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A line without its LF; a CR before it is kept.
    Complete(Vec<u8>),
    /// A line longer than the cap: its beginning, and how long it was.
    TooLong {
        /// The first bytes.
        kept: Vec<u8>,
        /// Bytes up to the LF.
        total: usize,
    },
}

/// Splits at LF, and at nothing else. Memory is bounded by the cap plus what was pushed last.
#[derive(Debug)]
pub struct LineReader {
    cap: usize,
    buffer: Vec<u8>,
    /// Where in the buffer the present line begins: what is before it was given out.
    start: usize,
    /// Up to where the buffer holds no LF that was not seen.
    searched: usize,
    /// Bytes of an overlong line that were thrown away.
    discarded: usize,
}

impl LineReader {
    /// The longest line that is kept whole by default, in bytes.
    pub const DEFAULT_CAP: usize = 16 * 1024 * 1024;

    /// A reader that keeps lines of up to `cap` bytes whole.
    #[must_use]
    pub fn new(cap: usize) -> Self {
        Self {
            cap,
            buffer: Vec::new(),
            start: 0,
            searched: 0,
            discarded: 0,
        }
    }

    /// Adds bytes from the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        // Once for each piece of the stream, not for each line: a flood of short lines must not cost more than its bytes.
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.searched -= self.start;
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next line that has ended.
    pub fn next_line(&mut self) -> Option<Line> {
        match self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') {
            Some(position) => {
                let end = self.searched + position;
                let mut line = self.buffer[self.start..end].to_vec();
                self.start = end + 1;
                self.searched = self.start;
                if self.start == self.buffer.len() {
                    // What one long line has taken is not held on to.
                    self.buffer = Vec::new();
                    self.start = 0;
                    self.searched = 0;
                }
                let total = line.len() + self.discarded;
                let discarded = std::mem::take(&mut self.discarded);
                if discarded == 0 && total <= self.cap {
                    return Some(Line::Complete(line));
                }
                line.truncate(self.cap);
                Some(Line::TooLong { kept: line, total })
            }
            None => {
                let length = self.buffer.len() - self.start;
                if length > self.cap {
                    self.discarded += length - self.cap;
                    self.buffer.truncate(self.start + self.cap);
                }
                self.searched = self.buffer.len();
                None
            }
        }
    }

    /// What came after the last LF, when the stream has ended.
    #[must_use]
    pub fn finish(mut self) -> Option<Vec<u8>> {
        let rest = self.buffer.split_off(self.start);
        (!rest.is_empty()).then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_flood_of_empty_lines_costs_no_more_than_its_bytes() {
        let mut reader = LineReader::new(100);
        reader.push(&vec![b'\n'; 4_000_000]);
        assert_eq!(std::iter::from_fn(|| reader.next_line()).count(), 4_000_000);
    }

    fn lines(reader: &mut LineReader) -> Vec<Line> {
        std::iter::from_fn(|| reader.next_line()).collect()
    }

    #[test]
    fn only_lf_ends_a_line() {
        let mut reader = LineReader::new(100);
        reader.push("a\r\n\u{2028}b\n\nrest".as_bytes());
        let expected = ["a\r", "\u{2028}b", ""].map(|text| Line::Complete(text.as_bytes().to_vec()));
        assert_eq!(lines(&mut reader), expected);
        assert_eq!(reader.finish(), Some(b"rest".to_vec()));
    }

    #[test]
    fn an_endless_line_costs_no_more_than_the_cap() {
        let mut reader = LineReader::new(8);
        for _ in 0..1000 {
            reader.push(&[b'x'; 64]);
            assert_eq!(reader.next_line(), None);
            assert!(reader.buffer.len() <= 8);
        }
        reader.push(b"\nnext\n");
        assert_eq!(
            reader.next_line(),
            Some(Line::TooLong {
                kept: b"xxxxxxxx".to_vec(),
                total: 64_000
            })
        );
        assert_eq!(reader.next_line(), Some(Line::Complete(b"next".to_vec())));
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter(bytes in prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..80), size in 1usize..9) {
            let mut whole = LineReader::new(1000);
            whole.push(&bytes);
            let mut parts = LineReader::new(1000);
            let mut seen = Vec::new();
            for chunk in bytes.chunks(size) {
                parts.push(chunk);
                seen.extend(lines(&mut parts));
            }
            prop_assert_eq!(lines(&mut whole), seen);
            prop_assert_eq!(whole.finish(), parts.finish());
        }
    }
}
