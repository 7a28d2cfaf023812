// An adapter in JavaScript: it prints every event as a line of JSON on standard
// output, for a platform that collects standard output.
//
// Names are those of the WIT in camel case. A function returns the `ok` value of
// its `result`, or throws the `error` value.

const SETTINGS = [["BATCHTASK_UNPROCESSABLE", "accept"]];

const unsupported = () => {
  throw { tag: "unsupported", val: "this receiver prints events and does not store them, so it cannot be read" };
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
  findReject: unsupported,
  listActivity: unsupported,
  summarize: unsupported,
};

export const settings = {
  all: () => SETTINGS,
};
