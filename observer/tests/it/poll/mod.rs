//! The observer against the fake GitHub, under a virtual clock.

mod attribution;
mod checks;
mod compare;
mod cost;
mod credentials;
mod differential;
mod discover;
mod discussion;
mod economy;
mod enterprise;
mod faults;
mod limits;
mod listing;
mod lists;
mod memory;
mod mergeable;
mod namesakes;
mod outage;
mod parity;
mod refresh_requests;
mod rig;
mod socket;
mod truth;
mod wire_faults;
