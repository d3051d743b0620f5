//! The system calls of a command that can change what a disk holds, read from the output of strace.

use std::collections::HashMap;
use std::path::PathBuf;

/// The calls that are traced; a call that changes a file in another way would be missed.
pub(crate) const CALLS: &str = "openat,close,read,lseek,write,pwrite64,writev,pwritev,ftruncate,\
    fallocate,copy_file_range,sendfile,fsync,fdatasync,sync_file_range,rename,renameat,renameat2,\
    link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir,dup,dup2,dup3";

/// One call that succeeded.
#[derive(Debug, Clone)]
pub(crate) enum Call {
    Open {
        path: PathBuf,
        fd: i32,
        is_created: bool,
        is_truncated: bool,
    },
    Close(i32),
    /// The position moves by so many bytes.
    Read(i32, u64),
    Seek(i32, u64),
    /// At the position of the descriptor.
    Write(i32, Vec<u8>),
    WriteAt(i32, Vec<u8>, u64),
    Resize(i32, u64),
    /// The file is at least this long afterwards.
    Allocate(i32, u64),
    Sync(i32),
    Rename(PathBuf, PathBuf),
    Link(PathBuf, PathBuf),
    Unlink(PathBuf),
    MakeFolder(PathBuf),
    /// A call that the simulation does not know, on a descriptor.
    Other(String, i32),
}

/// The calls in the order in which they returned.
pub(crate) fn parse(text: &str) -> Vec<Call> {
    let mut unfinished: HashMap<&str, &str> = HashMap::new();
    let mut calls = Vec::new();
    for line in text.lines() {
        let (thread, line) = line.split_once(' ').expect("a line begins with the thread");
        let line = line.trim_start();
        if let Some(begin) = line.strip_suffix("<unfinished ...>") {
            unfinished.insert(thread, begin);
        } else if let Some(resumed) = line.strip_prefix("<... ") {
            let begin = unfinished.remove(thread).expect("a resumed call began");
            let (_, end) = resumed.split_once("resumed>").unwrap();
            calls.extend(call(&format!("{begin}{end}")));
        } else {
            calls.extend(call(line));
        }
    }
    calls
}

fn call(line: &str) -> Option<Call> {
    let (name, rest) = line.split_once('(')?;
    let (args, result) = rest.rsplit_once(" = ")?;
    let result: i64 = result.split(' ').next()?.parse().ok()?;
    if result < 0 {
        return None;
    }
    let args = args.trim_end().strip_suffix(')').unwrap_or(args);
    // Strings are printed in hexadecimal digits, so no comma stands in one.
    let args: Vec<_> = args.split(", ").collect();
    let path = |at: usize| PathBuf::from(String::from_utf8(bytes(args[at])).unwrap());
    let fd = || args[0].parse().unwrap();
    let number = |at: usize| args[at].trim().parse::<u64>().unwrap();
    let moved = result.unsigned_abs();
    Some(match name {
        "openat" => Call::Open {
            path: path(1),
            fd: i32::try_from(result).unwrap(),
            is_created: args[2].contains("O_CREAT"),
            is_truncated: args[2].contains("O_TRUNC"),
        },
        "close" => Call::Close(fd()),
        "read" => Call::Read(fd(), moved),
        "lseek" => Call::Seek(fd(), moved),
        "write" => Call::Write(fd(), written(args[1], result)),
        "pwrite64" => Call::WriteAt(fd(), written(args[1], result), number(3)),
        "ftruncate" => Call::Resize(fd(), number(1)),
        "fallocate" => Call::Allocate(fd(), number(2) + number(3)),
        "fsync" | "fdatasync" => Call::Sync(fd()),
        "rename" => Call::Rename(path(0), path(1)),
        "renameat" | "renameat2" => Call::Rename(path(1), path(3)),
        "link" => Call::Link(path(0), path(1)),
        "linkat" => Call::Link(path(1), path(3)),
        "unlink" => Call::Unlink(path(0)),
        "unlinkat" => Call::Unlink(path(1)),
        "mkdir" => Call::MakeFolder(path(0)),
        "mkdirat" => Call::MakeFolder(path(1)),
        other => Call::Other(other.to_owned(), args[0].parse().unwrap_or(-1)),
    })
}

fn written(text: &str, length: i64) -> Vec<u8> {
    let mut data = bytes(text);
    let length = usize::try_from(length).unwrap();
    assert!(data.len() >= length, "strace cut {} bytes off", length - data.len());
    data.truncate(length);
    data
}

/// The bytes of `"\x61\x62"`.
fn bytes(text: &str) -> Vec<u8> {
    let digits = text.trim().trim_start_matches('"').trim_end_matches("...").trim_end_matches('"');
    let byte = |digits: &str| u8::from_str_radix(digits, 16).expect("two hexadecimal digits");
    digits.split("\\x").filter(|digits| !digits.is_empty()).map(byte).collect()
}
