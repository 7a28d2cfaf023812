//! The page of the sinks.

use batchtask_guest::headers::Fields;
use batchtask_guest::journal::Sinks;
use batchtask_guest::outcomes::{Success, redirect};
use batchtask_guest::page::{Context, Html, Language, Title, page};
use batchtask_guest::receiver::kind;
use batchtask_guest::routes::{Parameters, split};
use batchtask_guest::session::Right;
use batchtask_host::clock::now_ms;
use batchtask_host::component::{Request, Response};
use batchtask_journal::outbox::DeadLetter;
use batchtask_relay::{Command, Ownership, Reply, SinkStatus};

use super::Operations;

/// How many dead letters of a sink are listed.
const DEAD_MAX: usize = 50;

impl Operations {
    /// Answers a request for the page, or that of a button on it. Returns `None` for any
    /// other request, and if the browser is not logged in.
    pub(super) async fn page(&self, request: &Request) -> Option<Response> {
        let right = self.intake.right(&request.headers)?;
        let (path, query) = split(&request.target);
        let rest = path.strip_prefix("/page/sinks")?;
        let mut response = match (request.method.as_str(), rest) {
            ("GET" | "HEAD", "") => self.sinks(&context(request, right)).await,
            ("POST", rest) => {
                let (sink, action) = rest.strip_prefix('/')?.split_once('/')?;
                let command = button(action, query)?;
                let result = match right {
                    Right::Operate => self.press(sink, command).await,
                    Right::Read => "forbidden",
                };
                redirect(Success::Redirected, format!("../../sinks?result={result}"))
            }
            _ => return None,
        };
        response.report.kind = kind(&request.target);
        Some(response)
    }

    /// Carries out the command of a button, and returns the result as the page names it.
    async fn press(&self, sink: &str, command: Command) -> &'static str {
        match self.relay.command(sink, command).await {
            Ok(Reply::Failed(error)) => {
                tracing::warn!(%error, sink, "the test of a sink failed");
                "failed"
            }
            Ok(Reply::Accepted) => "accepted",
            Ok(_) => "done",
            Err(error) => {
                tracing::warn!(%error, sink, "an operation on a sink failed");
                "failed"
            }
        }
    }

    async fn sinks(&self, context: &Context<'_>) -> Response {
        let mut sinks = Vec::new();
        for status in self.relay.statuses() {
            let dead = match status.counts.dead {
                0 => Vec::new(),
                _ => self.dead(&status.name).await,
            };
            sinks.push((status, dead));
        }
        sinks.sort_by_key(|(status, _)| !needs_operator(status));
        page(
            context,
            &Title::new("{Sinks|推送目标}$", ""),
            &mut |html| {
                if let Some((style, text)) = result(context.target) {
                    html.fill("<p class='note $' role='status'>", &[style]);
                    html.markup(text);
                    html.markup("</p>");
                }
                html.markup("<div data-live='a'><ol class='rejects'>");
                for (status, dead) in &sinks {
                    item(html, status, dead, context.right == Some(Right::Operate));
                }
                html.markup("</ol>");
                if sinks.is_empty() {
                    html.markup("<p class='note'>{There are no sinks.|没有推送目标。}</p>");
                }
                html.markup("</div>");
            },
        )
    }

    async fn dead(&self, sink: &str) -> Vec<DeadLetter> {
        match self.relay.command(sink, Command::ListDead).await {
            Ok(Reply::Dead(letters)) => letters,
            // Another host owns the sink now.
            _ => Vec::new(),
        }
    }
}

/// Returns how the sinks are doing, for the page of tasks.
pub(crate) fn overview(statuses: &[SinkStatus]) -> Option<Sinks> {
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let failing = statuses.iter().filter(|status| needs_operator(status));
    (!statuses.is_empty()).then(|| Sinks {
        total: count(statuses.len()),
        failing: count(failing.count()),
    })
}

/// Whether a sink needs an operator. Only its owner knows.
pub(crate) fn needs_operator(status: &SinkStatus) -> bool {
    let fails = matches!(status.state(), "failing" | "full");
    status.ownership == Ownership::Owned && (fails || status.counts.dead > 0)
}

/// Returns the command of a button: the path below that of the sink, and the query.
fn button(action: &str, query: &str) -> Option<Command> {
    let mut parameters = Parameters::of(query);
    let seq = match parameters.text("seq") {
        Some(seq) => Some(seq.parse().ok()?),
        None => None,
    };
    Some(match action {
        "pause" => Command::Pause,
        "resume" => Command::Resume,
        "test" => Command::Test,
        "retry" => Command::RetryDead(seq),
        "drop" => Command::DropDead(seq),
        _ => return None,
    })
}

fn context(request: &Request, right: Right) -> Context<'_> {
    let fields: &Fields = &request.headers;
    Context {
        target: &request.target,
        language: Language::of(fields),
        right: Some(right),
        now_ms: now_ms(),
        stale_before_ms: 0,
    }
}

/// Returns the class and the text of the result of an operation.
fn result(target: &str) -> Option<(&'static str, &'static str)> {
    let (_, query) = split(target);
    Some(match Parameters::of(query).text("result")?.as_str() {
        "done" => ("good", "{Done.|已完成。}"),
        "accepted" => (
            "good",
            "{The sink accepted the test message.|推送目标已接受测试消息。}",
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

/// Writes a sink.
fn item(html: &mut Html, status: &SinkStatus, dead: &[DeadLetter], may_operate: bool) {
    let counts = &status.counts;
    let name = &status.name;
    html.fill("<li data-k='$'><h2>$ ", &[name, name]);
    html.markup(state(status));
    html.markup("</h2>");
    if let Ownership::HeldBy(owner) = &status.ownership {
        html.fill(
            "<p class='dim'>{This host knows its state: |了解其状态的主机：}<bdi>$</bdi></p></li>",
            &[owner],
        );
        return;
    }
    html.markup("<dl>");
    for (label, number) in [
        ("{Not delivered|未送达}", status.lag_events()),
        (
            "{Delivered since the start|启动后已送达}",
            status.results.delivered,
        ),
        ("{Held tasks|被阻塞的任务}", counts.held_tasks as u64),
        ("{Dead letters|死信}", counts.dead as u64),
    ] {
        html.markup("<div><dt>");
        html.markup(label);
        html.fill("<dd>$</div>", &[&number.to_string()]);
    }
    if status.lag_events() > 0 {
        html.markup("<div><dt>{Oldest waits for|最早等待}<dd>");
        html.span(status.lag_ms);
        html.markup("</div>");
    }
    html.markup("</dl>");
    if let Some(error) = &counts.last_error {
        html.markup("<p class='dim'>{Last error|最近错误} ");
        html.instant(error.at_ms);
        html.fill("</p><p><bdi>$</bdi></p>", &[&error.text]);
    }
    if may_operate {
        buttons(html, name, counts.is_paused);
    }
    if !dead.is_empty() {
        letters(html, name, dead, may_operate);
    }
    html.markup("</li>");
}

/// Returns the state of a sink as icon and word.
fn state(status: &SinkStatus) -> &'static str {
    match status.state() {
        "running" => "<span class='s good'>✔ {running|运行中}</span>",
        "failing" => "<span class='s bad'>✖ {failing|异常}</span>",
        "full" => "<span class='s bad'>✖ {full: nothing more is read|已满：停止读取}</span>",
        "paused" => "<span class='s dim'>■ {paused|已暂停}</span>",
        "standby" => "<span class='s dim'>○ {on another host|在其他主机}</span>",
        _ => "<span class='s wait'>○ {starting|启动中}</span>",
    }
}

fn buttons(html: &mut Html, name: &str, is_paused: bool) {
    html.markup("<form class='act' method='post'>");
    if is_paused {
        html.fill(
            "<button formaction='~page/sinks/$/resume'>{Resume|恢复}</button> ",
            &[name],
        );
    } else {
        html.fill(
            "<button formaction='~page/sinks/$/pause'>{Pause|暂停}</button> ",
            &[name],
        );
    }
    html.fill(
        "<button formaction='~page/sinks/$/test'>{Send a test|发送测试}</button></form>",
        &[name],
    );
}

/// Writes the events that a sink refused for good.
fn letters(html: &mut Html, name: &str, dead: &[DeadLetter], may_operate: bool) {
    html.fill(
        "<details id='dead-$'><summary>{Dead letters, $|死信，$ 条}</summary>",
        &[name, &dead.len().to_string()],
    );
    if may_operate {
        html.fill(
            "<form class='act' method='post'><button formaction='~page/sinks/$/retry'>{Retry all|全部重试}</button> \
             <button formaction='~page/sinks/$/drop' data-sure='{Drop all dead letters for good?|确定永久丢弃所有死信？}'>\
             {Drop all|全部丢弃}</button></form>",
            &[name, name],
        );
    }
    html.markup("<ol>");
    for letter in dead.iter().take(DEAD_MAX) {
        let seq = letter.seq.to_string();
        html.fill("<li data-k='$'>", &[&seq]);
        html.instant(letter.died_at_ms);
        html.fill(
            " <bdi>$</bdi> <span class='tag'>seq $</span><p><bdi>$</bdi></p>",
            &[&letter.task_id, &seq, &letter.error],
        );
        if may_operate {
            html.fill(
                "<form class='act' method='post'><button formaction='~page/sinks/$/retry?seq=$'>{Retry|重试}</button> \
                 <button formaction='~page/sinks/$/drop?seq=$'>{Drop|丢弃}</button></form>",
                &[name, &seq, name, &seq],
            );
        }
    }
    html.markup("</ol></details>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_button_names_a_command() {
        assert_eq!(button("pause", ""), Some(Command::Pause));
        assert_eq!(button("retry", ""), Some(Command::RetryDead(None)));
        assert_eq!(button("drop", "seq=7"), Some(Command::DropDead(Some(7))));
        assert_eq!(button("drop", "seq=x"), None);
        assert_eq!(button("replay", ""), None);
    }
}
