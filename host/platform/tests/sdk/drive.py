"""Drives the platform in memory with the vendor's own SDK, and prints what the SDK
made of the answers, as JSON.

    drive.py URL AK SK PROJECT REGION basic|derived APP CA_FILE
"""

import json
import sys

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ServiceResponseException
from huaweicloudsdkcore.http.http_config import HttpConfig
from huaweicloudsdkcore.region.region import Region
from huaweicloudsdkiotda.v5 import *

url, key, secret, project, region, edition, app, ca_file = sys.argv[1:]


def client(secret):
    credentials = BasicCredentials(key, secret, project)
    if edition == "derived":
        credentials = credentials.with_derived_predicate(lambda _: True)
    config = HttpConfig.get_default_config()
    config.retry_times = 0
    # The default contains an id of this machine.
    config.user_agent = ""
    builder = IoTDAClient.new_builder().with_http_config(config).with_credentials(credentials)
    return builder.with_region(Region(region, url)).build()


def code_of(call):
    try:
        call()
        return None
    except ServiceResponseException as error:
        return [error.status_code, error.error_code]


sdk = client(secret)
subject = RoutingRuleSubject(resource="batchtask", event="update")
rules = [
    sdk.create_routing_rule(CreateRoutingRuleRequest(body=AddRuleReq(
        rule_name="批 %d" % number, subject=subject, app_type="APP", app_id=app))).rule_id
    for number in range(12)
]
first = sdk.list_routing_rules(ListRoutingRulesRequest(resource="batchtask", limit=5))
second = sdk.list_routing_rules(ListRoutingRulesRequest(resource="batchtask", limit=5, marker=first.marker))
rule = rules[0]
sdk.update_routing_rule(UpdateRoutingRuleRequest(rule_id=rule, body=UpdateRuleReq(active=True)))

certificate = sdk.add_certificate(AddCertificateRequest(body=CreateCertificateDTO(content=open(ca_file).read())))
detail = ChannelDetail(http_forwarding=HttpForwarding(
    url="https://receiver.example.com:443/notifications/abc", cert_id=certificate.certificate_id,
    cn_name="receiver.example.com", sni_enable=True, signature_enable=True, token="abc123XYZ"))
action = sdk.create_rule_action(CreateRuleActionRequest(body=AddActionReq(
    rule_id=rule, channel="HTTP_FORWARDING", channel_detail=detail)))
shown = sdk.show_rule_action(ShowRuleActionRequest(action_id=action.action_id))
queue = sdk.add_queue(AddQueueRequest(body=QueueInfo(queue_name="batchtask-queue")))
queues = sdk.batch_show_queue(BatchShowQueueRequest(queue_name="batchtask"))
access = sdk.create_access_code(CreateAccessCodeRequest(body=CreateAccessCodeRequestBody(type="AMQP")))
flow = sdk.create_routing_flow_control_policy(CreateRoutingFlowControlPolicyRequest(
    body=AddFlowControlPolicy(policy_name="slow", scope="USER", limit=5)))

task = sdk.create_batch_task(CreateBatchTaskRequest(body=CreateBatchTask(
    app_id=app, task_name="升级", task_type="softwareUpgrade", targets=["d1", "d2", "d3"],
    document={"package_id": "32822e5744a45ede319d2c50"}))).task_id
tasks = sdk.list_batch_tasks(ListBatchTasksRequest(task_type="softwareUpgrade", app_id=app))
stop = sdk.stop_batch_task(StopBatchTaskRequest(task_id=task, body=BatchTargets(targets=["d2"])))
confirm = sdk.confirm_batch_task(ConfirmBatchTaskRequest(task_id=task, body=BatchTargets(targets=["d3"])))
task_shown = sdk.show_batch_task(ShowBatchTaskRequest(task_id=task, task_detail_status="Stopped"))

print(json.dumps({
    "pages": [len(first.rules), first.count, len(second.rules), second.rules[0].rule_name],
    "active": sdk.show_routing_rule(ShowRoutingRuleRequest(rule_id=rule)).active,
    "token": shown.channel_detail.http_forwarding.token,
    "certificate": [certificate.cn_name, certificate.status,
                    sdk.list_certificates(ListCertificatesRequest()).page.count],
    "queues": [queues.queues[0].queue_id == queue.queue_id, queues.page.count],
    "access_key": len(access.access_key),
    "flow": flow.limit,
    "task": [task_shown.batchtask.task_name, task_shown.batchtask.task_progress.stopped,
             task_shown.batchtask.task_progress.waitting, task_shown.task_details[0].target,
             tasks.page.count, stop.targets[0].status, confirm.targets[0].target],
    "rule_in_use": code_of(lambda: sdk.delete_routing_rule(DeleteRoutingRuleRequest(rule_id=rule))),
    "no_such_rule": code_of(lambda: sdk.show_routing_rule(ShowRoutingRuleRequest(rule_id="no"))),
    "long_page": code_of(lambda: sdk.list_routing_rules(ListRoutingRulesRequest(limit=51))),
    "wrong_key": code_of(lambda: client("another").show_routing_rule(ShowRoutingRuleRequest(rule_id=rule))),
}))
