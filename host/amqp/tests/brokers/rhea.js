// A broker that has the rules of the platform: the form and the time of the user name, a
// link within a deadline, and redelivery of what was not accepted. It reads commands from
// its standard input and answers each, both as JSON on one line.
'use strict';

const fs = require('fs');
const readline = require('readline');
const rhea = require(process.argv[1]);
const options = JSON.parse(process.argv[2]);

const USER = /^accessKey=([^|]+)\|timestamp=(\d{13})(?:\|instanceId=([^|]+))?$/;
const CLOCK_MS = 5 * 60 * 1000;

// What the commands may change.
const rules = {
    access_key: 'kEy',
    access_codes: ['hush'],
    instance_id: null,
    skew_ms: 0,
    queues: ['DefaultQueue'],
    link_ms: 15000,
};
const queues = new Map();
const counts = { logins: 0, refused_logins: 0, sent: 0, accepted: 0, other: 0, late: 0, codes: [] };
const connections = new Set();

function queue(name) {
    if (!queues.has(name)) queues.set(name, { ready: [], senders: new Set() });
    return queues.get(name);
}

function is_let_in(user, code) {
    const parts = USER.exec(user);
    const is_ok = parts !== null && parts[1] === rules.access_key
        && rules.access_codes.includes(code)
        && Math.abs(Date.now() + rules.skew_ms - Number(parts[2])) < CLOCK_MS
        && (rules.instance_id === null || parts[3] === rules.instance_id);
    if (is_ok) counts.codes.push(code);
    counts[is_ok ? 'logins' : 'refused_logins'] += 1;
    return is_ok;
}

function encoded(item) {
    const header = { durable: true, delivery_count: item.count };
    switch (item.kind) {
        case 'sections': {
            const parts = [];
            for (let at = 0; at < item.body.length; at += 100) {
                parts.push(Buffer.from(item.body.slice(at, at + 100)));
            }
            return { ...header, body: rhea.message.data_sections(parts) };
        }
        case 'data': return { ...header, body: rhea.message.data_section(Buffer.from(item.body)) };
        case 'number': return { ...header, body: item.body.length };
        case 'map': return { ...header, body: { text: item.body } };
        case 'list': return { ...header, body: rhea.message.sequence_section([item.body]) };
        case 'empty': return header;
        default: return { ...header, body: item.body };
    }
}

function pump(name) {
    const { ready, senders } = queue(name);
    for (const sender of senders) {
        // `sender.credit` counts what was written, which is less than what was sent.
        while (ready.length > 0 && sender.credit > sender.sent - sender.delivery_count) {
            const item = ready.shift();
            sender.sent += 1;
            // Bytes that are no AMQP message.
            const delivery = item.kind === 'broken'
                ? sender.send(Buffer.from([1, 2, 3, 4]), undefined, 0)
                : sender.send(encoded(item));
            sender.unsettled_items.set(delivery.id, item);
            counts.sent += 1;
        }
    }
}

function put_back(name, sender) {
    const { ready, senders } = queue(name);
    senders.delete(sender);
    const items = [...sender.unsettled_items.values()];
    sender.unsettled_items.clear();
    items.forEach((item) => { item.count += 1; });
    ready.unshift(...items);
    pump(name);
}

const container = rhea.create_container({ id: 'platform', sender_options: { autosettle: true } });
container.sasl_server_mechanisms.enable_plain(is_let_in);

container.on('connection_open', ({ connection }) => {
    connections.add(connection);
    connection.links = new Set();
    connection.deadline = setTimeout(() => {
        if (connection.links.size === 0) {
            counts.late += 1;
            connection.close({ condition: 'amqp:connection:forced', description: 'no link in time' });
        }
    }, rules.link_ms);
});

container.on('sender_open', ({ sender, connection }) => {
    const { address } = sender.source;
    if (!rules.queues.includes(address)) {
        sender.close({ condition: 'amqp:not-found', description: `there is no queue ${address}` });
        return;
    }
    sender.set_source({ address });
    sender.queue_name = address;
    sender.unsettled_items = new Map();
    sender.sent = 0;
    connection.links.add(sender);
    queue(address).senders.add(sender);
});

container.on('receiver_open', ({ receiver, connection }) => {
    const { address } = receiver.target;
    receiver.set_target({ address });
    receiver.queue_name = address;
    connection.links.add(receiver);
});

container.on('message', ({ receiver, message }) => {
    queue(receiver.queue_name).ready.push({ body: message.body, kind: 'text', count: 0 });
    pump(receiver.queue_name);
});

['sendable', 'sender_flow'].forEach((name) => container.on(name, ({ sender }) => {
    if (sender.queue_name) pump(sender.queue_name);
}));

function settled(outcome) {
    return ({ sender, delivery }) => {
        const item = sender.unsettled_items.get(delivery.id);
        sender.unsettled_items.delete(delivery.id);
        counts[outcome] += 1;
        if (outcome === 'other') queue(sender.queue_name).ready.push(item);
    };
}
container.on('accepted', settled('accepted'));
['rejected', 'released', 'modified'].forEach((name) => container.on(name, settled('other')));

function gone({ connection }) {
    clearTimeout(connection.deadline);
    connections.delete(connection);
    (connection.links || []).forEach((link) => {
        if (link.unsettled_items) put_back(link.queue_name, link);
    });
}
container.on('connection_close', gone);
container.on('disconnected', gone);
container.on('sender_close', ({ sender }) => {
    if (sender.unsettled_items) put_back(sender.queue_name, sender);
});
// Without a listener an error would end the program.
['connection_error', 'session_error', 'sender_error', 'receiver_error', 'protocol_error', 'error']
    .forEach((name) => container.on(name, () => {}));

function state() {
    let ready = 0;
    let unsettled = 0;
    for (const { ready: items, senders } of queues.values()) {
        ready += items.length;
        senders.forEach((sender) => { unsettled += sender.unsettled_items.size; });
    }
    return { ...counts, ready, unsettled, connections: connections.size };
}

const commands = {
    rules(changed) { Object.assign(rules, changed); },
    publish({ queue: name, bodies, kind }) {
        bodies.forEach((body) => queue(name).ready.push({ body, kind, count: 0 }));
        pump(name);
    },
    // Cuts all connections without a word.
    cut() { connections.forEach((connection) => connection.socket.destroy()); },
    state() {},
};

const server = container.listen({
    transport: 'tls',
    key: fs.readFileSync(options.key),
    cert: fs.readFileSync(options.cert),
    host: '127.0.0.1',
    port: options.port,
    idle_time_out: options.idle_ms,
});
server.on('listening', () => {
    console.log(JSON.stringify({ port: server.address().port }));
    readline.createInterface({ input: process.stdin })
        .on('line', (line) => {
            const [name, argument] = JSON.parse(line);
            commands[name](argument);
            console.log(JSON.stringify(state()));
        })
        .on('close', () => process.exit(0));
});
server.on('tlsClientError', () => {});
