//! Everything that a run needs beside a server: requirements, schemas and cases, loaded from the program itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use touchstone_core::case::{FixtureCatalog, LoadError, Suite};
use touchstone_core::spec::requirement::{Catalog, CatalogError};
use touchstone_core::spec::schema::{LoadError as SchemaError, SchemaLibrary};

/// Requirements, schemas and cases.
pub struct Bundle {
    /// The requirements.
    pub catalog: Catalog,
    /// The message schemas.
    pub schemas: Arc<SchemaLibrary>,
    /// The cases.
    pub suite: Suite,
}

/// Why the bundle cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The catalog is damaged.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A schema document is damaged.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A case file is malformed.
    #[error(transparent)]
    Case(#[from] LoadError),
}

/// Why a folder of the user's own cases cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// It cannot be read.
    #[error("{path}: {error}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// There is no case file in it.
    #[error("{0}: there is no .yaml file in this folder")]
    Empty(PathBuf),
    /// A case file is malformed.
    #[error(transparent)]
    Case(#[from] LoadError),
}

impl Bundle {
    /// Loads what the program carries.
    ///
    /// # Errors
    /// When something in it is damaged, which its tests rule out.
    pub fn load() -> Result<Self, BundleError> {
        let catalog = Catalog::from_json(
            touchstone_cases::requirements()
                .iter()
                .map(|file| (file.area, file.json)),
        )?;
        let schemas = SchemaLibrary::load(
            touchstone_cases::schemas()
                .iter()
                .map(|schema| (schema.name, schema.text)),
            &catalog,
        )?;
        let mut suite = Suite {
            fixtures: FixtureCatalog::from_json("cases/fixtures.yaml", touchstone_cases::fixtures())?,
            ..Suite::default()
        };
        for file in touchstone_cases::cases() {
            suite.add_embedded(file.area, file.path, file.json)?;
        }
        Ok(Self {
            catalog,
            schemas: Arc::new(schemas),
            suite,
        })
    }

    /// Adds the case files of a folder. Files in a subfolder belong to the area of its name, others to the area `own`.
    ///
    /// # Errors
    /// When the folder cannot be read, holds no case file, or one is malformed.
    pub fn add_folder(&mut self, folder: &Path) -> Result<(), CheckError> {
        let mut files = Vec::new();
        collect(folder, &mut files)?;
        files.sort();
        if files.is_empty() {
            return Err(CheckError::Empty(folder.to_path_buf()));
        }
        for path in files {
            let text = std::fs::read_to_string(&path).map_err(|error| CheckError::Read {
                path: path.clone(),
                error,
            })?;
            let parent = path
                .parent()
                .filter(|parent| *parent != folder)
                .and_then(Path::file_name)
                .and_then(|name| name.to_str());
            self.suite.add_yaml(
                parent.unwrap_or("own"),
                &path.display().to_string(),
                &text,
                &self.catalog,
            )?;
        }
        Ok(())
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), CheckError> {
    let problem = |error| CheckError::Read {
        path: folder.to_path_buf(),
        error,
    };
    for entry in std::fs::read_dir(folder).map_err(problem)? {
        let path = entry.map_err(problem)?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml")
        {
            files.push(path);
        }
    }
    Ok(())
}
