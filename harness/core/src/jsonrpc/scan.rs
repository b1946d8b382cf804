//! The scanner: one pass over the bytes of one JSON text, with an explicit stack instead of recursion.

use std::collections::HashSet;
use std::ops::Range;

/// Caps that protect the reader.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Deepest nesting of arrays and objects.
    pub depth: usize,
    /// Longest number, in characters.
    pub number: usize,
    /// Most values and member names in one text.
    pub nodes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 100_000,
            number: 10_000,
            nodes: 500_000,
        }
    }
}

/// Oddities of one text that are told.
const MOST_ODDITIES: usize = 1_000;

/// Why bytes are no JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where, in bytes from the start.
    pub offset: usize,
    /// What kind of fault.
    pub kind: FaultKind,
    /// What was found, in words.
    pub description: String,
}

/// Kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// Bytes that are not UTF-8.
    Utf8,
    /// Something that cannot stand there.
    Syntax,
    /// More bytes after a complete value.
    Trailing,
    /// A cap was reached.
    Limit,
}

/// Something unusual in a text that is valid all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Oddity {
    /// It begins with a byte order mark.
    ByteOrderMark,
    /// White space around the value, a carriage return before the newline apart.
    Whitespace,
    /// A carriage return at the end.
    CarriageReturn,
    /// A member name that occurs twice in the same object.
    DuplicateName(String),
    /// An escaped surrogate without its partner.
    LoneSurrogate,
    /// A number whose digits do not survive in a 64-bit integer or float.
    LossyNumber(String),
}

/// A member of the outermost object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name, escapes resolved.
    pub name: String,
    /// Where its value stands.
    pub value: Range<usize>,
}

/// What the scanner found.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub members: Vec<Member>,
    pub elements: Vec<Range<usize>>,
    pub max_depth: usize,
    pub oddities: Vec<Oddity>,
    pub value: Range<usize>,
    pub nodes: usize,
}

/// Why a scan ended without a value.
#[derive(Debug)]
pub(super) enum Stop {
    Incomplete,
    Invalid(Fault),
}

enum Open {
    Object(HashSet<String>),
    Array,
}

struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    limits: &'a Limits,
    nodes: usize,
    scan: Scan,
}

pub(super) fn scan(bytes: &[u8], limits: &Limits) -> Result<Scan, Stop> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        // A character that is cut off at the end may still be completed.
        Err(error) if error.error_len().is_none() => return Err(Stop::Incomplete),
        Err(error) => {
            let offset = error.valid_up_to();
            let description = format!("byte 0x{:02x} at offset {offset} is not UTF-8", bytes[offset]);
            return Err(Stop::Invalid(Fault {
                offset,
                kind: FaultKind::Utf8,
                description,
            }));
        }
    };
    let mut scanner = Scanner {
        text,
        bytes,
        at: 0,
        limits,
        nodes: 0,
        scan: Scan::default(),
    };
    scanner.run()?;
    scanner.scan.nodes = scanner.nodes;
    Ok(scanner.scan)
}

impl Scanner<'_> {
    fn run(&mut self) -> Result<(), Stop> {
        if self.text.starts_with('\u{feff}') {
            self.scan.oddities.push(Oddity::ByteOrderMark);
            self.at = 3;
        }
        let before = self.at;
        self.skip_whitespace();
        let mut odd_space = self.at > before;
        let start = self.at;
        self.value_tree()?;
        self.scan.value = start..self.at;
        let rest = &self.bytes[self.at..];
        let rest = match rest {
            [inner @ .., b'\r'] => {
                self.scan.oddities.push(Oddity::CarriageReturn);
                inner
            }
            rest => rest,
        };
        if let Some(position) = rest.iter().position(|byte| !is_whitespace(*byte)) {
            let offset = self.at + position;
            return Err(self.fault(offset, FaultKind::Trailing, "more follows after the value"));
        }
        odd_space |= !rest.is_empty();
        if odd_space {
            self.scan.oddities.push(Oddity::Whitespace);
        }
        Ok(())
    }

    /// Scans one value with everything in it.
    fn value_tree(&mut self) -> Result<(), Stop> {
        let mut open: Vec<Open> = Vec::new();
        // Where the value began that is directly inside the outermost container.
        let mut outer_start = 0;
        let mut outer_name = String::new();
        loop {
            // A value is due here.
            self.skip_whitespace();
            if open.len() == 1 {
                outer_start = self.at;
            }
            self.count()?;
            let container = match self.peek()? {
                b'{' => Some(Open::Object(HashSet::new())),
                b'[' => Some(Open::Array),
                b'"' => {
                    self.string()?;
                    None
                }
                b'-' | b'0'..=b'9' => {
                    self.number()?;
                    None
                }
                b't' => self.literal("true")?,
                b'f' => self.literal("false")?,
                b'n' => self.literal("null")?,
                _ => return Err(self.unexpected("a value")),
            };
            // Set while the innermost container has just begun and holds nothing.
            let mut empty = container.is_some();
            if let Some(container) = container {
                self.at += 1;
                open.push(container);
                if open.len() > self.limits.depth {
                    return Err(self.fault(self.at, FaultKind::Limit, "nested too deeply"));
                }
                self.scan.max_depth = self.scan.max_depth.max(open.len());
                self.skip_whitespace();
                match (open.last_mut(), self.peek()?) {
                    (Some(Open::Object(_)), b'}') | (Some(Open::Array), b']') => {} // Empty: closed below.
                    (Some(Open::Object(_)), _) => {
                        self.name(&mut open, &mut outer_name)?;
                        continue;
                    }
                    _ => continue,
                }
            }
            // A value ends here; close what it closes.
            loop {
                let Some(innermost) = open.last() else { return Ok(()) };
                self.skip_whitespace();
                let next = self.peek()?;
                match (innermost, next) {
                    (Open::Object(_), b'}') | (Open::Array, b']') => {
                        if open.len() == 1 && !empty {
                            self.keep_outer(&open, outer_start, &outer_name);
                        }
                        self.at += 1;
                        open.pop();
                        empty = false;
                    }
                    (_, b',') => {
                        if open.len() == 1 {
                            self.keep_outer(&open, outer_start, &outer_name);
                        }
                        self.at += 1;
                        self.skip_whitespace();
                        if matches!(innermost, Open::Object(_)) {
                            self.name(&mut open, &mut outer_name)?;
                        }
                        break;
                    }
                    (Open::Object(_), _) => return Err(self.unexpected("`,` or `}`")),
                    (Open::Array, _) => return Err(self.unexpected("`,` or `]`")),
                }
            }
        }
    }

    /// Notes the value that just ended directly inside the outermost container.
    fn keep_outer(&mut self, open: &[Open], start: usize, name: &str) {
        let end = self.text[..self.at]
            .trim_end_matches(|c: char| c.is_ascii_whitespace())
            .len();
        match open.first() {
            Some(Open::Object(_)) => self.scan.members.push(Member {
                name: name.to_owned(),
                value: start..end,
            }),
            Some(Open::Array) => self.scan.elements.push(start..end),
            None => {}
        }
    }

    /// Scans a member name and its colon.
    fn name(&mut self, open: &mut [Open], outer_name: &mut String) -> Result<(), Stop> {
        self.count()?;
        if self.peek()? != b'"' {
            return Err(self.unexpected("a member name"));
        }
        let start = self.at;
        self.string()?;
        let token = &self.text[start..self.at];
        // A lone surrogate cannot be decoded; the token itself is then the name.
        let name = serde_json::from_str::<String>(token).unwrap_or_else(|_| token.to_owned());
        self.skip_whitespace();
        if self.peek()? != b':' {
            return Err(self.unexpected("`:`"));
        }
        self.at += 1;
        if open.len() == 1 {
            outer_name.clone_from(&name);
        }
        if let Some(Open::Object(names)) = open.last_mut()
            && !names.insert(name.clone())
        {
            self.odd(Oddity::DuplicateName(name));
        }
        Ok(())
    }

    fn string(&mut self) -> Result<(), Stop> {
        self.at += 1;
        let mut high_surrogate = false;
        loop {
            let byte = self.peek()?;
            let mut unit = None;
            match byte {
                b'"' => {
                    self.at += 1;
                    if high_surrogate {
                        self.odd(Oddity::LoneSurrogate);
                    }
                    return Ok(());
                }
                b'\\' => {
                    self.at += 1;
                    match self.peek()? {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
                        b'u' => {
                            self.at += 1;
                            unit = Some(self.four_digits()?);
                        }
                        _ => return Err(self.unexpected("an escape")),
                    }
                }
                0..0x20 => return Err(self.unexpected("no raw control character inside a string")),
                _ => self.at += 1,
            }
            let is_low = unit.is_some_and(|unit| (0xDC00..0xE000).contains(&unit));
            if high_surrogate != is_low {
                self.odd(Oddity::LoneSurrogate);
            }
            high_surrogate = unit.is_some_and(|unit| (0xD800..0xDC00).contains(&unit));
        }
    }

    fn four_digits(&mut self) -> Result<u32, Stop> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = (self.peek()? as char)
                .to_digit(16)
                .ok_or_else(|| self.unexpected("a hexadecimal digit"))?;
            unit = unit * 16 + digit;
            self.at += 1;
        }
        Ok(unit)
    }

    fn number(&mut self) -> Result<(), Stop> {
        let start = self.at;
        if self.bytes[self.at] == b'-' {
            self.at += 1;
        }
        match self.peek()? {
            b'0' => self.at += 1,
            b'1'..=b'9' => self.digits(),
            _ => return Err(self.unexpected("a digit")),
        }
        let mut integer = true;
        if self.bytes.get(self.at) == Some(&b'.') {
            integer = false;
            self.at += 1;
            self.some_digits()?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            integer = false;
            self.at += 1;
            if let Some(b'+' | b'-') = self.bytes.get(self.at) {
                self.at += 1;
            }
            self.some_digits()?;
        }
        let token = &self.text[start..self.at];
        if token.len() > self.limits.number {
            return Err(self.fault(start, FaultKind::Limit, "a number with too many digits"));
        }
        let fits = if integer {
            token.parse::<i64>().is_ok() || token.parse::<u64>().is_ok()
        } else {
            token.parse::<f64>().is_ok_and(f64::is_finite)
        };
        if !fits {
            self.scan
                .oddities
                .push(Oddity::LossyNumber(token.chars().take(64).collect()));
        }
        Ok(())
    }

    fn some_digits(&mut self) -> Result<(), Stop> {
        if !self.peek()?.is_ascii_digit() {
            return Err(self.unexpected("a digit"));
        }
        self.digits();
        Ok(())
    }

    fn digits(&mut self) {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
    }

    fn literal(&mut self, word: &'static str) -> Result<Option<Open>, Stop> {
        let rest = &self.bytes[self.at..];
        if rest.starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(None)
        } else if word.as_bytes().starts_with(rest) {
            Err(Stop::Incomplete)
        } else {
            Err(self.unexpected("a value"))
        }
    }

    fn skip_whitespace(&mut self) {
        while self.bytes.get(self.at).copied().is_some_and(is_whitespace) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Result<u8, Stop> {
        self.bytes.get(self.at).copied().ok_or(Stop::Incomplete)
    }

    /// Notes something odd, unless much is odd already.
    fn odd(&mut self, oddity: Oddity) {
        if self.scan.oddities.len() < MOST_ODDITIES {
            self.scan.oddities.push(oddity);
        }
    }

    fn count(&mut self) -> Result<(), Stop> {
        self.nodes += 1;
        if self.nodes > self.limits.nodes {
            return Err(self.fault(self.at, FaultKind::Limit, "too many values"));
        }
        Ok(())
    }

    fn unexpected(&self, wanted: &str) -> Stop {
        let found = self.text.get(self.at..).and_then(|rest| rest.chars().next());
        let found = found.map_or_else(|| "the end".to_owned(), |found| format!("{found:?}"));
        self.fault(self.at, FaultKind::Syntax, &format!("expected {wanted}, found {found}"))
    }

    fn fault(&self, offset: usize, kind: FaultKind, what: &str) -> Stop {
        Stop::Invalid(Fault {
            offset,
            kind,
            description: format!("{what} at offset {offset}"),
        })
    }
}

const fn is_whitespace(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}
