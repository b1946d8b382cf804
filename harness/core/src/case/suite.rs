//! Loading case files and checking them against the catalog.

use std::collections::BTreeSet;

use super::fixture::FixtureCatalog;
use super::model::Case;
use super::need::Need;
use super::step::Action;
use crate::revision::Revision;
use crate::spec::assertion;
use crate::spec::requirement::Catalog;
use crate::yaml::{self, YamlError};

/// A case file as it was loaded.
#[derive(Debug, Clone)]
pub struct CaseFile {
    /// The area, which is the folder below the root of the cases.
    pub area: String,
    /// The path that errors and reports show, for example `cases/tools/calling.yaml`.
    pub path: String,
    /// Its cases, in order.
    pub cases: Vec<Case>,
}

/// All cases of a run.
#[derive(Debug, Clone, Default)]
pub struct Suite {
    /// The fixtures that are known by their names.
    pub fixtures: FixtureCatalog,
    /// The files, in the order in which they were added.
    pub files: Vec<CaseFile>,
}

/// Why a case file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// It is not well-formed, or says something impossible; the place is shown.
    #[error(transparent)]
    Yaml(#[from] YamlError),
    /// The embedded form of a file is damaged.
    #[error("{path}: {error}")]
    Embedded {
        /// The file.
        path: String,
        /// What the reader said.
        error: String,
    },
}

impl Suite {
    /// Reads a YAML file and adds its cases.
    ///
    /// # Errors
    /// When the file is malformed or names a requirement, precondition or revision that does not exist; the error shows file, line and column.
    pub fn add_yaml(&mut self, area: &str, path: &str, text: &str, catalog: &Catalog) -> Result<(), LoadError> {
        let cases: Vec<Case> = yaml::parse(path, text)?;
        self.check(area, path, text, &cases, catalog)?;
        self.files.push(CaseFile {
            area: area.to_owned(),
            path: path.to_owned(),
            cases,
        });
        Ok(())
    }

    /// Adds the cases of a file that was translated to JSON when the program was built, and was checked by a test then.
    ///
    /// # Errors
    /// When the text is not what [`Suite::add_yaml`] would read.
    pub fn add_embedded(&mut self, area: &str, path: &str, json: &str) -> Result<(), LoadError> {
        let cases: Vec<Case> = serde_json::from_str(json).map_err(|error| LoadError::Embedded {
            path: path.to_owned(),
            error: error.to_string(),
        })?;
        self.files.push(CaseFile {
            area: area.to_owned(),
            path: path.to_owned(),
            cases,
        });
        Ok(())
    }

    /// All cases with their ids, `area/name`.
    pub fn cases(&self) -> impl Iterator<Item = (String, &CaseFile, &Case)> {
        self.files.iter().flat_map(|file| {
            file.cases
                .iter()
                .map(move |case| (format!("{}/{}", file.area, case.name), file, case))
        })
    }

    /// The cases that run in `revision`: those with a requirement that exists there, within the range that the case gives.
    pub fn of<'a>(
        &'a self,
        revision: Revision,
        catalog: &'a Catalog,
    ) -> impl Iterator<Item = (String, &'a CaseFile, &'a Case)> {
        self.cases().filter(move |(_, _, case)| {
            let exists = |id: &&str| {
                catalog
                    .get(id)
                    .is_some_and(|requirement| requirement.level(revision).is_some())
            };
            case.revisions.contains(revision) && case.requirements().iter().any(exists)
        })
    }

    fn check(&self, area: &str, path: &str, text: &str, cases: &[Case], catalog: &Catalog) -> Result<(), LoadError> {
        let mut names: BTreeSet<&str> = BTreeSet::new();
        let taken: BTreeSet<&str> = self
            .files
            .iter()
            .filter(|file| file.area == area)
            .flat_map(|file| file.cases.iter().map(|case| case.name.as_str()))
            .collect();
        for case in cases {
            let complain =
                |needle: &str, message: &str| -> LoadError { YamlError::at(path, text, needle, message).into() };
            if !is_slug(&case.name) {
                return Err(complain(
                    &case.name,
                    "a case is named by lower-case words joined by hyphens",
                ));
            }
            if taken.contains(case.name.as_str()) || !names.insert(&case.name) {
                return Err(complain(
                    &case.name,
                    &format!("there is a case {area}/{} already", case.name),
                ));
            }
            for id in case.requirements() {
                if catalog.get(id).is_none() {
                    let hint = catalog
                        .nearest(id)
                        .map(|near| format!("; did you mean {near}?"))
                        .unwrap_or_default();
                    return Err(complain(id, &format!("unknown requirement {id}{hint}")));
                }
            }
            if case.requirements().is_empty() {
                return Err(complain(
                    &case.name,
                    "the case is tied to no requirement: add an expectation, or `exercises`",
                ));
            }
            for need in &case.needs {
                need.parse::<Need>().map_err(|message| complain(need, &message))?;
            }
            let mut problem = None;
            let mut connections: BTreeSet<&str> = BTreeSet::new();
            case.visit(&mut |step| {
                for need in &step.needs {
                    problem = problem.take().or_else(|| need.parse::<Need>().err());
                }
                if let Action::Connect { name, .. } = &step.action {
                    connections.insert(name);
                }
                if let Some(on) = step.on.as_deref().filter(|on| !connections.contains(on)) {
                    problem = problem
                        .take()
                        .or_else(|| Some(format!("no step before this one opens the connection {on:?}")));
                }
                for schema in step
                    .expect
                    .iter()
                    .flat_map(super::Expectation::matches)
                    .flat_map(|group| group.0.values())
                {
                    if schema.is_object() && !schema.to_string().contains("${") {
                        problem = problem.take().or_else(|| assertion::check(schema).err());
                    }
                }
                if let Action::Request { id: Some(token), .. } | Action::Start { id: Some(token), .. } = &step.action
                    && !token.contains("${")
                    && serde_json::from_str::<serde_json::Value>(token).is_err()
                {
                    problem = problem.take().or_else(|| {
                        Some(format!(
                            "the id {token:?} is not a JSON value; a string id has quotes of its own: '\"x\"'"
                        ))
                    });
                }
            });
            if let Some(message) = problem {
                return Err(complain(&case.name, &message));
            }
        }
        Ok(())
    }
}

fn is_slug(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('-')
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Catalog {
        let text = r#"[{"id": "tools/name-unique", "levels": {"2025-06-18": "MUST"}, "statement": "s", "ref": "r", "needs": "tools",
            "test": "t", "kind": "wire", "tier": "A", "oracle": "monitor"}]"#;
        Catalog::from_json([("tools", text)]).unwrap()
    }

    fn load(text: &str) -> Result<Suite, String> {
        let mut suite = Suite::default();
        suite
            .add_yaml("tools", "cases/tools/a.yaml", text, &catalog())
            .map_err(|error| error.to_string())?;
        Ok(suite)
    }

    #[test]
    fn a_case_runs_where_one_of_its_requirements_exists() {
        let suite = load("- case: a\n  title: t\n  steps:\n    - request: ping\n      expect:\n        - requirement: tools/name-unique\n          that: {outcome: result}\n").unwrap();
        let catalog = catalog();
        assert_eq!(suite.of(Revision::V2025_06_18, &catalog).count(), 1);
        assert_eq!(suite.of(Revision::V2025_03_26, &catalog).count(), 0);
    }

    #[test]
    fn a_misspelt_requirement_is_shown_with_its_place_and_the_nearest() {
        let error = load("- case: a\n  title: t\n  exercises: [tools/name-uniqe]\n  steps: []\n").unwrap_err();
        insta::assert_snapshot!(error);
    }

    #[test]
    fn mistakes_in_a_case_are_refused() {
        for (text, complaint) in [
            (
                "- case: A b\n  title: t\n  exercises: [tools/name-unique]\n  steps: []\n",
                "lower-case",
            ),
            ("- case: a\n  title: t\n  steps: []\n", "tied to no requirement"),
            (
                "- case: a\n  title: t\n  needs: [tols]\n  exercises: [tools/name-unique]\n  steps: []\n",
                "unknown precondition",
            ),
            (
                "- case: a\n  title: t\n  exercises: [tools/name-unique]\n  steps: [{request: p, id: x}]\n",
                "not a JSON value",
            ),
            (
                "- case: a\n  title: t\n  exercises: [tools/name-unique]\n  steps: [{request: p, needs: [tols]}]\n",
                "unknown precondition",
            ),
            (
                "- case: a\n  title: t\n  steps: [{request: p, expect: [{requirement: tools/name-unique, that: {a: {type: strng}}}]}]\n",
                "not a JSON Schema",
            ),
            ("- case: a\n  titel: t\n  steps: []\n", "unknown field"),
        ] {
            let error = load(text).unwrap_err();
            assert!(
                error.contains(complaint) && error.contains("cases/tools/a.yaml:"),
                "{text}\n{error}"
            );
        }
    }
}
