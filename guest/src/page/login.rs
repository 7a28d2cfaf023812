//! The login with a token, and the choice of the language.

use super::context::{Context, LANGUAGE, Language};
use super::html::Html;
use super::links::{destination, encoded, lead_to};
use super::shell::{Title, page};
use crate::bindings::exports::batchtask::receiver::intake::Response;
use crate::headers::Fields;
use crate::outcomes::Success;
use crate::routes::Parameters;
use crate::session;
use crate::settings::Settings;

/// How long a choice of language lasts, in seconds: a year.
const CHOICE_S: u64 = 365 * 86_400;

pub(super) const TITLE: &str = "{Log in|登录}$";

/// `GET /login`
pub(crate) fn form(context: &Context<'_>) -> Response {
    page(context, &Title::new(TITLE, ""), &mut |html| {
        write_form(context, html);
    })
}

/// Writes the form. It leads back to the page that was asked for.
pub(super) fn write_form(context: &Context<'_>, html: &mut Html) {
    html.fill(
        "<form class='login' method='post' action='~login?to=$'>\
         <input type='text' name='username' value='batchtask' autocomplete='username' hidden>\
         <label>{Token|令牌}<input type='password' name='token' required autofocus \
         autocomplete='current-password'></label><button>{Log in|登录}</button></form>\
         <p class='dim'>{The read token, or the operate token to also act on the quarantine. \
         The receiver’s operator knows them.|读令牌；如需处理隔离区，请使用操作令牌。\
         接收器的管理员知道这些令牌。}</p>",
        &[&encoded(&destination(context.target))],
    );
}

/// `POST /login` with the right token: begins a session, and leads to the page that was
/// asked for.
pub(crate) fn logged_in(context: &Context<'_>, token: &str, is_secure: bool) -> Response {
    let mut response = lead_to(&destination(context.target), Success::LoggedIn);
    let cookie = session::begin(token, context.now_ms, is_secure);
    response.headers.push(("set-cookie".into(), cookie));
    response
}

/// `POST /logout`
pub(crate) fn logged_out(fields: &Fields, settings: &Settings) -> Response {
    let mut response = lead_to("login", Success::LoggedOut);
    for cookie in session::end(fields, settings) {
        response.headers.push(("set-cookie".into(), cookie));
    }
    response
}

/// `GET /language`: keeps the choice, and leads back.
pub(crate) fn selected(context: &Context<'_>) -> Response {
    let mut response = lead_to(&destination(context.target), Success::Redirected);
    let tag = Parameters::of(context.query()).text("language");
    if let Some(language) = tag.as_deref().and_then(Language::of_tag) {
        let tag = match language {
            Language::English => "en",
            Language::Chinese => "zh",
        };
        let cookie = session::set_cookie(LANGUAGE, tag, CHOICE_S, false);
        response.headers.push(("set-cookie".into(), cookie));
    }
    response
}
