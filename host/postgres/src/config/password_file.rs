//! The file of passwords that `PGPASSFILE` names. Each line is
//! `host:port:database:user:password`; `*` matches everything.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tokio_postgres::config::Host;

use super::DEFAULT_PORT;

/// Returns the password of the first line that matches. Every host of the
/// connection must have the same password, because it is sent to any of them.
pub(super) fn find(
    path: &Path,
    postgres: &tokio_postgres::Config,
    database: Option<&str>,
) -> Result<Option<String>, String> {
    let shown = path.display();
    let unreadable = |error| format!("`{shown}` cannot be read: {error}");
    let data = fs::metadata(path).map_err(unreadable)?;
    // A file of root may be readable by its group, as the rule of PostgreSQL for keys is.
    // systemd's credentials are: an access list lets the user of the service read them, and
    // shows as the mode of the group.
    let allowed = if data.uid() == 0 { 0o040 } else { 0 };
    if data.mode() & 0o077 & !allowed != 0 {
        return Err(format!(
            "other users may read `{shown}`: run `chmod 600 {shown}`"
        ));
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    let user = postgres.get_user().unwrap_or("");
    let mut passwords = Vec::new();
    for (place, host) in postgres.get_hosts().iter().enumerate() {
        let host = match host {
            Host::Tcp(host) => host.as_str(),
            Host::Unix(_) => "localhost",
        };
        let ports = postgres.get_ports();
        let port = ports.get(place).or(ports.first()).copied();
        let port = port.unwrap_or(DEFAULT_PORT).to_string();
        let wanted = [host, &port, database.unwrap_or(""), user];
        passwords.push(text.lines().find_map(|line| password(line, wanted)));
    }
    passwords.dedup();
    match passwords.as_slice() {
        [password] => Ok(password.clone()),
        _ => Err(format!("`{shown}` has different passwords for the hosts")),
    }
}

/// Returns the password of a line if its other fields match.
fn password(line: &str, wanted: [&str; 4]) -> Option<String> {
    let fields = fields(line);
    let [host, port, database, user, password] = fields.as_slice() else {
        return None;
    };
    let found = [host, port, database, user];
    let matches = found
        .iter()
        .zip(wanted)
        .all(|(found, wanted)| *found == "*" || *found == wanted);
    matches.then(|| password.clone())
}

/// Splits a line at its colons. A backslash protects the next character.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            ':' if fields.len() < 5 => fields.push(String::new()),
            '\\' => push(&mut fields, characters.next().unwrap_or('\\')),
            other => push(&mut fields, other),
        }
    }
    fields
}

fn push(fields: &mut [String], character: char) {
    if let Some(field) = fields.last_mut() {
        field.push(character);
    }
}
