// Every setting that has a value, as name and value: none here.
export const all = () => [];
