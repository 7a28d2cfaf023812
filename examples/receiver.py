"""Receives the events of a sink of batchtask, in both forms, and alerts.

    pip install standardwebhooks cloudevents
    WEBHOOK_SECRET=whsec_... python3 receiver.py 8000

The sink: url = "http://127.0.0.1:8000/", and the same secret.
"""

import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cloudevents.v1.http import from_http
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

webhook = Webhook(os.environ["WEBHOOK_SECRET"])
# A real receiver keeps the ids in its database, in the transaction with its own work.
seen = set()


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            webhook.verify(body.decode(), headers)
        except WebhookVerificationError:
            # 4xx: the event is at fault, and becomes a dead letter after some attempts.
            return self.answer(401)
        event = from_http(headers, body)
        if event["id"] in seen:
            print("again", event["id"], flush=True)
        else:
            seen.add(event["id"])
            print(event["type"], event["source"], event.get("subject"), flush=True)
        # Only now: the sink sends what was not answered 2xx again.
        self.answer(204)

    def answer(self, status):
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver)
print("listening on", server.server_port, flush=True)
server.serve_forever()
