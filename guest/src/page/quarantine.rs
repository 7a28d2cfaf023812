//! The page of the quarantine.

use alloc::string::String;

use super::context::Context;
use super::html::Html;
use super::links::changed;
use super::parts::{body, decimal, pager};
use super::shell::{Title, page};
use crate::bindings::exports::batchtask::receiver::intake::Response;
use crate::journal::QuarantinePage;
use crate::routes::Parameters;
use crate::session::Right;

/// Returns the page of the quarantine.
pub fn quarantine(context: &Context<'_>, rejects: &QuarantinePage) -> Response {
    let title = Title::new("{Quarantine|隔离区}$", "");
    page(context, &title, &mut |html| {
        if let Some((style, text)) = result(context.query()) {
            html.fill("<p class='note $' role='status'>", &[style]);
            html.markup(text);
            html.markup("</p>");
        }
        html.fill(
            "<div data-live='a'><p class='dim'>{Bodies that are not batch-task notifications. \
             Dropped to make room: |不是批量任务通知的正文。因空间不足而丢弃：}$</p><ol class='rejects'>",
            &[&decimal(rejects.dropped)],
        );
        for quarantined in &rejects.rejects {
            let reject = &quarantined.reject;
            html.fill("<li data-k='$'>", &[&decimal(quarantined.seq)]);
            html.instant(reject.received_at_ms);
            html.fill(
                " <span class='tag'>$</span><p><bdi>$</bdi> <code>$</code></p>",
                &[
                    &reject.reason,
                    &reject.detail,
                    reject.pointer.as_deref().unwrap_or_default(),
                ],
            );
            body(html, "reject", quarantined.seq, &reject.body);
            if context.right == Some(Right::Operate) {
                actions(html, quarantined.seq);
            }
        }
        html.markup("</ol>");
        if rejects.rejects.is_empty() {
            html.markup("<p class='note'>{The quarantine is empty.|隔离区为空。}</p>");
        }
        let mut address = String::from("page/quarantine");
        address.push_str(&changed(context.query(), "result", ""));
        pager(html, &address, None, rejects.next.as_deref());
        html.markup("</div>");
    })
}

/// Writes what an operator can do with a reject.
fn actions(html: &mut Html, seq: u64) {
    let seq = decimal(seq);
    html.fill(
        "<form class='act' method='post'><button formaction='~page/quarantine/$/replay'>{Replay|重放}</button> \
         <button formaction='~page/quarantine/$/drop' data-sure='{Remove this body for good?|确定永久删除此正文？}'>\
         {Drop|删除}</button></form>",
        &[&seq, &seq],
    );
}

/// Returns the class and the text of the result of an operation, which the host adds to
/// the address.
fn result(query: &str) -> Option<(&'static str, &'static str)> {
    Some(match Parameters::of(query).text("result")?.as_str() {
        "replayed" => (
            "good",
            "{The body is a notification now. Its task shows it.|正文现已识别为通知，可在其任务中查看。}",
        ),
        "dropped" => ("good", "{The body was removed.|正文已删除。}"),
        "refused" => (
            "warn",
            "{The body is still not a batch-task notification.|正文仍不是批量任务通知。}",
        ),
        "unknown" => (
            "warn",
            "{The body is not in the quarantine any more.|正文已不在隔离区。}",
        ),
        "forbidden" => (
            "bad",
            "{Log in with the operate token first.|请先使用操作令牌登录。}",
        ),
        _ => (
            "bad",
            "{That failed. See the log of the receiver.|操作失败，请查看接收器日志。}",
        ),
    })
}
