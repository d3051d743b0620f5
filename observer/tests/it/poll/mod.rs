//! The observer against the fake GitHub, under a virtual clock.

mod rig;
mod truth;
