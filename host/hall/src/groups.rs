//! Groups of agents that share a budget. What was changed of it while the village ran is kept over what village.toml says.

use crate::error::Error;
use crate::registry::Note;
use agents::Books;
use base::Group;
use guest::Host;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use store::{Change, Store, Table};

/// A group, with what it may use.
pub(crate) struct Grouped {
    pub(crate) budget: Mutex<Group>,
    pub(crate) within: Option<String>,
    pub(crate) group: guest::Group,
}

/// Fields that were changed, by the group's name.
const GROUPS: Table<String, Vec<(String, String)>> = Table::new("groups");

/// Keeps fields of a group's budget, beside those that were changed before.
pub(crate) async fn keep(books: &Books, name: &str, fields: &[(String, String)]) -> Result<(), Error> {
    let mut kept: BTreeMap<_, _> = books.store().read().get(&GROUPS, name)?.unwrap_or_default().into_iter().collect();
    kept.extend(fields.iter().cloned());
    let mut change = Change::new();
    change.put(&GROUPS, name, &kept.into_iter().collect());
    let fields: Value = fields.iter().cloned().collect();
    Note::new("group-budget", json!({ "group": name, "fields": fields })).write("", &mut change);
    books.store().commit(change).await?;
    Ok(())
}

/// Changes groups as they were changed before. What is kept of a group that is not there any more stays.
pub(crate) fn changed(store: &Store, groups: &mut BTreeMap<String, (Group, Option<String>)>) -> Result<(), Error> {
    for (name, (group, _)) in groups {
        for (field, text) in store.read().get(&GROUPS, name)?.unwrap_or_default() {
            group.set(&field, &text)?;
        }
    }
    Ok(())
}

/// Makes groups, those that are within others after them.
pub(crate) fn made(
    host: &Host,
    mut wanted: BTreeMap<String, (Group, Option<String>)>,
) -> Result<BTreeMap<String, Grouped>, Error> {
    let mut made: BTreeMap<String, Grouped> = BTreeMap::new();
    while !wanted.is_empty() {
        let ready = |(_, within): &(Group, Option<String>)| within.as_ref().is_none_or(|name| made.contains_key(name));
        let next = wanted.iter().find(|(_, group)| ready(group)).map(|(name, _)| name.clone());
        let Some(name) = next else {
            let names: Vec<_> = wanted.into_keys().collect();
            let said = format!("groups within each other, or within one that is not there: {}", names.join(", "));
            return Err(Error::Bad(said));
        };
        let Some((budget, within)) = wanted.remove(&name) else { continue };
        let above = within.as_ref().and_then(|name| made.get(name));
        let group = host.group(&budget, above.map(|above| &above.group));
        made.insert(name, Grouped { budget: Mutex::new(budget), within, group });
    }
    Ok(made)
}
