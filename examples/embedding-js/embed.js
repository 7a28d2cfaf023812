// Embeds the receiver in Node. `jco transpile` converts the component into
// `receiver/receiver.js`, which imports `journal.js` and `settings.js`:
//
//   jco transpile dist/receiver.wasm -o examples/embedding-js/receiver \
//     --map batchtask:receiver/journal=../journal.js \
//     --map batchtask:receiver/settings=../settings.js
//   cd examples/embedding-js && npm install @bytecodealliance/preview2-shim
//   node embed.js ../../tests/samples/seed-example.json 8081

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { HTTPServer } from "@bytecodealliance/preview2-shim/http";

import { recorded } from "./journal.js";
import { incomingHandler, intake } from "./receiver/receiver.js";

const body = new Uint8Array(await readFile(process.argv[2]));
const field = (name, value) => [name, new TextEncoder().encode(value)];

// A notification from another channel. The host has authenticated the sender.
const message = { source: "amqp", body };
assert.equal(intake.accept(message), "recorded");
assert.equal(intake.accept(message), "duplicate");

// A whole HTTP request that the host has already read.
const headers = [field("content-type", "application/json")];
const request = { method: "POST", target: "/notifications", headers, senderProven: false, overHttps: false, body };
const response = intake.exchange(request);
assert.equal(response.status, 200);
assert.equal(JSON.parse(new TextDecoder().decode(response.body)).outcome, "duplicate");

// A host that stores events itself calls `decide`, stores the entry, and then
// sends the response.
const decision = intake.decide({ tag: "http", val: request });
assert.equal(decision.tag, "write");
assert.equal(decision.val.entry.tag, "event");

// A body that is not a notification goes to the quarantine, because the host has
// authenticated the sender.
const malformed = { source: "amqp", body: new TextEncoder().encode("[]") };
assert.equal(intake.accept(malformed), "quarantined");

// The component as an HTTP handler.
const server = new HTTPServer(incomingHandler);
const port = Number(process.argv[3]);
server.listen(port, "127.0.0.1");
const answer = await fetch(`http://127.0.0.1:${port}/notifications`, {
  method: "POST",
  headers: { "content-type": "application/json" },
  body,
});
assert.equal(answer.status, 200);
assert.equal((await answer.json()).outcome, "duplicate");
server.stop();

const [event] = recorded();
console.log(`${event.taskId} is ${event.status}`);
process.exit(0);
