// Every setting has its default.
export const get = (_name) => undefined;
