// A sink component in JavaScript: it posts each change of a task to a chat, by an
// incoming webhook of Slack. The setting `URL` names the webhook.
//
// A function returns the `ok` value of its `result`, or throws the `error` value.

import { all } from "batchtask:receiver/settings@0.2.0";

const unavailable = (reason, retryAfterS) => ({ tag: "unavailable", val: { reason, retryAfterS } });

// Escapes what Slack would read as a link or a mention.
const escape = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

const post = async (url, text) => {
  try {
    return await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ text: escape(text) }),
    });
  } catch (error) {
    throw unavailable(String(error));
  }
};

export const delivery = {
  async deliver(message) {
    const url = new Map(all()).get("URL");
    if (!url) throw unavailable("the setting `URL` is missing");
    const { task_id: task, status, message: text } = JSON.parse(message.cloudEvent).data;
    const answer = await post(url, task && status ? `${task}: ${status}` : (text ?? message.kind));
    if (answer.ok) return;
    const reason = `the chat answered ${answer.status}`;
    if (answer.status !== 429 && answer.status < 500) throw { tag: "refused", val: reason };
    throw unavailable(reason, Number(answer.headers.get("retry-after")) || undefined);
  },
};
