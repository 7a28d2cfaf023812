// An adapter in JavaScript: every event becomes a line of JSON on standard
// output, which the platform collects.
//
// Names are the WIT's in camel case. A `result` is a return value or a thrown
// error, whose payload is the WIT's `error`.

const SETTINGS = [["BATCHTASK_UNPROCESSABLE", "accept"]];

const unsupported = () => {
  throw { tag: "unsupported", val: "events are printed; nothing is kept here to be read" };
};

const print = (kind, item) => {
  const body = new TextDecoder().decode(item.body);
  const digest = item.digest && Array.from(item.digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  // A `u64` is a BigInt.
  const plain = (_, value) => (typeof value === "bigint" ? Number(value) : value);
  console.log(JSON.stringify({ kind, ...item, body, digest }, plain));
  return "recorded";
};

export const journal = {
  append: (event, _signature) => print("event", event),
  quarantine: (reject, _signature) => print("reject", reject),
  findTask: unsupported,
  listTasks: unsupported,
  listHistory: unsupported,
  follow: unsupported,
  listQuarantine: unsupported,
  summarize: unsupported,
};

export const settings = {
  all: () => SETTINGS,
};
