//! The command line as a user meets it, through the binary; and the rules of the house.

mod commands;
mod errors;
mod observe;
mod support;
mod tail;
mod tidy;
