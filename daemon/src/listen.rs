//! The addresses that a daemon listens on: a port of the loopback interface, and a Unix socket that only its
//! user can open.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, UnixListener, UnixStream};

use crate::error::{Error, Result};

/// The longest path of a Unix socket: `sun_path` of Linux without its final NUL.
const PATH_MAX: usize = 107;
/// How long after a failure of `accept`, such as a lack of file descriptors, it is tried again.
const RETRY: Duration = Duration::from_millis(200);

/// A Unix socket that is removed with this value.
#[derive(Debug)]
pub(crate) struct Socket {
    listener: UnixListener,
    path: PathBuf,
    uid: u32,
}

impl Socket {
    /// Listens on `<dir>/<name>`. The caller holds the lock of the data directory, so a socket that is there
    /// belongs to no living daemon.
    pub(crate) fn bind(dir: &Path, name: &str) -> Result<Socket> {
        let path = path_of(dir, name)?;
        let bind = || {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let listener = UnixListener::bind(&path)?;
            // Between these two calls the check of the user of each connection protects it.
            fs::set_permissions(&path, Permissions::from_mode(0o600))?;
            Ok(listener)
        };
        let listener = bind().map_err(|source| Error::file("listen on", &path, source))?;
        Ok(Socket { listener, path, uid: rustix::process::geteuid().as_raw() })
    }

    /// The next connection of a process of this user. One of another user is refused.
    pub(crate) async fn accept(&self) -> UnixStream {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) if self.is_of_user(&stream) => return stream,
                Ok(_) => tracing::warn!(
                    "a process of another user connected to a socket; it was refused"
                ),
                Err(error) => retry(&error).await,
            }
        }
    }

    fn is_of_user(&self, stream: &UnixStream) -> bool {
        stream.peer_cred().is_ok_and(|peer| peer.uid() == self.uid || peer.uid() == 0)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Waits after a connection could not be accepted.
pub(crate) async fn retry(error: &io::Error) {
    tracing::warn!(%error, "a connection cannot be accepted");
    tokio::time::sleep(RETRY).await;
}

/// Where the socket of this name is: in the data directory, or, where that has too long a path, in a private
/// folder of this user that is named for it.
pub(crate) fn path_of(dir: &Path, name: &str) -> Result<PathBuf> {
    let path = dir.join(name);
    if path.as_os_str().len() <= PATH_MAX {
        return Ok(path);
    }
    let uid = rustix::process::geteuid().as_raw();
    let base = std::env::temp_dir().join(format!("ao-store-{uid}"));
    let hash = hex::encode(&Sha256::digest(dir.as_os_str().as_encoded_bytes())[..8]);
    private_dir(&base, uid).map_err(|source| Error::file("use", &base, source))?;
    Ok(base.join(format!("{hash}-{name}")))
}

/// Makes a folder that only this user can enter, or checks that it is one.
fn private_dir(path: &Path, uid: u32) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(path)?;
    if !found.is_dir() || found.uid() != uid || found.mode() & 0o077 != 0 {
        return Err(io::Error::other("it is not a private folder of this user"));
    }
    Ok(())
}

/// Listens on a port of 127.0.0.1, on another one if that is taken.
pub(crate) async fn tcp(port: u16) -> Result<TcpListener> {
    let bind = |port| TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let bound = match bind(port).await {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => bind(0).await,
        bound => bound,
    };
    bound.map_err(Error::Listen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_is_private_replaces_a_dead_one_and_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daemon.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let socket = Socket::bind(dir.path(), "daemon.sock").unwrap();
        assert_eq!(socket.path(), path);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_long_path_has_a_socket_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let long = dir.path().join("x".repeat(100)).join("y".repeat(100));
        fs::create_dir_all(&long).unwrap();
        let socket = Socket::bind(&long, "daemon.sock").unwrap();
        assert!(socket.path().as_os_str().len() <= PATH_MAX);
        assert_eq!(path_of(&long, "daemon.sock").unwrap(), socket.path());
        std::os::unix::net::UnixStream::connect(socket.path()).unwrap();
    }

    #[tokio::test]
    async fn a_taken_port_is_replaced_by_another() {
        let first = tcp(0).await.unwrap();
        let port = first.local_addr().unwrap().port();
        let second = tcp(port).await.unwrap();
        assert_ne!(second.local_addr().unwrap().port(), port);
    }
}
