//! The generator of a schema.

use arbitrary::Unstructured;
use serde_json::Value;
use touchstone_core::spec::judge::{DialectPolicy, Judgement, SchemaJudge, SchemaProblem};

use crate::boundary::{self, Labelled};
use crate::build::build;
use crate::source::Source;
use crate::violation::{self, SingleFault};

/// Why a value of some kind cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unsupported(pub String);

/// Attempts with a tape of its own that follow when the simplest value is not valid.
const ATTEMPTS: u64 = 40;

/// Makes values for a schema, usually a tool's `inputSchema`.
///
/// ```
/// use serde_json::json;
/// use touchstone_generate::Generator;
/// let schema = json!({"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}, "required": ["n"]});
/// let generator = Generator::new(&schema).unwrap();
/// assert_eq!(generator.simplest().unwrap(), json!({"n": 3}));
/// assert_eq!(generator.violation_of("minimum").unwrap().value, json!({"n": 2}));
/// ```
#[derive(Debug)]
pub struct Generator {
    judge: SchemaJudge,
}

impl Generator {
    /// A generator for a schema in any common dialect.
    ///
    /// # Errors
    /// When the schema is not usable.
    pub fn new(schema: &Value) -> Result<Self, SchemaProblem> {
        Ok(Self {
            judge: SchemaJudge::compile(schema, DialectPolicy::AnyCommon)?,
        })
    }

    /// The judge of the schema.
    #[must_use]
    pub fn judge(&self) -> &SchemaJudge {
        &self.judge
    }

    /// The simplest valid value: required parts only, examples and defaults first. The same every time.
    ///
    /// # Errors
    /// When no value is found that is valid under every reading.
    pub fn simplest(&self) -> Result<Value, Unsupported> {
        let first = self.attempt(&mut Source::Simplest);
        if first.is_ok() {
            return first;
        }
        for seed in 0..ATTEMPTS {
            let tape = tape(seed);
            if let Ok(value) = self.attempt(&mut Source::Tape(&mut Unstructured::new(&tape))) {
                return Ok(value);
            }
        }
        first
    }

    /// A valid value with as many optional parts as possible, or else the simplest.
    ///
    /// # Errors
    /// When no valid value is found.
    pub fn fullest(&self) -> Result<Value, Unsupported> {
        self.attempt(&mut Source::Everything).or_else(|_| self.simplest())
    }

    /// A valid value made from the bytes of a tape.
    ///
    /// # Errors
    /// When the tape leads to a value that is not valid, which happens for intricate schemas.
    pub fn valid(&self, tape: &mut Unstructured<'_>) -> Result<Value, Unsupported> {
        self.attempt(&mut Source::Tape(tape))
    }

    /// Valid values at the edges of what the schema allows. The same every time.
    #[must_use]
    pub fn boundaries(&self) -> Vec<Labelled> {
        let Ok(base) = self.fullest() else { return Vec::new() };
        let mut found = boundary::boundaries(
            self.judge.schema(),
            &base,
            &self.simplest().unwrap_or_else(|_| base.clone()),
        );
        found.retain(|labelled| self.judge.judge(&labelled.value) == Judgement::Valid);
        found
    }

    /// Values that break exactly one keyword at one place, certainly. The same every time.
    #[must_use]
    pub fn violations(&self) -> Vec<SingleFault> {
        let Ok(base) = self.fullest() else { return Vec::new() };
        let mut found = violation::violations(self.judge.schema(), &base);
        found.retain(|fault| match self.judge.judge(&fault.value) {
            Judgement::Invalid(violations) => violations.iter().all(|violation| violation.keyword == fault.keyword),
            _ => false,
        });
        found
    }

    /// A value that breaks a keyword, at the place nearest to the root.
    #[must_use]
    pub fn violation_of(&self, keyword: &str) -> Option<SingleFault> {
        self.violations()
            .into_iter()
            .filter(|fault| fault.keyword == keyword)
            .min_by_key(|fault| fault.pointer.matches('/').count())
    }

    fn attempt(&self, source: &mut Source<'_, '_>) -> Result<Value, Unsupported> {
        let schema = self.judge.schema();
        let value = build(schema, schema, source, 0)?;
        match self.judge.judge(&value) {
            Judgement::Valid => Ok(value),
            Judgement::Invalid(violations) => {
                let first = violations
                    .first()
                    .map(|violation| violation.message.clone())
                    .unwrap_or_default();
                Err(Unsupported(format!("the values found are not valid: {first}")))
            }
            Judgement::Doubtful(reason) => Err(Unsupported(reason)),
        }
    }
}

/// A tape of pseudo-random bytes (xorshift).
fn tape(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).take(64).flatten().collect()
}
