//! The observer against the fake GitHub, under a virtual clock.

mod checks;
mod compare;
mod cost;
mod credentials;
mod differential;
mod discover;
mod economy;
mod enterprise;
mod faults;
mod limits;
mod memory;
mod mergeable;
mod outage;
mod parity;
mod rig;
mod socket;
mod talk;
mod truth;
mod webhook_poke;
mod wire_faults;
