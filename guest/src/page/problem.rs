//! The page of a refusal.

use super::context::Context;
use super::login::{TITLE, write_form};
use super::shell::{Title, page};
use crate::bindings::exports::batchtask::receiver::intake::Response;
use crate::outcomes::{Problem, Refusal};
use crate::session::WRONG_TOKEN;

/// Returns the page of a refusal. A reader who is not authenticated is asked for
/// a token.
pub(crate) fn problem(context: &Context<'_>, problem: Problem) -> Response {
    let refusal = problem.refusal;
    let mut response = page(context, &title(refusal), &mut |html| {
        if problem.operator.as_deref() == Some(WRONG_TOKEN) {
            html.markup("<p class='note bad' role='alert'>{The token is wrong.|令牌不正确。}</p>");
        }
        if problem.detail != refusal.text() {
            html.fill("<p>$</p>", &[&problem.detail]);
        }
        if refusal == Refusal::Unauthorized {
            write_form(context, html);
        } else {
            html.markup("<p><a href='~'>{Back to the tasks|返回任务列表}</a></p>");
        }
    });
    problem.complete(&mut response);
    response
}

/// The texts of frequent refusals are in both languages.
fn title(refusal: Refusal) -> Title<'static> {
    match refusal {
        Refusal::Unauthorized => Title::new(TITLE, ""),
        Refusal::NotFound => Title::new("{Not found|未找到}$", ""),
        Refusal::BadParameter => Title::new("{The address is invalid|地址无效}$", ""),
        Refusal::Overloaded | Refusal::Slow | Refusal::Unavailable => {
            Title::new("{Not available now: try again|暂时不可用，请重试}$", "")
        }
        _ => Title::new("$", refusal.text()),
    }
}
