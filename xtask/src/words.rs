//! Checks that texts use plain words.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// Words that readers stumble over, and what to write instead.
const WORDS: &[(&str, &str)] = &[
    ("whoever", "everyone who"),
    ("nobody", "no one, or the part that does not"),
    ("anybody", "everyone"),
    ("for ever", "forever"),
    ("so many", "a number of"),
    ("told", "report, set"),
    ("comes to", "results in"),
    ("come to", "result in"),
    ("kin", "similar"),
    ("it is none", "it is not"),
    ("that is none", "that is not"),
    ("of a sort", "a kind of"),
    ("to be had", "available"),
    ("all the same", "nevertheless"),
    ("under way", "in progress"),
    ("a further one", "the next"),
];

/// The files and folders whose text users and developers read.
const TEXTS: &[&str] = &[
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "adapters",
    "deploy",
    "docs",
    "examples",
    "guest",
    "host",
    "notification",
    "runtime",
    "webhook",
    "wit",
];

/// The extensions of these files.
const EXTENSIONS: &[&str] = &[
    "conf", "json", "md", "rs", "service", "socket", "toml", "wit", "yaml", "yml",
];

/// Reports each line that contains one of the words.
///
/// # Errors
/// There is such a line, or a file cannot be read.
pub(crate) fn check(root: &Path) -> anyhow::Result<()> {
    let mut files = Vec::new();
    for text in TEXTS {
        collect(&root.join(text), &mut files)?;
    }
    let mut found = 0;
    for file in &files {
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        for (number, line) in (1..).zip(text.lines()) {
            for (word, instead) in WORDS.iter().filter(|(word, _)| contains(line, word)) {
                found += 1;
                let file = file.strip_prefix(root).unwrap_or(file).display();
                println!("{file}:{number}: `{word}`: write {instead}");
            }
        }
    }
    if found > 0 {
        bail!("{found} words that readers stumble over");
    }
    println!("{} files use plain words", files.len());
    Ok(())
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if !path.is_dir() {
        let extension = path.extension().and_then(|extension| extension.to_str());
        if extension.is_some_and(|extension| EXTENSIONS.contains(&extension)) {
            files.push(path.to_owned());
        }
        return Ok(());
    }
    for entry in fs::read_dir(path).with_context(|| path.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        // The WIT of others, packages of Node, and tests.
        if !matches!(name, Some("deps" | "node_modules" | "target" | "tests")) {
            collect(&path, files)?;
        }
    }
    Ok(())
}

/// Whether a line contains a word, or words, as a whole.
fn contains(line: &str, word: &str) -> bool {
    let line = line.to_lowercase();
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_words_count() {
        assert!(contains("Told twice.", "told"));
        assert!(contains("for ever", "for ever"));
        assert!(!contains("untold, retold_it", "told"));
        assert!(!contains("a king", "kin"));
    }
}
