//! The journal as a whole, on real files.
