//! What other villages are told of the agents that are open to them: name, version, skills, and how busy each is.

use crate::error::Error;
use crate::event::What;
use crate::registry::Wanted;
use crate::village::Village;
use mesh::{Card, Mesh};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use store::{Change, Table};

/// What components say of themselves, by their digests.
const CARDS: Table<String, Said> = Table::new("cards");

/// What an agent said of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Said {
    version: String,
    skills: Vec<String>,
}

/// How often it is looked how busy they are.
const LOOK: Duration = Duration::from_secs(2);

/// Which agents there are is looked at no more often than this.
const AGAIN: Duration = Duration::from_millis(100);

impl Village {
    /// Tells other villages what the agents here can do that are open to them, for as long as the village is there.
    pub(crate) fn look_after_cards(&self) {
        let Some(mesh) = self.mesh().cloned() else { return };
        let (village, mut happens) = (self.weakly(), self.happens());
        tokio::spawn(async move {
            let (mut open, mut said, mut whole) = (Vec::new(), Vec::new(), false);
            let mut changed = true;
            loop {
                let Some(village) = village() else { return };
                if changed || !whole {
                    happens.mark_unchanged();
                    (open, whole) = village.open_cards().await;
                }
                let cards: Vec<Card> = open.iter().map(|card| village.with_load(card)).collect();
                if cards != said {
                    village.advertise(&mesh, &cards).await;
                    said = cards;
                }
                drop(village);
                tokio::time::sleep(AGAIN).await;
                // Once nobody can tell of anything any more, the village has gone.
                changed = tokio::time::timeout(LOOK, happens.changed()).await.is_ok();
            }
        });
    }

    /// The cards of all agents that are open, and whether none is missing.
    async fn open_cards(&self) -> (Vec<Card>, bool) {
        let (mut open, mut whole) = (Vec::new(), true);
        for resident in self.residents() {
            match self.open_card(&resident.name).await {
                Ok(card) => open.extend(card),
                // It can't be made just now, or is going.
                Err(_) => whole = false,
            }
        }
        (open, whole)
    }

    async fn open_card(&self, name: &str) -> Result<Option<Card>, Error> {
        let Some(row) = self.registry().row(name)? else { return Ok(None) };
        if row.wanted != Wanted::Running || !row.grants.iter().any(|grant| grant == "public") {
            return Ok(None);
        }
        let known = self.books().store().read().get(&CARDS, &row.digest)?;
        let said = match known {
            Some(said) => said,
            None => {
                let card = self.card(name).await?;
                let skills = card.skills.into_iter().map(|skill| skill.name).collect();
                let said = Said { version: card.version, skills };
                let mut change = Change::new();
                change.put(&CARDS, &row.digest, &said);
                self.books().store().commit(change).await?;
                said
            }
        };
        Ok(Some(Card { agent: name.into(), version: said.version, skills: said.skills, load: 0 }))
    }

    /// The same with how busy it is: by what waits for it and by what it uses of its CPU share, in tenths.
    fn with_load(&self, card: &Card) -> Card {
        let usage = self.present(&card.agent).map(|agent| agent.usage()).unwrap_or_default();
        let used = usage.iter().filter(|usage| matches!(usage.field, "mailbox" | "cpu"));
        let most = used.map(|usage| usage.used_units * 100 / usage.limit_units.max(1)).max().unwrap_or(0);
        let load = u8::try_from(most.min(100) / 10 * 10).unwrap_or(100);
        Card { load, ..card.clone() }
    }

    /// As many of them as others take.
    async fn advertise(&self, mesh: &Mesh, cards: &[Card]) {
        let mut count = cards.len();
        loop {
            match mesh.advertise(cards[..count].to_vec()).await {
                Err(mesh::Error::NoRoom { .. }) if count > 0 => count = count * 3 / 4,
                _ => break,
            }
        }
        if count < cards.len() {
            let message = format!(
                "of {} agents that are open, other villages are told of {count}: there is no room",
                cards.len()
            );
            self.tell_of("", What::Failed { kind: "cards".into(), message });
        }
    }
}
