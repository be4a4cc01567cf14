//! Files: every way to reach one, and to fill the folder that was granted.
//!
//! The payload is the path, then what else the skill needs, parted by spaces. A reply that begins with `error:` is what
//! the system said.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};

use guests::{Agent, Answer, FailureKind, failure, text, unsupported};
use wasip2::filesystem::preopens;
use wasip2::filesystem::types::{self, Descriptor, DescriptorFlags, OpenFlags, PathFlags};
use wasip2::io::streams::StreamError;

struct Files;

impl Agent for Files {
    const NAME: &'static str = "files";
    const SKILLS: &'static [&'static str] = &[
        "read",
        "write",
        "append",
        "list",
        "truncate",
        "mkdir",
        "rmdir",
        "link",
        "symlink",
        "readlink",
        "rename",
        "unlink",
        "unlink-truncate",
        "stat",
        "fill",
        "stream",
        "fill-many",
        "sparse",
        "open-many",
        "tamper",
        "list-many",
        "preopens",
    ];

    fn handle(skill: &str, body: Vec<u8>) -> Answer {
        let request = text(body)?;
        let (path, rest) = request.split_once(' ').unwrap_or((&request, ""));
        let done = match skill {
            "read" => return Ok(fs::read(path).unwrap_or_else(|error| said(&error).into_bytes())),
            "write" => fs::write(path, rest).map(|()| "written".to_owned()),
            "append" => append(path, rest),
            "list" => list(path),
            "truncate" => File::options().write(true).truncate(true).open(path).map(|_| "truncated".to_owned()),
            "mkdir" => fs::create_dir(path).map(|()| "made".to_owned()),
            "rmdir" => fs::remove_dir(path).map(|()| "removed".to_owned()),
            "link" => fs::hard_link(path, rest).map(|()| "linked".to_owned()),
            "symlink" => return Ok(symlink(path, rest).into_bytes()),
            "readlink" => fs::read_link(path).map(|target| target.display().to_string()),
            "rename" => fs::rename(path, rest).map(|()| "renamed".to_owned()),
            "unlink" => fs::remove_file(path).map(|()| "removed".to_owned()),
            "unlink-truncate" => unlink_truncate(path, most(rest)?).map(|()| "done".to_owned()),
            "list-many" => Ok(list_many(path, most(rest)?)),
            "tamper" => Ok(tamper(path)),
            "stat" => stat(path),
            "fill" => Ok(fill(path, most(rest)?)),
            "stream" => Ok(stream(path)),
            "fill-many" => Ok(fill_many(path, most(rest)?)),
            "sparse" => sparse(path, most(rest)?),
            "open-many" => Ok(open_many(path, most(rest)?)),
            "preopens" => Ok(preopens::get_directories().iter().map(|(_, path)| format!("{path}\n")).collect()),
            _ => return Err(unsupported(skill)),
        };
        Ok(done.unwrap_or_else(|error| said(&error)).into_bytes())
    }
}

/// The kind for programs, then the text with the error's number.
fn said(error: &io::Error) -> String {
    format!("error: {:?} {error}", error.kind())
}

/// How much at most; without a number, no end.
fn most(rest: &str) -> Result<u64, guests::Failure> {
    if rest.is_empty() {
        return Ok(u64::MAX);
    }
    rest.parse().map_err(|_| failure(FailureKind::Invalid, format!("not a number: `{rest}`")))
}

fn append(path: &str, text: &str) -> io::Result<String> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(file.metadata()?.len().to_string())
}

fn list(path: &str) -> io::Result<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names.join("\n"))
}

/// `symlink TARGET PATH`: the target is taken as it is, so that it may point anywhere.
fn symlink(target: &str, path: &str) -> String {
    let Some((folder, path)) = granted(path) else {
        return "error: no granted folder holds it".to_owned();
    };
    match folder.symlink_at(target, path) {
        Ok(()) => "linked".to_owned(),
        Err(error) => format!("error: {}", error.name()),
    }
}

/// The granted folder with the longest path that holds `path`, and the rest of the path.
fn granted(path: &str) -> Option<(Descriptor, &str)> {
    let below = |folder: &str| match path.strip_prefix(folder.trim_end_matches('/')) {
        Some(rest) if rest.starts_with('/') => Some(rest.trim_start_matches('/')),
        _ => None,
    };
    let found = preopens::get_directories().into_iter().filter_map(|(at, name)| Some((at, below(&name)?)));
    found.min_by_key(|(_, rest)| rest.len())
}

fn stat(path: &str) -> io::Result<String> {
    let about = fs::symlink_metadata(path)?;
    let kind = match about.file_type() {
        kind if kind.is_dir() => "folder",
        kind if kind.is_symlink() => "link",
        _ => "file",
    };
    Ok(format!("{kind} {}", about.len()))
}

/// Writes until it is refused; answers how many bytes were taken, and the error.
fn fill(path: &str, most: u64) -> String {
    let mut file = match File::create(path) {
        Ok(file) => file,
        Err(error) => return format!("0 {}", said(&error)),
    };
    let block = [b'x'; 64 * 1024];
    let mut sum = 0;
    while sum < most {
        match file.write(&block[..(most - sum).min(64 * 1024) as usize]) {
            Ok(0) => return format!("{sum} error: nothing was taken"),
            Ok(count) => sum += count as u64,
            Err(error) => return format!("{sum} {}", said(&error)),
        }
    }
    sum.to_string()
}

/// Writes blocks of 4 KiB to a stream of the host's until it is refused; answers how many bytes were taken, and the code.
fn stream(path: &str) -> String {
    let Some((folder, path)) = granted(path) else {
        return "error: no granted folder holds it".to_owned();
    };
    let opened = folder
        .open_at(PathFlags::empty(), path, OpenFlags::CREATE, DescriptorFlags::WRITE)
        .and_then(|file| Ok((file.write_via_stream(0)?, file)));
    let (stream, _file) = match opened {
        Ok(opened) => opened,
        Err(error) => return format!("error: {}", error.name()),
    };
    let mut sum = 0;
    loop {
        match stream.blocking_write_and_flush(&[b'x'; 4096]) {
            Ok(()) => sum += 4096,
            Err(StreamError::Closed) => return format!("{sum} closed"),
            Err(StreamError::LastOperationFailed(error)) => {
                let code = types::filesystem_error_code(&error);
                return format!("{sum} {}", code.map_or("unknown", |code| code.name()));
            }
        }
    }
}

/// Tries every way to change a file through a descriptor that may only read it, and to get one that may do more.
fn tamper(path: &str) -> String {
    let Some((folder, path)) = granted(path) else {
        return "error: no granted folder holds it".to_owned();
    };
    let open = |how, flags| folder.open_at(PathFlags::empty(), path, how, flags);
    let file = match open(OpenFlags::empty(), DescriptorFlags::READ) {
        Ok(file) => file,
        Err(error) => return format!("error: {}", error.name()),
    };
    let flags = DescriptorFlags::READ | DescriptorFlags::MUTATE_DIRECTORY;
    let tried = [
        ("write", file.write(b"mine", 0).map(drop)),
        ("set-size", file.set_size(0)),
        ("write-via-stream", file.write_via_stream(0).and_then(|stream| stuffed(&stream))),
        ("append-via-stream", file.append_via_stream().and_then(|stream| stuffed(&stream))),
        ("open for writing", open(OpenFlags::empty(), DescriptorFlags::WRITE).map(drop)),
        ("open and truncate", open(OpenFlags::TRUNCATE, DescriptorFlags::READ).map(drop)),
        ("open and make", open(OpenFlags::CREATE | OpenFlags::TRUNCATE, flags).map(drop)),
        (
            "open a folder that may be changed",
            folder
                .open_at(PathFlags::empty(), ".", OpenFlags::DIRECTORY, flags)
                .and_then(|folder| folder.create_directory_at("new")),
        ),
        ("set-times", file.set_times(types::NewTimestamp::Now, types::NewTimestamp::Now)),
        (
            "set-times-at",
            folder.set_times_at(PathFlags::empty(), path, types::NewTimestamp::Now, types::NewTimestamp::Now),
        ),
    ];
    match tried.iter().find(|(_, result)| result.is_ok()) {
        Some((way, _)) => format!("done: {way}"),
        None => "error: every way was refused".to_owned(),
    }
}

fn stuffed(stream: &wasip2::io::streams::OutputStream) -> Result<(), types::ErrorCode> {
    stream.blocking_write_and_flush(b"mine").map_err(|_| types::ErrorCode::Access)
}

/// Makes empty files until it is refused; answers how many, and the error.
fn fill_many(folder: &str, most: u64) -> String {
    for count in 0..most {
        if let Err(error) = File::create(format!("{folder}/{count}")) {
            return format!("{count} {}", said(&error));
        }
    }
    most.to_string()
}

/// A file that claims to be large (a TiB unless told), then one byte at its end.
fn sparse(path: &str, size: u64) -> io::Result<String> {
    let size = if size == u64::MAX { 1 << 40 } else { size };
    let mut file = File::create(path)?;
    let claimed = file.set_len(size);
    file.seek(SeekFrom::Start(size))?;
    let written = file.write_all(b"x").and_then(|()| file.sync_all());
    let word = |result: io::Result<()>| result.map_or_else(|error| said(&error), |()| "done".to_owned());
    Ok(format!("set-len {}\nwrite {}", word(claimed), word(written)))
}

/// Deletes a file of `size` bytes that it holds open, and truncates it then.
fn unlink_truncate(path: &str, size: u64) -> io::Result<()> {
    let file = File::create(path)?;
    file.set_len(size)?;
    fs::remove_file(path)?;
    file.set_len(0)
}

/// Begins to list a folder until that is refused; answers how often it began, and the error.
fn list_many(path: &str, most: u64) -> String {
    let mut open = Vec::new();
    while (open.len() as u64) < most {
        match fs::read_dir(path) {
            Ok(listing) => open.push(listing),
            Err(error) => return format!("{} {}", open.len(), said(&error)),
        }
    }
    open.len().to_string()
}

/// Opens a file until it is refused; answers how often it was opened, and the error.
fn open_many(path: &str, most: u64) -> String {
    let mut open = Vec::new();
    while (open.len() as u64) < most {
        match File::open(path) {
            Ok(file) => open.push(file),
            Err(error) => return format!("{} {}", open.len(), said(&error)),
        }
    }
    open.len().to_string()
}

guests::export!(Files with_types_in guests::bindings);
