//! Regular expressions of our own schemas, compiled once.

use std::cell::RefCell;
use std::collections::HashMap;

use regex::Regex;

thread_local! {
    static COMPILED: RefCell<HashMap<String, Option<Regex>>> = RefCell::new(HashMap::new());
}

/// Whether `text` matches somewhere. A pattern that does not compile matches everything; a test keeps such patterns out.
#[must_use]
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    COMPILED.with_borrow_mut(|cache| {
        let compiled = cache
            .entry(pattern.to_owned())
            .or_insert_with(|| Regex::new(pattern).ok());
        compiled.as_ref().is_none_or(|regex| regex.is_match(text))
    })
}
