//! What all pages have in common.

use super::assets::VERSION;
use super::context::Context;
use super::html::Html;
use super::links::{destination, encoded};
use crate::bindings::exports::batchtask::receiver::intake::Response;
use crate::outcomes::{Success, report, respond};

/// The content security policy: nothing is loaded from elsewhere, and nothing in a page
/// is run.
const POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'none'; img-src data:; connect-src 'self'; style-src 'self'; script-src 'self'";

/// The title of a page.
pub struct Title<'a> {
    /// Markup with one value.
    pub markup: &'a str,
    /// The value.
    pub value: &'a str,
    /// How many tasks failed. It is shown on the browser's tab.
    pub failed: u64,
}

impl<'a> Title<'a> {
    /// Returns a title.
    pub fn new(markup: &'a str, value: &'a str) -> Self {
        Self {
            markup,
            value,
            failed: 0,
        }
    }
}

/// Returns a whole page. `main` writes its main part.
pub fn page(context: &Context<'_>, title: &Title<'_>, main: &mut dyn FnMut(&mut Html)) -> Response {
    let mut html = Html::new(context);
    html.fill(
        "<!DOCTYPE html><html lang='{en|zh-CN}'><head><meta charset='utf-8'>\
         <meta name='viewport' content='width=device-width'><link rel='icon' href='data:,'>\
         <link rel='stylesheet' href='~page/style.css?v=$'>\
         <script src='~page/script.js?v=$' defer></script><title>",
        &[VERSION, VERSION],
    );
    if title.failed > 0 {
        html.markup("✖ ");
        html.number(title.failed);
        html.markup(" · ");
    }
    html.fill(title.markup, &[title.value]);
    html.markup("</title></head><body>");
    header(context, &mut html);
    html.markup("<main id='main'><h1><bdi>");
    html.fill(title.markup, &[title.value]);
    html.markup("</bdi></h1>");
    main(&mut html);
    html.markup("</main></body></html>");
    let success = Success::Read;
    let mut response = respond(
        success.status(),
        "text/html; charset=utf-8",
        html.into_text().into_bytes(),
        report(success.label()),
    );
    for (name, value) in [
        ("content-security-policy", POLICY),
        // Without the address, posts would lack `Origin`.
        ("referrer-policy", "same-origin"),
    ] {
        response.headers.push((name.into(), value.into()));
    }
    response
}

fn header(context: &Context<'_>, html: &mut Html) {
    html.markup("<header><a class='skip' href='#main'>{Skip to the content|跳到内容}</a>");
    if context.right.is_some() {
        html.markup(
            "<nav aria-label='{Pages|页面}'><a href='~'>{Tasks|任务}</a>\
             <a href='~page/quarantine'>{Quarantine|隔离区}</a></nav>\
             <p id='live' hidden><span id='state' role='status' data-ok='{Live|实时}' \
             data-paused='{Paused|已暂停}' data-held='{On hold while text is selected|选中文本时暂停更新}' \
             data-bad='{Not up to date: the receiver does not answer|未更新：接收器没有响应}' \
             data-out='{Logged out: reload the page|已退出：请重新加载页面}'></span>\
             <button id='pause' type='button' aria-pressed='false'>{Pause|暂停}</button></p>",
        );
    }
    html.fill(
        "<a class='lang' href='~language?language={zh|en}&amp;to=$' lang='{zh-CN|en}' \
         hreflang='{zh-CN|en}'>{中文|English}</a>",
        &[&encoded(&destination(context.target))],
    );
    if context.right.is_some() {
        html.markup("<form method='post' action='~logout'><button>{Log out|退出}</button></form>");
    }
    html.markup("</header>");
}
