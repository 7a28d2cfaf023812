//! The page of a refusal.

use super::parts::page;
use crate::bindings::exports::batchtask::receiver::intake::Response;
use crate::outcomes::Problem;

/// Returns the page of a refusal. A reader who is not authenticated is asked for
/// the read token.
pub fn problem(problem: Problem) -> Response {
    let refusal = problem.refusal;
    let mut response = page(refusal.text(), &mut |html| {
        if problem.detail != refusal.text() {
            html.fill("<p>$</p>", &[&problem.detail]);
        }
        if refusal.status() == 401 {
            html.markup(
                "<form action='/'><label>Read token<input type='password' name='token' required>\
                 </label><button>Log in</button></form>",
            );
        }
    });
    problem.complete(&mut response);
    response
}
