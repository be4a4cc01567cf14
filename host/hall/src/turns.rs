//! How agents' turns are tried, recorded and looked after: kept beside their rows, and changed while they run.

use crate::error::Error;
use crate::event::What;
use crate::registry::{Note, Registry};
use crate::village::Village;
use guest::Turns;
use store::{Change, Table};

/// What differs from the defaults, field by field, by the agent's name.
const TURNS: Table<String, Vec<(String, String)>> = Table::new("turns");

/// Adds to a change how an agent's turns are tried, recorded and looked after.
pub(crate) fn keep(name: &str, turns: &Turns, change: &mut Change) {
    let fields: Vec<_> = other(turns);
    match fields.is_empty() {
        true => change.delete(&TURNS, name),
        false => change.put(&TURNS, name, &fields),
    };
}

/// Adds to a change that nothing of it is kept any more.
pub(crate) fn forget(name: &str, change: &mut Change) {
    change.delete(&TURNS, name);
}

/// The fields that are not as they are by default.
fn other(turns: &Turns) -> Vec<(String, String)> {
    let all = turns.fields().into_iter().zip(Turns::default().fields());
    let other = all.filter(|((_, text), (_, default))| text != default);
    other.map(|((field, text), _)| (field.to_string(), text)).collect()
}

/// All fields, as they are shown.
pub(crate) fn shown(turns: &Turns) -> Vec<(String, String)> {
    turns.fields().into_iter().map(|(field, text)| (field.to_string(), text)).collect()
}

impl Registry {
    /// How an agent's turns are tried, recorded and looked after.
    pub(crate) fn turns(&self, name: &str) -> Result<Turns, Error> {
        let kept = self.books().store().read().get(&TURNS, name)?.unwrap_or_default();
        let fields = kept.iter().map(|(field, text)| (field.as_str(), text.as_str()));
        Turns::default().with(fields).map_err(|error| Error::Kept(format!("the agent `{name}`: {error}")))
    }
}

impl Village {
    /// Changes how an agent's messages are tried, whether its turns are recorded and how it is looked after: from its next
    /// turn on, and after a restart.
    pub async fn set_turns(&self, name: &str, fields: &[(String, String)]) -> Result<(), Error> {
        let resident = self.resident(name)?;
        let _changing = resident.changing.lock().await;
        let row = self.row(name)?;
        let pairs = fields.iter().map(|(field, text)| (field.as_str(), text.as_str()));
        let turns = self.registry().turns(name)?.with(pairs)?;
        let note = Note::new("turns", fields.iter().cloned().collect());
        self.registry().put_with(&row, note, |change| keep(name, &turns, change)).await?;
        self.set_out(name, turns);
        self.tell_of(name, What::Turns { fields: fields.to_vec() });
        Ok(())
    }

    /// Has it hold for the agent, whether it is there or is made later.
    pub(crate) fn set_out(&self, name: &str, turns: Turns) {
        self.host().change(name, |enrolment| {
            (enrolment.retry, enrolment.record, enrolment.care) = (turns.retry, turns.record, turns.care);
        });
        if let Some(agent) = self.present(name) {
            agent.set_turns(turns);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use agents::Books;
    use std::path::Path;
    use std::sync::Arc;

    async fn registry(folder: &Path) -> Registry {
        let store = store::Store::open(folder, store::Options::default()).expect("a store opens");
        Registry::new(Books::open(store).await.expect("books open"))
    }

    #[tokio::test]
    async fn only_what_differs_is_kept_and_all_comes_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let registry: Arc<Registry> = registry(folder.path()).await.into();
        let turns = Turns::default().with([("attempts", "3"), ("record", "true")]).expect("it is good");
        let kept = [("attempts", "3"), ("record", "true")].map(|(field, text)| (field.to_string(), text.to_string()));
        assert_eq!(other(&turns), kept);
        let mut change = Change::new();
        keep("a", &turns, &mut change);
        registry.books().store().commit(change).await.expect("it is kept");
        assert_eq!(registry.turns("a").expect("it is read"), turns);
        assert_eq!(registry.turns("b").expect("one without"), Turns::default(), "as in a village of before");
        let mut change = Change::new();
        keep("a", &Turns::default(), &mut change);
        registry.books().store().commit(change).await.expect("it is kept");
        assert_eq!(registry.turns("a").expect("it is read"), Turns::default());
        registry.books().store().close();
    }
}
