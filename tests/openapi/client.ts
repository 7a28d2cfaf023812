// Uses the generated TypeScript client on a receiver. Arguments: URL, token.

import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

declare const process: { argv: string[] };

const [, , baseUrl, token] = process.argv;
const client = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });

function check(holds: boolean, what: unknown): void {
  if (!holds) throw new Error(JSON.stringify(what));
}

const all = await client.GET("/tasks", { params: { query: { count: true } } });
check(all.data?.count?.tasks === 3, all);

const flagged = await client.GET("/tasks", {
  params: { query: { flag: ["gap", "clock_skew"], status: ["Fail", "Success"], sort: "task_id", order: "asc" } },
});
const tasks: components["schemas"]["Task"][] = flagged.data?.tasks ?? [];
check(tasks.length === 1 && tasks[0]?.flags[0] === "gap", flagged);

const task = await client.GET("/tasks/{app_id}/{task_id}", {
  params: { path: { app_id: "app", task_id: "odd" } },
});
check(task.data?.status === "Paused" && task.data.progress === null, task);

const feed = await client.GET("/events", { params: { query: { after: 0, limit: 500 } } });
check(feed.data?.last_seq === 4, feed);

const rejects = await client.GET("/quarantine");
const seq = rejects.data?.rejects[1]?.seq ?? 0;
const reject = await client.GET("/quarantine/{seq}", { params: { path: { seq } } });
check(reject.data?.body === "no JSON", reject);

const activity = await client.GET("/activity", { params: { query: { since: "1h" } } });
const failures = activity.data?.spans.map((span) => span.failures) ?? [];
check(failures.reduce((sum, some) => sum + some, 0) === 1, activity);

const missing = await client.GET("/tasks/{app_id}/{task_id}", {
  params: { path: { app_id: "app", task_id: "none" } },
});
check(missing.error?.status === 404, missing);
console.log("the TypeScript client works");
