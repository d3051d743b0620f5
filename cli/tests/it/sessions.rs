//! Sessions through the binary, with real git repositories, tmux servers and processes.

mod answer;
mod answered;
mod apart;
mod complaints;
mod diff;
mod failpoints;
mod gone;
mod hook_socket;
mod hooks;
mod hostile;
mod installed;
mod interrupted;
mod kept;
mod lab;
mod life;
mod limits;
mod messages;
mod model;
mod nested;
mod races;
mod real;
mod reboot;
mod restarts;
mod routes;
mod screens;
mod secrets;
mod seen;
mod signals;
mod statements;
mod streamed;
mod terminal;
mod wait;

use lab::Lab;
