//! What a disk may hold after a power loss, by the rules of POSIX: what was synced is there; each
//! later write is there, absent, or torn between sectors; each later change of a name is there or not.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use fastrand::Rng;

use super::trace::Call;

/// A disk writes a sector whole or not at all.
const SECTOR: usize = 512;

/// In which order changes of names reach the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// In their order, and every sync writes those before it, as on ext4 and xfs.
    Ordered,
    /// In any order; only a sync of the folder writes those in it.
    AnyOrder,
}

#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Resize(usize),
    Allocate(usize),
}

#[derive(Debug, Clone, Default)]
struct File {
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Debug, Clone)]
enum NameChange {
    Bind(PathBuf, usize),
    Unbind(PathBuf),
    Rename(PathBuf, PathBuf, usize),
    MakeFolder(PathBuf),
}

impl NameChange {
    fn paths(&self) -> Vec<&Path> {
        match self {
            NameChange::Bind(path, _) | NameChange::Unbind(path) | NameChange::MakeFolder(path) => {
                vec![path]
            }
            NameChange::Rename(from, to, _) => vec![from, to],
        }
    }

    fn is_in(&self, folder: &Path) -> bool {
        self.paths().iter().any(|path| path.parent() == Some(folder))
    }
}

/// The names of files and folders.
#[derive(Debug, Clone, Default)]
struct Tree {
    files: BTreeMap<PathBuf, usize>,
    folders: BTreeSet<PathBuf>,
}

impl Tree {
    fn apply(&mut self, change: &NameChange) {
        match change {
            NameChange::Bind(path, file) => {
                self.files.insert(path.clone(), *file);
            }
            NameChange::Unbind(path) => {
                self.files.remove(path);
            }
            NameChange::Rename(from, to, file) => {
                self.files.remove(from);
                self.files.insert(to.clone(), *file);
            }
            NameChange::MakeFolder(path) => {
                self.folders.insert(path.clone());
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Opened {
    File { file: usize, position: usize },
    Folder(PathBuf),
}

/// A disk below one folder, as it changes call by call.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    root: PathBuf,
    names: Names,
    files: Vec<File>,
    durable: Tree,
    /// The names as the running command sees them.
    current: Tree,
    pending: Vec<NameChange>,
    opened: HashMap<i32, Opened>,
}

impl Disk {
    /// The disk with what is below `root` now, all of it durable.
    pub(crate) fn new(root: &Path, names: Names) -> Disk {
        let mut disk = Disk {
            root: root.to_owned(),
            names,
            files: Vec::new(),
            durable: Tree::default(),
            current: Tree::default(),
            pending: Vec::new(),
            opened: HashMap::new(),
        };
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.is_file() {
                    disk.durable.files.insert(path.clone(), disk.files.len());
                    let durable = fs::read(&path).unwrap();
                    disk.files.push(File { durable, pending: Vec::new() });
                }
            }
            disk.durable.folders.insert(folder);
        }
        disk.current = disk.durable.clone();
        disk
    }

    /// Makes one call; returns whether it changed what the disk may hold.
    pub(crate) fn apply(&mut self, call: &Call) -> bool {
        match call {
            Call::Open { path, fd, is_created, is_truncated } => {
                return self.open(path, *fd, *is_created, *is_truncated);
            }
            Call::Close(fd) => {
                self.opened.remove(fd);
            }
            Call::Read(fd, count) => {
                if let Some(Opened::File { position, .. }) = self.opened.get_mut(fd) {
                    *position += usize::try_from(*count).unwrap();
                }
            }
            Call::Seek(fd, to) => {
                if let Some(Opened::File { position, .. }) = self.opened.get_mut(fd) {
                    *position = usize::try_from(*to).unwrap();
                }
            }
            Call::Write(fd, data) => return self.write(*fd, data),
            Call::WriteAt(fd, data, offset) => {
                let offset = usize::try_from(*offset).unwrap();
                return self.change(*fd, Change::Write(offset, data.clone()));
            }
            Call::Resize(fd, length) => {
                return self.change(*fd, Change::Resize(usize::try_from(*length).unwrap()));
            }
            Call::Allocate(fd, length) => {
                return self.change(*fd, Change::Allocate(usize::try_from(*length).unwrap()));
            }
            Call::Sync(fd) => return self.sync(*fd),
            Call::Rename(from, to) => {
                if let Some(file) = self.current.files.get(from).copied() {
                    return self.rename(NameChange::Rename(from.clone(), to.clone(), file));
                }
                assert!(!from.starts_with(&self.root), "a folder was renamed: {}", from.display());
            }
            Call::Link(from, to) => {
                let file = self.current.files.get(from).copied();
                return file.is_some_and(|file| self.rename(NameChange::Bind(to.clone(), file)));
            }
            Call::Unlink(path) => {
                return self.current.files.contains_key(path)
                    && self.rename(NameChange::Unbind(path.clone()));
            }
            Call::MakeFolder(path) => {
                return path.starts_with(&self.root)
                    && self.rename(NameChange::MakeFolder(path.clone()));
            }
            Call::Other(name, fd) => {
                assert!(!self.opened.contains_key(fd), "{name} is not simulated");
            }
        }
        false
    }

    fn open(&mut self, path: &Path, fd: i32, is_created: bool, is_truncated: bool) -> bool {
        if !path.starts_with(&self.root) {
            return false;
        }
        if self.current.folders.contains(path) {
            self.opened.insert(fd, Opened::Folder(path.to_owned()));
            return false;
        }
        let known = self.current.files.get(path).copied();
        let file = known.unwrap_or(self.files.len());
        if known.is_none() {
            assert!(is_created, "{} was not there", path.display());
            self.files.push(File::default());
            self.rename(NameChange::Bind(path.to_owned(), file));
        }
        self.opened.insert(fd, Opened::File { file, position: 0 });
        if is_truncated && known.is_some() {
            self.files[file].pending.push(Change::Resize(0));
        }
        known.is_none() || is_truncated
    }

    fn write(&mut self, fd: i32, data: &[u8]) -> bool {
        let Some(Opened::File { position, .. }) = self.opened.get_mut(&fd) else { return false };
        let offset = *position;
        *position += data.len();
        self.change(fd, Change::Write(offset, data.to_owned()))
    }

    fn change(&mut self, fd: i32, change: Change) -> bool {
        let Some(Opened::File { file, .. }) = self.opened.get(&fd) else { return false };
        self.files[*file].pending.push(change);
        true
    }

    fn rename(&mut self, change: NameChange) -> bool {
        self.current.apply(&change);
        self.pending.push(change);
        true
    }

    fn sync(&mut self, fd: i32) -> bool {
        let Some(opened) = self.opened.get(&fd).cloned() else { return false };
        if let Opened::File { file, .. } = opened {
            let File { durable, pending } = &mut self.files[file];
            pending.drain(..).for_each(|change| apply(durable, &change, None));
        }
        let names = self.names;
        let is_synced = |change: &NameChange| match (names, &opened) {
            (Names::Ordered, _) => true,
            (Names::AnyOrder, Opened::Folder(folder)) => change.is_in(folder),
            (Names::AnyOrder, Opened::File { .. }) => false,
        };
        let (synced, pending) = self.pending.drain(..).partition(is_synced);
        self.pending = pending;
        let synced: Vec<NameChange> = synced;
        synced.iter().for_each(|change| self.durable.apply(change));
        true
    }

    /// One of the states that a power loss at this point may leave: the content of each file by its
    /// name below the root.
    pub(crate) fn state(&self, rng: &mut Rng) -> BTreeMap<PathBuf, Vec<u8>> {
        let tree = self.tree(rng);
        // Sometimes almost everything is there, sometimes almost nothing.
        let chance = [0.0, 0.1, 0.5, 0.9, 1.0][rng.usize(..5)];
        let mut state = BTreeMap::new();
        for (path, file) in &tree.files {
            let is_reached =
                |folder: &Path| !folder.starts_with(&self.root) || tree.folders.contains(folder);
            // The wal-index is made anew by the first who opens the database.
            let is_shm = path.to_string_lossy().ends_with("-shm");
            if is_shm || !path.ancestors().skip(1).all(is_reached) {
                continue;
            }
            let File { durable, pending } = &self.files[*file];
            let mut content = durable.clone();
            for change in pending {
                match rng.f64() {
                    drawn if drawn < chance => apply(&mut content, change, None),
                    drawn if drawn < chance + 0.1 => apply(&mut content, change, Some(rng)),
                    _ => {}
                }
            }
            state.insert(path.strip_prefix(&self.root).unwrap().to_owned(), content);
        }
        state
    }

    fn tree(&self, rng: &mut Rng) -> Tree {
        let mut tree = self.durable.clone();
        match self.names {
            Names::Ordered => {
                let count = rng.usize(..=self.pending.len());
                self.pending[..count].iter().for_each(|change| tree.apply(change));
            }
            Names::AnyOrder => {
                // Changes of one name keep their order.
                let mut absent = BTreeSet::new();
                for change in &self.pending {
                    if rng.bool() && change.paths().iter().all(|path| !absent.contains(*path)) {
                        tree.apply(change);
                    } else {
                        absent.extend(change.paths().into_iter().map(Path::to_owned));
                    }
                }
            }
        }
        tree
    }
}

/// Makes a change of a file, or some sectors of it.
fn apply(content: &mut Vec<u8>, change: &Change, mut torn: Option<&mut Rng>) {
    match change {
        Change::Resize(length) => content.resize(*length, 0),
        Change::Allocate(length) => content.resize(content.len().max(*length), 0),
        Change::Write(offset, data) => {
            content.resize(content.len().max(offset + data.len()), 0);
            let mut at = *offset;
            while at < offset + data.len() {
                let end = (at / SECTOR * SECTOR + SECTOR).min(offset + data.len());
                if torn.as_mut().is_none_or(|rng| rng.bool()) {
                    content[at..end].copy_from_slice(&data[at - offset..end - offset]);
                }
                at = end;
            }
        }
    }
}
