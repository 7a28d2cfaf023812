//! The URL of a journal.

use std::path::PathBuf;

/// Parses `sqlite:PATH`, with or without the two slashes that other programs
/// require. Returns the path.
///
/// # Errors
/// Why the URL is refused. Empty if it is of another form.
pub(super) fn parse(url: &str) -> Result<PathBuf, String> {
    let path = url.strip_prefix("sqlite:").ok_or_else(String::new)?;
    let (path, is_url) = match path.strip_prefix("//") {
        Some(path) => (path, true),
        None => (path, false),
    };
    if path.is_empty() {
        return Err("it has no path".to_owned());
    }
    if path == ":memory:" {
        return Err("a journal must survive a restart, so it needs a file".to_owned());
    }
    if is_url && path.contains('?') {
        return Err(
            "there are no parameters. For a file name with `?` write `sqlite:PATH`".to_owned(),
        );
    }
    Ok(path.into())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_usual_form_names_the_file_that_is_meant() {
        for (url, path) in [
            ("sqlite:batchtask.db", "batchtask.db"),
            ("sqlite:./folder/batchtask.db", "./folder/batchtask.db"),
            ("sqlite:/srv/batchtask.db", "/srv/batchtask.db"),
            ("sqlite://data.db", "data.db"),
            ("sqlite://folder/data.db", "folder/data.db"),
            ("sqlite:///srv/data.db", "/srv/data.db"),
            ("sqlite:////srv/data.db", "//srv/data.db"),
            ("sqlite:what?.db", "what?.db"),
        ] {
            assert_eq!(parse(url).unwrap(), Path::new(path), "{url}");
        }
    }

    #[test]
    fn other_forms_are_refused_with_what_is_right() {
        for (url, reason) in [
            ("batchtask.db", ""),
            ("sqlite:", "no path"),
            ("sqlite://", "no path"),
            ("postgres://localhost", ""),
            ("sqlite::memory:", "needs a file"),
            ("sqlite://:memory:", "needs a file"),
            ("sqlite://data.db?mode=rwc", "no parameters"),
        ] {
            let error = parse(url).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
