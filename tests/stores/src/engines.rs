//! The engines behind one small trait.

use crate::load::{Row, TABLES};
use redb::{ReadableDatabase, ReadableTable};
use std::path::Path;

pub type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// One way to keep the rows.
pub trait Engine {
    /// Writes changes that wait together, and returns when they are synced.
    fn commit(&mut self, changes: Vec<Vec<Row>>) -> Outcome<()>;
    /// The key of the journal's last record.
    fn last(&mut self) -> Outcome<Option<u64>>;
}

/// The engine of that name, on a folder which it may have been killed in.
pub fn open(name: &str, folder: &Path) -> Outcome<Box<dyn Engine>> {
    Ok(match name {
        "sqlite" => Box::new(Sqlite::open(folder)?),
        "village" => Box::new(Village::open(folder)?),
        "redb" => Box::new(Redb::open(folder, false)?),
        "redb-quick" => Box::new(Redb::open(folder, true)?),
        "fjall" => Box::new(Fjall::open(folder)?),
        other => return Err(format!("no engine {other}").into()),
    })
}

struct Sqlite(rusqlite::Connection);

impl Sqlite {
    fn open(folder: &Path) -> Outcome<Sqlite> {
        let connection = rusqlite::Connection::open(folder.join("store.sqlite"))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "cache_size", -262_144)?;
        connection.pragma_update(None, "wal_autocheckpoint", 16_000)?;
        connection.set_prepared_statement_cache_capacity(32);
        for table in TABLES {
            connection.execute(
                &format!("CREATE TABLE IF NOT EXISTS {table} (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID"),
                [],
            )?;
        }
        Ok(Sqlite(connection))
    }
}

impl Engine for Sqlite {
    fn commit(&mut self, changes: Vec<Vec<Row>>) -> Outcome<()> {
        let change = self.0.transaction()?;
        for row in changes.iter().flatten() {
            let table = TABLES[row.table];
            match &row.value {
                Some(value) => change
                    .prepare_cached(&format!("INSERT OR REPLACE INTO {table} VALUES (?, ?)"))?
                    .execute((&row.key, value))?,
                None => change.prepare_cached(&format!("DELETE FROM {table} WHERE key = ?"))?.execute((&row.key,))?,
            };
        }
        change.commit()?;
        Ok(())
    }

    fn last(&mut self) -> Outcome<Option<u64>> {
        let mut find = self.0.prepare("SELECT key FROM journal ORDER BY key DESC LIMIT 1")?;
        let mut rows = find.query([])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let key: Vec<u8> = row.get(0)?;
        Ok(Some(u64::from_be_bytes(key.as_slice().try_into()?)))
    }
}

struct Redb {
    database: redb::Database,
    quick: bool,
}

type Table = redb::TableDefinition<'static, &'static [u8], &'static [u8]>;

impl Redb {
    fn open(folder: &Path, quick: bool) -> Outcome<Redb> {
        let database = redb::Builder::new().set_cache_size(256 << 20).create(folder.join("store.redb"))?;
        Ok(Redb { database, quick })
    }
}

impl Engine for Redb {
    fn commit(&mut self, changes: Vec<Vec<Row>>) -> Outcome<()> {
        let mut change = self.database.begin_write()?;
        change.set_quick_repair(self.quick);
        for (number, name) in TABLES.into_iter().enumerate() {
            let mut table = change.open_table(Table::new(name))?;
            for row in changes.iter().flatten().filter(|row| row.table == number) {
                match &row.value {
                    Some(value) => drop(table.insert(row.key.as_slice(), value.as_slice())?),
                    None => drop(table.remove(row.key.as_slice())?),
                }
            }
        }
        change.commit()?;
        Ok(())
    }

    fn last(&mut self) -> Outcome<Option<u64>> {
        let read = self.database.begin_read()?;
        let table = read.open_table(Table::new(TABLES[0]))?;
        let Some((key, _)) = table.last()? else { return Ok(None) };
        Ok(Some(u64::from_be_bytes(key.value().try_into()?)))
    }
}

struct Fjall {
    database: fjall::Database,
    tables: Vec<fjall::Keyspace>,
}

impl Fjall {
    fn open(folder: &Path) -> Outcome<Fjall> {
        let database = fjall::Database::builder(folder.join("store.fjall"))
            .cache_size(256 << 20)
            .manual_journal_persist(true)
            .open()?;
        let tables = TABLES
            .into_iter()
            .map(|name| database.keyspace(name, fjall::KeyspaceCreateOptions::default))
            .collect::<Result<_, _>>()?;
        Ok(Fjall { database, tables })
    }
}

impl Engine for Fjall {
    fn commit(&mut self, changes: Vec<Vec<Row>>) -> Outcome<()> {
        let mut batch = self.database.batch();
        for row in changes.iter().flatten() {
            let table = &self.tables[row.table];
            match &row.value {
                Some(value) => batch.insert(table, row.key.as_slice(), value.as_slice()),
                None => batch.remove(table, row.key.as_slice()),
            }
        }
        batch.durability(Some(fjall::PersistMode::SyncData)).commit()?;
        Ok(())
    }

    fn last(&mut self) -> Outcome<Option<u64>> {
        let Some(last) = self.tables[0].last_key_value() else { return Ok(None) };
        let (key, _) = last.into_inner()?;
        Ok(Some(u64::from_be_bytes(key.as_ref().try_into()?)))
    }
}

/// The village's own store: a log before a tree of redb.
struct Village(store::Store);

const STATE: store::Table<Vec<u8>, Vec<u8>> = store::Table::new("state");
const MAIL: store::Table<Vec<u8>, Vec<u8>> = store::Table::new("mail");
const LIVES: store::Table<Vec<u8>, Vec<u8>> = store::Table::new("agents");

impl Village {
    fn open(folder: &Path) -> Outcome<Village> {
        let options = store::Options { cache: 256 << 20, ..store::Options::default() };
        Ok(Village(store::Store::open(folder, options)?))
    }
}

impl Engine for Village {
    fn commit(&mut self, changes: Vec<Vec<Row>>) -> Outcome<()> {
        let mut last = None;
        for rows in changes {
            let mut change = store::Change::new();
            for Row { table, key, value } in rows {
                match (table, value) {
                    (0, Some(body)) => change.journal(0, body),
                    (0, None) => return Err("a journal only grows".into()),
                    (table, Some(value)) => change.put([&STATE, &MAIL, &LIVES][table - 1], &key, &value),
                    (table, None) => change.delete([&STATE, &MAIL, &LIVES][table - 1], &key),
                };
            }
            last = Some(self.0.commit(change));
        }
        // They are committed in their order, so the last one is the last to be durable.
        last.map_or(Ok(()), |last| last.wait().map(drop))?;
        Ok(())
    }

    fn last(&mut self) -> Outcome<Option<u64>> {
        // Its records are counted from 1.
        Ok(self.0.read().head()?.seq.checked_sub(1))
    }
}
