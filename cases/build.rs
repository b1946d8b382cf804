//! Embeds the data of this crate: requirement files, message schemas and case files.
//!
//! ```text
//! requirements/AREA.yaml ──► JSON ─┐
//! fixtures.yaml, hints.yaml ─► JSON ┤
//! schemas/NAME.json ───────────────┼──► OUT_DIR/embedded.rs, included by src/lib.rs
//! AREA/*.yaml ──► JSON and YAML ───┘
//! ```
//!
//! YAML is translated here, once, so that a program which only runs cases reads JSON and starts without delay.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders of this crate that hold no cases.
const NOT_CASES: [&str; 4] = ["requirements", "schemas", "src", "tests"];

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    // The whole package, so that a new folder is noticed as well.
    println!("cargo:rerun-if-changed=.");

    let mut code = String::new();
    writeln!(code, "const REQUIREMENTS: &[Requirements] = &[")?;
    for file in files(&root.join("requirements"), "yaml")? {
        let json = translated(&file, &out, "requirements")?;
        writeln!(
            code,
            "    Requirements {{ area: {:?}, json: include_str!({json:?}) }},",
            stem(&file)?
        )?;
    }
    writeln!(code, "];\nconst SCHEMAS: &[Schema] = &[")?;
    for file in files(&root.join("schemas"), "json")? {
        writeln!(
            code,
            "    Schema {{ name: {:?}, text: include_str!({:?}) }},",
            stem(&file)?,
            text_path(&file)?
        )?;
    }
    writeln!(
        code,
        "];\nconst FIXTURES: &str = include_str!({:?});",
        translated(&root.join("fixtures.yaml"), &out, "data")?
    )?;
    writeln!(
        code,
        "const HINTS: &str = include_str!({:?});",
        translated(&root.join("hints.yaml"), &out, "data")?
    )?;
    writeln!(code, "const CASES: &[CaseFile] = &[")?;
    for folder in case_folders(&root)? {
        let area = stem(&folder)?;
        for file in files(&folder, "yaml")? {
            let json = translated(&file, &out, &area)?;
            let path = format!("cases/{area}/{}.yaml", stem(&file)?);
            let yaml = text_path(&file)?;
            writeln!(
                code,
                "    CaseFile {{ area: {area:?}, path: {path:?}, yaml: include_str!({yaml:?}), json: include_str!({json:?}) }},"
            )?;
        }
    }
    writeln!(code, "];")?;
    fs::write(out.join("embedded.rs"), code)?;
    Ok(())
}

/// Writes a YAML file as compact JSON below `out`, and gives back where.
fn translated(file: &Path, out: &Path, area: &str) -> Result<String, Box<dyn Error>> {
    // The same reading as that of the loader in touchstone-core; a test compares what the two forms give.
    let options = serde_saphyr::options! {
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
    };
    let text = fs::read_to_string(file)?;
    let value: serde_json::Value = serde_saphyr::from_str_with_options(&text, options).map_err(|error| {
        let options = serde_saphyr::render_options! { source_name: file.to_str() };
        error.render_with_options(options)
    })?;
    let target = out.join(format!("{area}.{}.json", stem(file)?));
    fs::write(&target, serde_json::to_string(&value)?)?;
    text_path(&target)
}

/// Folders with cases, by name.
fn case_folders(root: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        if path.is_dir() && !NOT_CASES.contains(&stem(&path)?.as_str()) {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders)
}

/// Files of a folder with the given extension, by name; none when there is no such folder.
fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut files = Vec::new();
    if folder.is_dir() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_file() && path.extension().is_some_and(|found| found == extension) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn stem(path: &Path) -> Result<String, Box<dyn Error>> {
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    Ok(stem
        .ok_or_else(|| format!("{} has no name in UTF-8", path.display()))?
        .to_owned())
}

fn text_path(path: &Path) -> Result<String, Box<dyn Error>> {
    Ok(path
        .to_str()
        .ok_or_else(|| format!("{} is not UTF-8", path.display()))?
        .to_owned())
}
