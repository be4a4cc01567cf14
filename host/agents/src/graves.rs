//! Dead letters of one agent, bounded: when there are too many, or too many bytes of them, the oldest go.

use crate::event::Event;
use crate::mail::DEAD;
use crate::settle::millis;
use store::{Change, Read};

/// An agent has no more dead letters than this, and no more bytes of their payloads.
pub const MOST_DEAD: usize = 1_000;
/// See above.
pub const DEAD_BYTES: u64 = 16 << 20;

/// How many dead letters an agent may have had since they were counted: others may have dropped some meanwhile.
#[derive(Default)]
pub(crate) struct Graves(Option<(usize, u64)>);

impl Graves {
    /// Adds to the change that gives up a message with so many bytes that the oldest letters go, if there are too many now.
    pub(crate) fn dig(
        &mut self,
        read: &Read,
        agent: &str,
        bytes: u64,
        change: &mut Change,
    ) -> Result<(), store::Error> {
        let (count, sum) = self.0.unwrap_or((usize::MAX, 0));
        let (count, sum) = (count.saturating_add(1), sum + bytes);
        if count <= MOST_DEAD && sum <= DEAD_BYTES {
            self.0 = Some((count, sum));
            return Ok(());
        }
        let all = read.scan(DEAD.under(agent), None, usize::MAX)?;
        let (mut count, mut sum) = (all.len() + 1, bytes);
        sum += all.iter().map(|(_, dead)| dead.mail.body.len() as u64).sum::<u64>();
        let (mut gone, mut first) = (0u64, None);
        // A tenth more than must go, so that they are not counted each time.
        let full = count > MOST_DEAD || sum > DEAD_BYTES;
        for ((_, number), dead) in &all {
            if !full || (count <= MOST_DEAD / 10 * 9 && sum <= DEAD_BYTES / 10 * 9) {
                break;
            }
            change.delete(&DEAD, (agent, *number));
            (count, sum, gone) = (count - 1, sum - dead.mail.body.len() as u64, gone + 1);
            first.get_or_insert(&dead.mail.id);
        }
        self.0 = Some((count, sum));
        if let Some(first) = first {
            let details = format!("{{\"count\":{gone},\"first\":\"{first}\",\"why\":\"there were too many\"}}");
            let (what, by) = ("dead-letters-dropped".into(), "village".into());
            change.record(millis(), &Event::Noted { what, agent: agent.into(), by, details });
        }
        Ok(())
    }
}
