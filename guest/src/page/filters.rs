//! The filters of the list of tasks.

use super::html::Html;
use super::links::toggled;
use super::lists::TaskList;
use super::parts::short;
use crate::routes::Parameters;

impl TaskList<'_> {
    /// Writes the form, and below it the filters that are set.
    pub(super) fn form(&self, html: &mut Html) {
        const MORE: [(&str, &str, &str); 4] = [
            ("app_id", "{Application|应用}", "text"),
            ("task_type", "{Type|类型}", "text"),
            (
                "since",
                "{Changed since (UTC)|变更时间不早于 (UTC)}",
                "datetime-local",
            ),
            (
                "until",
                "{Changed before (UTC)|变更时间早于 (UTC)}",
                "datetime-local",
            ),
        ];
        let query = self.context.query();
        let mut parameters = Parameters::of(query);
        html.markup("<form class='filter' role='search' action='~'>");
        field(html, &mut parameters, ("q", "{Search|搜索}", "search"));
        self.lists(html, &mut parameters);
        let mut more = Parameters::of(query);
        let is_open = MORE
            .iter()
            .any(|(name, ..)| more.text(name).is_some_and(|value| !value.is_empty()));
        html.markup(if is_open {
            "<details open>"
        } else {
            "<details>"
        });
        html.markup("<summary>{More filters|更多筛选}</summary><div class='filter'>");
        for input in MORE {
            field(html, &mut parameters, input);
        }
        html.markup("</div></details><button>{Filter|筛选}</button></form>");
        self.chips(html);
    }

    /// Writes the filters that are set. A click on one removes it.
    fn chips(&self, html: &mut Html) {
        const NO_FILTERS: [&str; 5] = ["sort", "order", "limit", "cursor", "count"];
        let query = self.context.query();
        html.markup("<p class='chips'>");
        for (name, value) in Parameters::of(query).filled() {
            if !NO_FILTERS.contains(&name.as_str()) {
                html.fill(
                    "<a class='tag' href='~$'",
                    &[&toggled(query, &name, &value)],
                );
                html.fill(
                    "><span>{Remove|移除} </span>$: <bdi>$</bdi> ×</a> ",
                    &[&name, &short(&value)],
                );
            }
        }
        html.markup("</p>");
    }

    /// Writes the filters that have a list of values.
    fn lists(&self, html: &mut Html, parameters: &mut Parameters) {
        let statuses = self.summary.iter().flat_map(|summary| &summary.statuses);
        let statuses = statuses.map(|count| (count.status.as_str(), "$"));
        select(html, parameters, "status", "{Status|状态}", statuses);
        let classes = [
            ("open", "{open|进行中}"),
            ("retryable", "{failed|失败}"),
            ("final", "{ended|已结束}"),
        ];
        select(html, parameters, "class", "{State|阶段}", classes);
        // The order is chosen in the headings of the table.
        for name in ["sort", "order", "stale", "flag"] {
            while let Some(value) = parameters.text(name) {
                html.fill("<input type='hidden' name='$' value='$'>", &[name, &value]);
            }
        }
    }
}

/// Writes a field: its parameter, its label and its kind.
fn field(html: &mut Html, parameters: &mut Parameters, (name, label, kind): (&str, &str, &str)) {
    let value = parameters.text(name).unwrap_or_default();
    html.markup("<label>");
    html.markup(label);
    html.fill(
        "<input type='$' name='$' value='$'></label>",
        &[kind, name, &value],
    );
}

/// Writes a list of values to choose from. A value is the `$` in its markup, if there is
/// one.
fn select<'a>(
    html: &mut Html,
    parameters: &mut Parameters,
    name: &str,
    label: &str,
    options: impl IntoIterator<Item = (&'a str, &'a str)>,
) {
    let chosen = parameters.text(name).unwrap_or_default();
    html.markup("<label>");
    html.markup(label);
    html.fill(
        "<select name='$'><option value=''>{any|不限}</option>",
        &[name],
    );
    for (value, text) in options {
        html.fill("<option value='$'", &[value]);
        html.markup(if value == chosen { " selected>" } else { ">" });
        let shown = [value];
        html.fill(text, if text == "$" { &shown } else { &[] });
        html.markup("</option>");
    }
    html.markup("</select></label>");
}
