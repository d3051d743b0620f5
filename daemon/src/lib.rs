//! The daemon of ao-store: one process per data directory that runs the loops and serves the store to programs.
