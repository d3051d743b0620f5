//! The observer against the fake GitHub, under a virtual clock.

mod checks;
mod compare;
mod differential;
mod discover;
mod mergeable;
mod parity;
mod rig;
mod talk;
mod truth;
