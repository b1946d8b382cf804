//! The data that Touchstone judges servers by, embedded: requirements, message schemas and cases.
//!
//! The files beside this crate are the source: `requirements/AREA.yaml`, `schemas/NAME.json`, and a folder of case files for each area.
//! They are embedded when the crate is built, and translated from YAML to JSON on the way, because a program that only runs the cases
//! should not spend its first moments on half a megabyte of YAML. The text that people wrote is kept for error messages and listings.
//!
//! Nothing here understands the data: `touchstone-core` does. The case language is explained by `language/manual.yaml`, which is itself a
//! case file, and described for editors by [`CASE_FILE_SCHEMA`].

/// The requirements of one area.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requirements {
    /// The area, which is the first half of every id in it: `tools` in `tools/name-unique`.
    pub area: &'static str,
    /// A JSON array with one object for each requirement; `requirements/README.md` describes its members.
    pub json: &'static str,
}

/// Message schemas of one area, for all revisions at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schema {
    /// The file's name without its extension.
    pub name: &'static str,
    /// A JSON document.
    pub text: &'static str,
}

/// A file of cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaseFile {
    /// The area, which is the folder: `tools`.
    pub area: &'static str,
    /// The path that errors and reports show: `cases/tools/calling.yaml`.
    pub path: &'static str,
    /// The file as it was written.
    pub yaml: &'static str,
    /// The same as compact JSON: an array of cases.
    pub json: &'static str,
}

/// The JSON Schema (2020-12) of case files, for completion and checks in editors.
pub const CASE_FILE_SCHEMA: &str = include_str!("../case.schema.json");

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// Every requirement file, by area.
#[must_use]
pub fn requirements() -> &'static [Requirements] {
    REQUIREMENTS
}

/// Every schema file, by name.
#[must_use]
pub fn schemas() -> &'static [Schema] {
    SCHEMAS
}

/// The fixtures that are known by their names, as JSON; `fixtures.yaml` describes its members.
#[must_use]
pub fn fixtures() -> &'static str {
    FIXTURES
}

/// What usually repairs a mistake, and what SDKs are known for, as JSON; `hints.yaml` describes its members.
#[must_use]
pub fn hints() -> &'static str {
    HINTS
}

/// Every case file, by path.
#[must_use]
pub fn cases() -> &'static [CaseFile] {
    CASES
}
