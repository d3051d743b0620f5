//! The tokens that programs show to the HTTP server: the operator's, which may do everything, and named ones,
//! which may only read, or are an organisation.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ao_store::OrgId;

use crate::browser::Browsers;
use crate::error::{Error, Result};
use crate::named_token::NamedTokens;
use crate::secret::{digest, random};

/// What a request may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Everything.
    Operator,
    /// Only read.
    Read,
    /// What an organisation may do with its own conversations.
    Org(OrgId),
}

/// The tokens of a data directory.
#[derive(Debug)]
pub struct Tokens {
    operator: [u8; 32],
    data_dir: PathBuf,
}

impl Tokens {
    /// The tokens of a data directory. The operator's is made on first use and stays.
    ///
    /// # Errors
    /// Its file cannot be read or made, or others can read it.
    pub fn open(data_dir: &Path) -> Result<Tokens> {
        let dir = data_dir.join("tokens");
        let failed = |action, path: &Path, source| Error::file(action, path, source);
        match DirBuilder::new().mode(0o700).create(&dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed("create", &dir, error));
            }
            _ => {}
        }
        let path = dir.join("operator.token");
        let token = match read_private(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create(&path).map_err(|source| failed("create", &path, source))?
            }
            read => read.map_err(|source| failed("use", &path, source))?,
        };
        Ok(Tokens { operator: digest(&token), data_dir: data_dir.to_owned() })
    }

    /// What sessions of browsers are made with.
    pub(crate) fn browsers(&self) -> Browsers {
        Browsers::new(&self.operator)
    }

    /// What a token allows; `None` for one that is not known. Tokens are compared by their digests, so that the
    /// time it takes says nothing about them.
    pub(crate) fn scope(&self, token: &str) -> Option<Scope> {
        let digest = digest(token);
        if digest == self.operator {
            return Some(Scope::Operator);
        }
        if NamedTokens::of(&self.data_dir).contains(&digest) {
            return Some(Scope::Read);
        }
        NamedTokens::org_of(&self.data_dir, &digest).map(Scope::Org)
    }
}

/// A file that only its user can read.
fn read_private(path: &Path) -> io::Result<String> {
    let found = fs::symlink_metadata(path)?;
    if !found.is_file() || found.permissions().mode() & 0o077 != 0 {
        return Err(io::Error::other("it is not a file that only its user can read"));
    }
    let token = fs::read_to_string(path)?.trim().to_owned();
    if token.len() < 32 {
        return Err(io::Error::other("it contains no token; delete it to get a new one"));
    }
    Ok(token)
}

/// Makes a token of 256 random bits, whole or not at all: another process may do the same now.
fn create(path: &Path) -> io::Result<String> {
    let token = random()?;
    let mut file = tempfile::Builder::new()
        .prefix(".token-")
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(path.parent().unwrap_or(Path::new("/")))?;
    writeln!(file, "{token}")?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(token),
        Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => read_private(path),
        Err(failed) => Err(failed.error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_of_the_operator_stays_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let first = Tokens::open(dir.path()).unwrap();
        let path = dir.path().join("tokens/operator.token");
        let token = fs::read_to_string(&path).unwrap();
        assert_eq!(token.lines().count(), 1);
        assert_eq!(first.scope(token.trim()), Some(Scope::Operator));
        assert_eq!(first.scope(""), None);
        let second = Tokens::open(dir.path()).unwrap();
        assert_eq!(second.scope(token.trim()), Some(Scope::Operator));
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert!(Tokens::open(dir.path()).is_err());
    }
}
