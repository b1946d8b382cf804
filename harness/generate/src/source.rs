//! Where a generator takes its choices from.

use arbitrary::Unstructured;

/// A source of choices.
pub(crate) enum Source<'a, 'tape> {
    /// Always the first and the least: the simplest value.
    Simplest,
    /// Always the first, with every optional part: a value that shows all of the schema.
    Everything,
    /// From the bytes of a tape; when it is used up, the first and the least.
    Tape(&'a mut Unstructured<'tape>),
}

impl Source<'_, '_> {
    /// One of `count` alternatives.
    pub(crate) fn pick(&mut self, count: usize) -> usize {
        match self {
            Self::Tape(tape) if count > 1 => tape.int_in_range(0..=count - 1).unwrap_or(0),
            _ => 0,
        }
    }

    /// Whether an optional part is there.
    pub(crate) fn include(&mut self) -> bool {
        match self {
            Self::Simplest => false,
            Self::Everything => true,
            Self::Tape(tape) => tape.arbitrary().unwrap_or(false),
        }
    }

    /// A number between two bounds, both included; the one nearest to zero when there is no tape.
    pub(crate) fn number(&mut self, least: i64, most: i64) -> i64 {
        let simplest = 0.clamp(least, most.max(least));
        match self {
            Self::Tape(tape) if least <= most => tape.int_in_range(least..=most).unwrap_or(simplest),
            _ => simplest,
        }
    }

    /// Whether the choices come from a tape.
    pub(crate) fn is_tape(&self) -> bool {
        matches!(self, Self::Tape(_))
    }
}
