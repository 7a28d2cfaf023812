// A journal in memory, for the example: it is not durable, and it does not
// remember signatures, because this example does not check them.
// Names are those of the WIT in camel case. A thrown `{ tag, val }` is an `error`.

const events = new Map();

const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

const unsupported = () => {
  throw { tag: "unsupported", val: "this journal cannot be read" };
};

/** Returns the events that were appended. */
export const recorded = () => [...events.values()];

export const append = (event, _signature) => {
  const digest = hex(event.digest);
  if (events.has(digest)) return "duplicate";
  events.set(digest, event);
  return "recorded";
};

export const quarantine = (_reject, _signature) => "recorded";
export const findTask = unsupported;
export const listTasks = unsupported;
export const listHistory = unsupported;
export const follow = unsupported;
export const listQuarantine = unsupported;
export const findReject = unsupported;
export const listActivity = unsupported;
export const summarize = unsupported;
