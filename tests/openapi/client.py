"""Use the generated Python client on a receiver. Arguments: URL, token."""

import sys

from batchtask_client import AuthenticatedClient
from batchtask_client.api.read import (
    follow_events, get_health, get_reject, get_summary, get_task, list_activity, list_quarantine,
    list_task_events, list_tasks,
)
from batchtask_client.models import Class, EventFlag, ListTasksOrder, ListTasksSort, Problem, TaskFlag

client = AuthenticatedClient(base_url=sys.argv[1], token=sys.argv[2], raise_on_unexpected_status=True)

assert get_health.sync(client=client).status == "up"

everything = list_tasks.sync(client=client, count=True)
assert everything.count.tasks == len(everything.tasks) == 3, everything
assert {task.task_id for task in everything.tasks} == {"ok", "gap", "odd"}

page = list_tasks.sync(client=client, sort=ListTasksSort.TASK_ID, order=ListTasksOrder.DESC, limit=1)
assert page.tasks[0].task_id == "ok" and page.previous is None
second = list_tasks.sync(client=client, sort=ListTasksSort.TASK_ID, order=ListTasksOrder.DESC, limit=1, cursor=page.next_)
back = list_tasks.sync(client=client, sort=ListTasksSort.TASK_ID, order=ListTasksOrder.DESC, limit=1, cursor=second.previous)
assert (second.tasks[0].task_id, back.tasks[0].task_id) == ("odd", "ok")

flagged = list_tasks.sync(client=client, flag=[TaskFlag.GAP, TaskFlag.CLOCK_SKEW])
assert [task.task_id for task in flagged.tasks] == ["gap"]
ended = list_tasks.sync(client=client, class_=[Class.FINAL, Class.RETRYABLE], status=["Success", "Fail"])
assert {task.task_id for task in ended.tasks} == {"ok", "gap"}

task = get_task.sync("app", "gap", client=client)
assert task.flags == [TaskFlag.GAP] and task.progress is None and task.occurred_at.year == 2026, task
history = list_task_events.sync("app", "gap", client=client)
assert history.events[0].flags == [EventFlag.GAP], history
odd = get_task.sync("app", "odd", client=client)
assert TaskFlag.UNKNOWN_STATUS in odd.flags and odd.status == "Paused", odd

feed = follow_events.sync(client=client)
assert feed.last_seq == len(feed.events) == 4, feed

rejects = list_quarantine.sync(client=client).rejects
assert [reject.body for reject in rejects][1:] == ["no JSON", "{}"], rejects
assert rejects[0].body_base64 == "/w==", rejects
assert get_reject.sync(rejects[1].seq, client=client).body == "no JSON"

activity = list_activity.sync(client=client, since="1h", spans=60)
assert sum(span.notifications for span in activity.spans) == 4, activity
assert sum(span.failures for span in activity.spans) == 1, activity

summary = get_summary.sync(client=client)
assert sum(count.tasks for count in summary.statuses) == 3, summary

missing = get_task.sync("app", "none", client=client)
assert isinstance(missing, Problem) and missing.status == 404, missing
wrong = list_tasks.sync(client=client, cursor="x")
assert isinstance(wrong, Problem) and "previous" in wrong.detail, wrong
print("the Python client works")
