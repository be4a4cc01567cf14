//! What happens in the village, as it happens.

use serde::{Deserialize, Serialize};

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The agent that it happened to. Empty of the village as a whole.
    pub agent: String,
    /// What it was.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum What {
    /// The village takes messages.
    Up {
        /// Agents that it has.
        agents: u64,
    },
    /// The village takes nothing new, and ends what is under way.
    Stopping,
    /// An agent was deployed.
    Deployed {
        /// Its component.
        digest: String,
    },
    /// An agent was made, because a message came for it or somebody wanted it started.
    Woken,
    /// An agent could not be made.
    Failed {
        /// The word that programs know the reason by.
        kind: String,
        /// The reason.
        message: String,
    },
    /// A turn broke, and had no effect.
    Broke {
        /// The word that programs know the reason by.
        kind: String,
        /// The reason.
        message: String,
    },
    /// An agent was stopped.
    Stopped,
    /// An agent may run again.
    Started,
    /// An agent was removed.
    Removed,
    /// An agent's budget was changed.
    Budget {
        /// The fields that were, with their new limits.
        fields: Vec<(String, String)>,
    },
    /// How an agent's turns are tried, recorded and looked after was changed.
    Turns {
        /// The fields that were, with their new values.
        fields: Vec<(String, String)>,
    },
    /// How many instances may serve an agent's mailbox was changed.
    Scaled {
        /// The fewest.
        min: u32,
        /// The most.
        max: u32,
    },
    /// An agent's replicas became more or fewer of their own accord.
    Replicas {
        /// How many served before.
        before: u32,
        /// How many serve now.
        serving: u32,
    },
    /// What an agent may reach was changed.
    Grants {
        /// All of its grants.
        grants: Vec<String>,
    },
    /// A step of a swap.
    Swap {
        /// Which.
        step: String,
        /// What is known of it.
        details: serde_json::Value,
    },
    /// Something in the mesh.
    Mesh {
        /// What: a peer was met, has left, was linked, unlinked, slowed, dropped, blocked, unblocked; something was turned-away or
        /// not-kept; this village has joined, or left; something was proposed, accepted, rejected or has lapsed, or somebody
        /// lied: voted both ways.
        step: String,
        /// The peer, as far as it is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        peer: Option<String>,
        /// What else is known of it.
        #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
        details: serde_json::Value,
    },
    /// What the agents of a group may use together was changed.
    Group {
        /// The group.
        group: String,
        /// The fields that were, with their new limits.
        fields: Vec<(String, String)>,
    },
}

impl What {
    /// What it counts as in the memory of the last events.
    pub(crate) fn bytes(&self) -> usize {
        64 + match self {
            What::Deployed { digest } => digest.len(),
            What::Failed { kind, message } | What::Broke { kind, message } => kind.len() + message.len(),
            What::Budget { fields } | What::Turns { fields } | What::Group { fields, .. } => {
                fields.iter().map(|(field, limit)| 48 + field.len() + limit.len()).sum()
            }
            What::Swap { step, details } => step.len() + details.to_string().len(),
            What::Scaled { .. } | What::Replicas { .. } => 16,
            What::Grants { grants } => grants.iter().map(|grant| 24 + grant.len()).sum(),
            What::Mesh { step, peer, details } => {
                step.len() + peer.as_ref().map_or(0, String::len) + details.to_string().len()
            }
            What::Up { .. } | What::Stopping | What::Woken | What::Stopped | What::Started | What::Removed => 0,
        }
    }
}
