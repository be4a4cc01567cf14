//! `village:agent/workspace`.

use super::bindings::village::agent::workspace::{File, Host, Object, Version};
use super::{Error, denied, limit};
use crate::ctx::Ctx;
use crate::state;
use crate::workspace::{self, Refused, Workspace};

type Answer<T> = wasmtime::Result<Result<T, Error>>;

impl Host for Ctx {
    fn read(&mut self, path: String, offset: u64, length: u32) -> Answer<Vec<u8>> {
        self.in_workspace(|workspace| workspace.read(&path, offset, length))
    }

    fn write(&mut self, path: String, content: Vec<u8>) -> Answer<()> {
        self.in_workspace(|workspace| workspace.write(&path, &content))
    }

    fn append(&mut self, path: String, content: Vec<u8>) -> Answer<u64> {
        self.in_workspace(|workspace| workspace.append(&path, &content))
    }

    fn write_at(&mut self, path: String, offset: u64, content: Vec<u8>) -> Answer<()> {
        self.in_workspace(|workspace| workspace.write_at(&path, offset, &content))
    }

    fn truncate(&mut self, path: String, size: u64) -> Answer<()> {
        self.in_workspace(|workspace| workspace.truncate(&path, size))
    }

    fn rename(&mut self, source: String, target: String) -> Answer<()> {
        self.in_workspace(|workspace| workspace.rename(&source, &target))
    }

    fn remove(&mut self, path: String) -> Answer<bool> {
        self.in_workspace(|workspace| workspace.remove(&path))
    }

    fn stat(&mut self, path: String) -> Answer<Option<File>> {
        self.in_workspace(|workspace| workspace.file(&path).map(|found| found.map(|found| file((path, found)))))
    }

    fn files(&mut self, folder: String, after: Option<String>, limit: u32) -> Answer<Vec<File>> {
        self.in_workspace(|workspace| {
            let files = workspace.files(&folder, after.as_deref(), limit)?;
            Ok(files.into_iter().map(file).collect())
        })
    }

    fn keep(&mut self, name: String, content: Vec<u8>) -> Answer<u64> {
        self.in_workspace(|workspace| workspace.keep(&name, &content))
    }

    fn get(&mut self, name: String, version: Option<u64>) -> Answer<Option<Vec<u8>>> {
        self.in_workspace(|workspace| workspace.version(&name, version))
    }

    fn versions(&mut self, name: String, after: Option<u64>, limit: u32) -> Answer<Vec<Version>> {
        self.in_workspace(|workspace| {
            let versions = workspace.versions(&name, after, limit)?.into_iter();
            Ok(versions.map(|(number, known)| Version { number, size: known.size, kept: known.kept }).collect())
        })
    }

    fn prune(&mut self, name: String, leave: u64) -> Answer<u64> {
        self.in_workspace(|workspace| workspace.prune(&name, leave))
    }

    fn delete(&mut self, name: String) -> Answer<bool> {
        self.in_workspace(|workspace| workspace.delete(&name))
    }

    fn objects(&mut self, prefix: String, after: Option<String>, limit: u32) -> Answer<Vec<Object>> {
        self.in_workspace(|workspace| {
            let objects = workspace.objects(&prefix, after.as_deref(), limit)?.into_iter();
            Ok(objects
                .map(|(name, workspace::Object { latest, versions, size, .. })| Object { name, latest, versions, size })
                .collect())
        })
    }
}

impl Ctx {
    fn in_workspace<T>(&mut self, work: impl FnOnce(&mut Workspace<'_>) -> Result<T, Refused>) -> Answer<T> {
        if !self.grants.workspace {
            return Ok(Err(denied("workspace")));
        }
        let (state, now) = (&self.accounts.state, self.accepted);
        let mut workspace = Workspace { state, writes: &mut self.writes, tape: &mut self.tape, now };
        Ok(work(&mut workspace).map_err(error))
    }
}

fn file((path, known): (String, workspace::File)) -> File {
    File { path, size: known.size, modified: known.modified }
}

fn error(refused: Refused) -> Error {
    let unreadable = |what: &dyn std::fmt::Display| Error::Unavailable(format!("the workspace can't be read: {what}"));
    match refused {
        Refused::State(state::Refused::Storage) => limit("storage", None),
        Refused::State(state::Refused::Memory) => limit("memory", None),
        Refused::State(state::Refused::Store(error)) => unreadable(&error),
        Refused::NotFound(text) => Error::NotFound(text),
        Refused::Invalid(text) => Error::Invalid(text),
        Refused::Unrecorded => Error::Unavailable("the record of this turn does not have it".into()),
        Refused::Unreadable(what) => unreadable(&what),
    }
}
