//! Named tokens: those of programs that only read, `tokens/read/NAME`, and those of organisations,
//! `tokens/org/ORG/NAME`. Each file has the digest of the token and never the token. The folders are read at every
//! check, so that a revoked one is refused at once.

use std::fmt;
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ao_store::{OrgId, Timestamp};

use crate::error::{Error, Result};
use crate::secret::{digest, random};

/// The folder of the tokens of organisations.
const ORGS: &str = "tokens/org";

/// The longest name.
const NAME_MAX: usize = 64;

/// The name of a token: `[A-Za-z0-9][A-Za-z0-9._-]*`, at most 64 bytes. It is the name of a file, too.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenName(String);

impl TokenName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TokenName {
    type Err = Error;

    fn from_str(text: &str) -> Result<TokenName> {
        let reason = if text.len() > NAME_MAX {
            "it is longer than 64 bytes"
        } else if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            "it must begin with a letter or digit"
        } else if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
            "it may contain only letters, digits, '.', '_' and '-'"
        } else {
            return Ok(TokenName(text.to_owned()));
        };
        let value = text.chars().take(80).collect();
        Err(ao_store::Error::InvalidId { what: "token name", value, reason }.into())
    }
}

/// A token that exists. What it is, is known only to who created it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedToken {
    /// Its name.
    pub name: TokenName,
    /// When it was created.
    pub created_at: Timestamp,
}

/// The named tokens of one kind.
#[derive(Debug)]
pub struct NamedTokens {
    dir: PathBuf,
}

impl NamedTokens {
    /// Those of a data directory that only read.
    #[must_use]
    pub fn of(data_dir: &Path) -> NamedTokens {
        NamedTokens { dir: data_dir.join("tokens/read") }
    }

    /// Those of an organisation, whose name is the name of a folder, too.
    #[must_use]
    pub fn of_org(data_dir: &Path, org: &OrgId) -> NamedTokens {
        NamedTokens { dir: data_dir.join(ORGS).join(org.as_str()) }
    }

    /// The organisation whose token has this digest.
    pub(crate) fn org_of(data_dir: &Path, wanted: &[u8; 32]) -> Option<OrgId> {
        let folders = fs::read_dir(data_dir.join(ORGS)).ok()?;
        let names = folders.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut orgs = names.filter_map(|name| name.parse::<OrgId>().ok());
        orgs.find(|org| NamedTokens::of_org(data_dir, org).contains(wanted))
    }

    /// Creates a token, and returns it: nothing shows it again.
    ///
    /// # Errors
    /// `TOKEN_EXISTS`; its file cannot be written.
    pub fn create(&self, name: &TokenName) -> Result<String> {
        let path = self.dir.join(name.as_str());
        let failed = |source| Error::file("create", &path, source);
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir).map_err(failed)?;
        let token = random().map_err(failed)?;
        let write = || {
            let mut file = tempfile::Builder::new()
                .prefix(".token-")
                .permissions(Permissions::from_mode(0o600))
                .tempfile_in(&self.dir)?;
            writeln!(file, "{}", hex::encode(digest(&token)))?;
            file.as_file().sync_all()?;
            file.persist_noclobber(&path).map_err(|failed| failed.error)
        };
        match write() {
            Ok(_) => Ok(token),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(Error::TokenExists(name.to_string()))
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// All tokens, by name.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn list(&self) -> Result<Vec<NamedToken>> {
        let failed = |source| Error::file("read", &self.dir, source);
        let mut found = Vec::new();
        for (name, path) in self.files().map_err(failed)? {
            // One that was revoked meanwhile is none.
            let Ok(changed) = fs::metadata(path).and_then(|found| found.modified()) else {
                continue;
            };
            let at = jiff::Timestamp::try_from(changed).unwrap_or_default();
            found.push(NamedToken { name, created_at: Timestamp(at.as_millisecond()) });
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Revokes a token: from now on it is refused.
    ///
    /// # Errors
    /// `TOKEN_NOT_FOUND`; its file cannot be removed.
    pub fn revoke(&self, name: &TokenName) -> Result<()> {
        let path = self.dir.join(name.as_str());
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Error::TokenNotFound(name.to_string()))
            }
            removed => removed.map_err(|source| Error::file("remove", &path, source)),
        }
    }

    /// Whether a token of this digest exists.
    pub(crate) fn contains(&self, wanted: &[u8; 32]) -> bool {
        let wanted = hex::encode(wanted);
        let mut files = self.files().unwrap_or_default().into_iter();
        files.any(|(_, path)| fs::read_to_string(path).is_ok_and(|known| known.trim() == wanted))
    }

    /// The files of tokens; other ones, such as one that is being written, do not count.
    fn files(&self) -> io::Result<Vec<(TokenName, PathBuf)>> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let is_file = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_file());
        let named = entries
            .flatten()
            .filter(is_file)
            .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())));
        Ok(named.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{Scope, Tokens};

    #[test]
    fn a_token_reads_until_it_is_revoked_and_only_its_digest_is_stored() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = Tokens::open(dir.path()).unwrap();
        let named = NamedTokens::of(dir.path());
        assert!(named.list().unwrap().is_empty());
        let (first, second) = ("a.dash-board_1".parse().unwrap(), "b".parse().unwrap());
        let token = named.create(&first).unwrap();
        let other = named.create(&second).unwrap();
        assert_eq!(token.len(), 64);
        assert!(matches!(named.create(&first), Err(Error::TokenExists(_))));
        assert_eq!(tokens.scope(&token), Some(Scope::Read), "a daemon that runs knows it");
        let names: Vec<_> = named.list().unwrap().into_iter().map(|it| it.name).collect();
        assert_eq!(names, [first.clone(), second]);
        let folder = dir.path().join("tokens/read");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&folder.join("b"))), (0o700, 0o600));
        let stored = fs::read_to_string(folder.join("b")).unwrap();
        assert_eq!(stored.trim(), hex::encode(digest(&other)));
        // The digest is no token.
        assert_eq!(tokens.scope(stored.trim()), None);
        named.revoke(&first).unwrap();
        assert_eq!((tokens.scope(&token), tokens.scope(&other)), (None, Some(Scope::Read)));
        assert!(matches!(named.revoke(&first), Err(Error::TokenNotFound(_))));
    }

    #[test]
    fn hostile_names_are_refused_and_other_files_are_no_tokens() {
        let long = "x".repeat(65);
        for name in
            ["", ".", "..", "../operator.token", "a/b", "-a", ".a", "a b", "ü", "a\n", &long]
        {
            assert!(name.parse::<TokenName>().is_err(), "{name:?}");
        }
        let dir = tempfile::tempdir().unwrap();
        let tokens = Tokens::open(dir.path()).unwrap();
        let named = NamedTokens::of(dir.path());
        let token = named.create(&"a".parse().unwrap()).unwrap();
        let folder = dir.path().join("tokens/read");
        fs::rename(folder.join("a"), folder.join(".token-a")).unwrap();
        fs::create_dir(folder.join("folder")).unwrap();
        std::os::unix::fs::symlink(folder.join(".token-a"), folder.join("link")).unwrap();
        assert!(named.list().unwrap().is_empty());
        assert_eq!(tokens.scope(&token), None);
    }
}
