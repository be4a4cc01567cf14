//! Agents whose replicas become more or fewer of their own accord: written into the journal, and told to whoever listens.

use crate::books::Books;
use crate::event::Event;
use parking_lot::Mutex;
use tokio::sync::mpsc;

/// An agent has another number of replicas, because messages waited or because there was little to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scaled {
    /// Whose.
    pub agent: String,
    /// How many served before.
    pub before: u32,
    /// How many serve now.
    pub serving: u32,
}

/// Who is told.
#[derive(Default)]
pub(crate) struct Listener(Mutex<Option<mpsc::UnboundedSender<Scaled>>>);

impl Books {
    /// What is told from now on, to whoever asked last.
    pub fn hear_scaled(&self) -> mpsc::UnboundedReceiver<Scaled> {
        let (tell, told) = mpsc::unbounded_channel();
        *self.scaled_listener().0.lock() = Some(tell);
        told
    }

    pub(crate) fn scaled(&self, agent: &str, before: u32, serving: u32) {
        let details = format!("{{\"before\":{before},\"serving\":{serving}}}");
        let (what, by) = ("replicas".into(), "village".into());
        // Nothing depends on it: one that can't be kept is only told.
        drop(self.note(&Event::Noted { what, agent: agent.into(), by, details }));
        if let Some(tell) = &*self.scaled_listener().0.lock() {
            // Nobody may be listening any more.
            let _ = tell.send(Scaled { agent: agent.into(), before, serving });
        }
    }
}
