//! The connection to the fake GitHub over a real socket, for a world under a virtual clock.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ao_fake_github::{Server, World};
use ao_observer::github::call::{Call, Reply};
use ao_observer::github::host::Endpoints;
use ao_observer::github::token::Token;
use ao_observer::github::transport::Transport;
use tokio::runtime::{Builder, Runtime};

/// A server, and a client of it.
pub(crate) struct Socket {
    /// Calls end by this; those of the observer have more time than a test.
    deadline: Duration,
    transport: Transport,
    server: Server,
    /// What is served: the world during a call, and between calls nothing.
    served: Arc<Mutex<World>>,
    runtime: Runtime,
}

impl Socket {
    /// A server whose paths begin with `prefix`, as those of an enterprise server do.
    pub(crate) fn new(prefix: &str, deadline: Duration) -> Socket {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let served = Arc::new(Mutex::new(World::new(1)));
        let server = Server::start(Arc::clone(&served)).unwrap();
        let endpoints = Endpoints::from_api_url(&format!("{}{prefix}", server.url)).unwrap();
        let transport = runtime.block_on(async { Transport::new(&endpoints) }).unwrap();
        Socket { deadline, transport, server, served, runtime }
    }

    /// Makes a call; returns its reply and how many milliseconds it took.
    pub(crate) fn send(&self, world: &mut World, token: &str, call: &Call) -> (Reply, i64) {
        let call = Call { deadline: self.deadline.min(call.deadline), ..call.clone() };
        let token = Token::new(token).unwrap();
        self.serving(world, async {
            let started = std::time::Instant::now();
            let reply = self.transport.send(&token, &call).await;
            let took = i64::try_from(started.elapsed().as_millis()).unwrap();
            (reply, took.max(1))
        })
    }

    /// Begins a call, and abandons it after this time.
    pub(crate) fn abandon(&self, world: &mut World, token: &str, call: &Call, after: Duration) {
        let token = Token::new(token).unwrap();
        self.serving(world, async {
            let sending = self.transport.send(&token, call);
            let reply = tokio::time::timeout(after, sending).await;
            assert!(reply.is_err(), "it was answered");
        });
    }

    /// Lends the world to the server while `work` runs.
    fn serving<T>(&self, world: &mut World, work: impl Future<Output = T>) -> T {
        world.options.blob_origin = Some(format!("http://{}", self.server.blob_addr));
        std::mem::swap(world, &mut *self.served.lock().unwrap());
        let done = self.runtime.block_on(async {
            let done = work.await;
            // The server notices a moment later that the client is gone.
            while self.served.lock().unwrap().counters.in_flight > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            done
        });
        std::mem::swap(world, &mut *self.served.lock().unwrap());
        done
    }
}
