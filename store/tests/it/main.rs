//! What the store promises, shown on real database files.

mod capture;
mod schema;
