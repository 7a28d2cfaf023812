// Returns the settings that have a value, as pairs of name and value. Here all
// settings have their defaults.
export const all = () => [];
