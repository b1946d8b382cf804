//! JSON pointers (RFC 6901), made step by step.

/// A pointer, one member further.
///
/// ```
/// assert_eq!(touchstone_core::pointer::below("/a", "b/c~"), "/a/b~1c~0");
/// ```
#[must_use]
pub fn below(pointer: &str, member: &str) -> String {
    format!("{pointer}/{}", member.replace('~', "~0").replace('/', "~1"))
}
