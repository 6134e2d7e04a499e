//! From a list's paths to its files: a file, the plain files of a folder, or what a glob matches.

use super::LoadFault;
use crate::config::Dataset;
use glob::MatchOptions;
use std::path::{Path, PathBuf};

/// The files of a list, in a fixed order, and what is wrong with its other paths. One that stands for nothing is a fault:
/// an empty list is never an accident.
pub(super) fn locate(dataset: &Dataset) -> (Vec<PathBuf>, Vec<LoadFault>) {
    let mut files = Vec::new();
    let mut faults = Vec::new();
    for path in &dataset.paths {
        match files_of(path) {
            Ok(found) => files.extend(found),
            Err(why) => faults.push(LoadFault::new(dataset, path, &why)),
        }
    }
    (files, faults)
}

fn files_of(path: &Path) -> Result<Vec<PathBuf>, String> {
    if is_pattern(path) {
        return glob_files(path);
    }
    let found = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !found.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(|error| error.to_string())? {
        let entry = entry.map_err(|error| error.to_string())?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if !hidden && is_plain_file(&entry.path())? {
            files.push(entry.path());
        }
    }
    if files.is_empty() {
        return Err("this folder holds no plain file whose name does not begin with a dot".into());
    }
    files.sort();
    Ok(files)
}

/// A link to nothing is a fault, not a file less: somebody meant it to be part of the list.
fn is_plain_file(path: &Path) -> Result<bool, String> {
    let found = std::fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(found.is_file())
}

/// A path with a wildcard is a pattern, unless a file of just that name exists.
fn is_pattern(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().iter().any(|byte| b"*?[".contains(byte)) && !path.exists()
}

/// The plain files that a pattern matches. As in a shell, and as in a folder, a wildcard does not match a leading dot:
/// an editor's `.list.txt.swp` is not part of the list.
fn glob_files(pattern: &Path) -> Result<Vec<PathBuf>, String> {
    let pattern = pattern.to_str().ok_or("a pattern has to be UTF-8")?;
    let mut files = Vec::new();
    let options = MatchOptions { require_literal_leading_dot: true, ..MatchOptions::new() };
    for found in glob::glob_with(pattern, options).map_err(|error| format!("is no pattern: {error}"))? {
        let found = found.map_err(|error| error.to_string())?;
        if is_plain_file(&found)? {
            files.push(found);
        }
    }
    if files.is_empty() {
        return Err("this pattern matches no file".into());
    }
    files.sort();
    Ok(files)
}
