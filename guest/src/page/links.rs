//! The addresses of pages. All of them are relative, so that they work behind a proxy
//! that serves the receiver below a path.

use alloc::string::String;

use super::html::Html;
use crate::bindings::exports::batchtask::receiver::intake::Response;
use crate::outcomes::{Success, redirect};
use crate::percent::{decode, encode};
use crate::routes::{Parameters, Route, View, split};

/// The greatest length of a link. Hosts do not accept a longer path.
const LINK_BYTES_MAX: usize = 8 << 10;

/// Returns the relative address of the page of tasks, from the page of a target. A link
/// begins with it.
pub(super) fn root(target: &str) -> String {
    let (path, _) = split(target);
    match path.matches('/').count() {
        0 | 1 => "./".into(),
        depth => "../".repeat(depth.saturating_sub(1)),
    }
}

/// Encodes a text for a query.
pub(super) fn encoded(text: &str) -> String {
    encode(text, b"-._")
}

/// Returns the address of a task's page, below the root. The ids are in the query,
/// because a browser would resolve the segments `.` and `..` of a path, and a proxy may
/// decode a `/` in it.
pub(super) fn of_task(app_id: &str, task_id: &str) -> String {
    let mut address = String::from("page/task?app_id=");
    address.push_str(&encoded(app_id));
    address.push_str("&task_id=");
    address.push_str(&encoded(task_id));
    address
}

/// Writes the address of a link as an attribute, unless it is too long.
pub(super) fn href(html: &mut Html, address: &str) {
    if address.len() <= LINK_BYTES_MAX {
        html.fill(" href='~$'", &[address]);
    }
}

/// Returns a query with another value of a parameter, or without it if the value is
/// empty. The list begins anew, so the cursor is removed.
pub(super) fn changed(query: &str, name: &str, value: &str) -> String {
    let mut changed = String::from("?");
    for pair in query.split('&') {
        let (found, old) = pair.split_once('=').unwrap_or((pair, ""));
        if !old.is_empty() && found != name && found != "cursor" {
            push_pair(&mut changed, pair);
        }
    }
    if !value.is_empty() {
        let mut pair = String::from(name);
        pair.push('=');
        pair.push_str(&encoded(value));
        push_pair(&mut changed, &pair);
    }
    changed
}

/// Returns a query with one more value of a parameter, or without it if the query has it:
/// a click on a filter removes it again. The list begins anew.
pub(super) fn toggled(query: &str, name: &str, value: &str) -> String {
    let mut wanted = String::from(name);
    wanted.push('=');
    wanted.push_str(&encoded(value));
    let mut toggled = String::from("?");
    let mut has_it = false;
    for pair in query.split('&') {
        let (found, old) = pair.split_once('=').unwrap_or((pair, ""));
        if found == name && decode(old).as_deref() == Some(value) {
            has_it = true;
        } else if !old.is_empty() && found != "cursor" {
            push_pair(&mut toggled, pair);
        }
    }
    if !has_it {
        push_pair(&mut toggled, &wanted);
    }
    toggled
}

fn push_pair(query: &mut String, pair: &str) {
    if query.len() > 1 {
        query.push('&');
    }
    query.push_str(pair);
}

/// Returns the page that a reader wants to see after the login, relative to the root:
/// that of the request, or that in the query `to`. Empty if it is not a page of this
/// receiver: a login must not lead elsewhere.
pub(super) fn destination(target: &str) -> String {
    let (path, query) = split(target);
    let wanted = match Route::of(View::of(path).1) {
        Some(route) if route.is_public_page() => Parameters::of(query).text("to"),
        // The link of a former version has the token in its query.
        _ if Parameters::of(query).text("token").is_some() => None,
        _ => target.strip_prefix('/').map(String::from),
    };
    wanted.filter(|wanted| is_page(wanted)).unwrap_or_default()
}

fn is_page(address: &str) -> bool {
    let mut path = String::from("/");
    path.push_str(split(address).0);
    let (view, path) = View::of(&path);
    let route = Route::of(path).filter(|route| route.has(view) && !route.is_public_page());
    view == View::Page && route.is_some()
}

/// Returns the value of `Location` for a destination, from a page beside the root.
pub(super) fn location(destination: &str) -> String {
    let mut location = String::from("./");
    location.push_str(&encode(destination, b"-._~/?&=%+:,@!$'()*;"));
    location
}

/// Returns an answer that leads to a destination.
pub(super) fn lead_to(destination: &str, success: Success) -> Response {
    redirect(success, location(destination))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_relative_to_the_page() {
        for (target, expected) in [
            ("/", "./"),
            ("/?q=a/b", "./"),
            ("/login", "./"),
            ("/page/task?app_id=a", "../"),
            ("/page/tasks/a%2Fb/c", "../../../"),
            ("*", "./"),
        ] {
            assert_eq!(root(target), expected, "{target}");
        }
    }

    #[test]
    fn ids_of_dots_are_in_the_query() {
        assert_eq!(of_task(".", "../a"), "page/task?app_id=.&task_id=..%2Fa");
    }

    #[test]
    fn one_parameter_of_a_query_changes() {
        for (query, name, value, expected) in [
            ("", "q", "", "?"),
            ("", "q", "a b", "?q=a%20b"),
            ("q=a&cursor=x", "q", "", "?"),
            (
                "status=Fail&q=&class=open&cursor=x",
                "class",
                "",
                "?status=Fail",
            ),
            (
                "status=Fail&q=a",
                "status",
                "Success",
                "?q=a&status=Success",
            ),
        ] {
            assert_eq!(changed(query, name, value), expected, "{query} {name}");
        }
    }

    #[test]
    fn a_second_click_removes_a_filter() {
        for (query, expected) in [
            ("", "?status=A%20B"),
            ("status=A%20B", "?"),
            ("q=x&status=A%20B&status=C&cursor=9", "?q=x&status=C"),
            ("status=C&q=", "?status=C&status=A%20B"),
        ] {
            assert_eq!(toggled(query, "status", "A B"), expected, "{query}");
        }
    }

    #[test]
    fn a_login_leads_to_pages_of_this_receiver_only() {
        for (target, expected) in [
            ("/", ""),
            ("/?status=Fail", "?status=Fail"),
            (
                "/page/task?app_id=a&task_id=t",
                "page/task?app_id=a&task_id=t",
            ),
            (
                "/login?to=page%2Fquarantine%3Flimit=5",
                "page/quarantine?limit=5",
            ),
            ("/login?to=%3Fq%3Da%2520b", "?q=a%20b"),
            ("/login", ""),
            ("/login?to=https:%2F%2Fevil.example", ""),
            ("/login?to=%2F%2Fevil.example", ""),
            ("/login?to=%5Cevil.example", ""),
            ("/login?to=login", ""),
            ("/login?to=tasks", ""),
            ("/login?to=..%2F..", ""),
            ("/login?to=page%2Fx", ""),
            ("/page/nothing", ""),
            ("/page/style.css", ""),
            ("/?token=0123456789abcdef", ""),
        ] {
            assert_eq!(destination(target), expected, "{target}");
        }
        assert_eq!(location("?q=a\r\nb é"), "./?q=a%0D%0Ab%20%C3%A9");
    }
}
