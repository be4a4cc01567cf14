//! Why the village did not do what it was asked.

use base::Digest;
use guest::{Failed, Refusal};

/// Why the village did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// There is no agent of that name.
    #[error("there is no agent `{name}`{}", .nearest.as_ref().map(|near| format!(", did you mean `{near}`?")).unwrap_or_default())]
    Unknown {
        /// As it was asked for.
        name: String,
        /// The one that was probably meant.
        nearest: Option<String>,
    },
    /// There is an agent of that name.
    #[error("there is an agent `{name}` already: remove it first, or deploy under another name")]
    Exists {
        /// The name.
        name: String,
    },
    /// What was written can't be accepted; the text says why, and what would be right.
    #[error("{0}")]
    Bad(String),
    /// The settings of this village can't be so, on this machine.
    #[error("{0}")]
    Config(String),
    /// There is no group of that name.
    #[error("there is no group `{name}`: groups are named in village.toml, as [groups.{name}]")]
    Group {
        /// As it was asked for.
        name: String,
    },
    /// No such component is kept here.
    #[error("no component {digest} is kept here: upload it first")]
    Component {
        /// The digest.
        digest: Digest,
    },
    /// The component can't be loaded.
    #[error("{text}")]
    Load {
        /// The word that programs know it by.
        kind: &'static str,
        /// The same for people.
        text: String,
    },
    /// It is not for an agent as this one is: what its replicas lack, or that it has several.
    #[error("{0}")]
    Replicas(String),
    /// A swap can't begin. Nothing has changed.
    #[error("{0}")]
    Swap(guest::Refused),
    /// The agent was stopped, and takes no messages.
    #[error("the agent `{name}` is stopped")]
    Stopped {
        /// The name.
        name: String,
    },
    /// The agent can't be made.
    #[error("the agent `{name}` can't be started: {text}")]
    Asleep {
        /// The name.
        name: String,
        /// The word that programs know the reason by.
        kind: &'static str,
        /// The reason.
        text: String,
    },
    /// The message was not accepted.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The message was handled without success.
    #[error("{}", said(.0))]
    Failed(#[from] Failed),
    /// Nothing came of a message to another village.
    #[error("`{address}`: {error}")]
    Elsewhere {
        /// Whom it was for.
        address: String,
        /// Why.
        error: Box<guest::Elsewhere>,
    },
    /// Whoever waited gave up; the message is still handled.
    #[error("there was no answer within {0:?}; the message is still being handled")]
    Late(std::time::Duration),
    /// A message of that key came before, and said something else.
    #[error("the key `{key}` was used for another message to this agent")]
    Key {
        /// The key.
        key: String,
    },
    /// A sender's message of that number, or a later one, came before.
    #[error("the message {sequence} of `{from}` came before, or a later one did: the last is {last}, known as {id}")]
    Repeated {
        /// The sender.
        from: String,
        /// The number.
        sequence: u64,
        /// The last number.
        last: u64,
        /// The message that had it.
        id: String,
    },
    /// The agent ended before its answer came. The message is kept, and is handled when the agent is there again.
    #[error("the agent ended before the answer came; the message {id} is kept, and is handled when it is there again")]
    Postponed {
        /// The message.
        id: String,
    },
    /// There is no such dead letter.
    #[error("the agent `{agent}` has no dead letter `{id}`")]
    Letter {
        /// The agent.
        agent: String,
        /// As it was asked for.
        id: String,
    },
    /// Nothing is kept in such a space of memory.
    #[error("nothing is kept in a space `{name}`: `village memory list` says which there are")]
    Space {
        /// As it was asked for.
        name: String,
    },
    /// There is no such proposal here, or nobody votes on it any more.
    #[error("`{id}`: {why}")]
    Vote {
        /// As it was asked for.
        id: String,
        /// Why.
        why: String,
    },
    /// There is no such turn in the journal.
    #[error("`{turn}`: {why}")]
    Turn {
        /// As it was asked for.
        turn: String,
        /// What is there instead, or why there is nothing.
        why: String,
    },
    /// What the turn read was not recorded.
    #[error(
        "nothing that this turn read was recorded: `village turns {agent} record=true`, or `record = true` under [turns] in \
         agent.toml, has the turns to come recorded"
    )]
    Unrecorded {
        /// Whose it was.
        agent: String,
    },
    /// The component that had a turn is not kept any more.
    #[error("the component {digest}, which had this turn, is not kept any more: name another one, --with FILE")]
    Gone {
        /// The digest.
        digest: Digest,
    },
    /// There is no room on the disk. Nothing happened.
    #[error("the disk is full: nothing of it was kept")]
    Full,
    /// The village takes nothing new.
    #[error("the village is stopping")]
    Stopping,
    /// Another village has the data folder.
    #[error("{folder}: another village is running on this data{}", .pid.map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    Busy {
        /// The folder.
        folder: String,
        /// Its process, if it said so.
        pid: Option<u32>,
    },
    /// This village has no mesh.
    #[error(
        "this village is alone: to meet others start it with `village up --mesh`, or write [mesh] into its village.toml"
    )]
    Alone,
    /// There is no such peer, or more than one.
    #[error("`{name}` names no one peer: {why}")]
    Peer {
        /// As it was asked for.
        name: String,
        /// What is there instead.
        why: String,
    },
    /// The invitation lets nobody in.
    #[error("{0}")]
    Invitation(String),
    /// Another village can't be reached.
    #[error("{0}")]
    Unreachable(String),
    /// No other village has this component.
    #[error("no other village that can be reached has the component {digest}")]
    Nowhere {
        /// The digest.
        digest: Digest,
    },
    /// The mesh has not done it.
    #[error("{0}")]
    Mesh(#[from] mesh::Error),
    /// What is kept can't be read or written.
    #[error("{0}")]
    Kept(String),
    /// It can't be done on this machine, or now.
    #[error("{0}")]
    Host(String),
}

/// What an agent said, without the kind that it is known by beside that.
fn said(failed: &Failed) -> String {
    match failed {
        Failed::Failed(failure) if !failure.message.is_empty() => failure.message.clone(),
        Failed::Failed(_) => "the agent did not say why".into(),
        failed => failed.to_string(),
    }
}

impl Error {
    /// The word that programs know it by.
    pub fn kind(&self) -> &'static str {
        match self {
            Error::Unknown { .. } => "unknown-agent",
            Error::Exists { .. } => "exists",
            Error::Bad(_) => "bad-request",
            Error::Config(_) => "config",
            Error::Group { .. } => "unknown-group",
            Error::Component { .. } => "unknown-component",
            Error::Load { kind, .. } | Error::Asleep { kind, .. } => kind,
            Error::Replicas(_) => "replicas",
            Error::Swap(refused) => refused.kind(),
            Error::Stopped { .. } => "stopped",
            Error::Refused(Refusal::Full { .. }) => "full",
            Error::Refused(Refusal::Stopped) => "stopped",
            Error::Failed(failed) => failed.kind(),
            Error::Elsewhere { error, .. } => elsewhere(error),
            Error::Late(_) => "timeout",
            Error::Key { .. } => "conflict",
            Error::Repeated { .. } => "duplicate",
            Error::Postponed { .. } => "postponed",
            Error::Letter { .. } => "unknown-letter",
            Error::Space { .. } => "unknown-space",
            Error::Turn { .. } => "unknown-turn",
            Error::Unrecorded { .. } => "not-recorded",
            Error::Gone { .. } => "unknown-component",
            Error::Full => "disk-full",
            Error::Stopping => "stopping",
            Error::Busy { .. } => "busy",
            Error::Alone => "no-mesh",
            Error::Peer { .. } => "unknown-peer",
            Error::Invitation(_) => "invitation",
            Error::Unreachable(_) => "unreachable",
            Error::Nowhere { .. } => "unknown-component",
            Error::Vote { .. } => "unknown-vote",
            Error::Mesh(error) => of_mesh(error),
            Error::Kept(_) => "store",
            Error::Host(_) => "internal",
        }
    }
}

/// The word that programs know it by.
fn of_mesh(error: &mesh::Error) -> &'static str {
    use mesh::Error as Wrong;
    match error {
        Wrong::NoProposal => "unknown-vote",
        Wrong::NoVote => "no-vote",
        Wrong::HasVoted { .. } => "has-voted",
        Wrong::NoRoom { .. } => "no-room",
        Wrong::BadInvitation { .. } | Wrong::NoInvitation | Wrong::TurnedAway { .. } => "invitation",
        Wrong::NotAlone { .. } => "not-alone",
        Wrong::Stranger { .. } | Wrong::Blocked { .. } => "unknown-peer",
        Wrong::Setting { .. } => "bad-request",
        Wrong::Expired { .. } => "unreachable",
        Wrong::Refused { .. } => "refused-by-peer",
        Wrong::Busy { .. } => "busy",
        Wrong::Stopped => "stopping",
        _ => "mesh",
    }
}

/// The word for what keeps a message from getting to another village.
fn elsewhere(error: &guest::Elsewhere) -> &'static str {
    use guest::Elsewhere::{Broke, Denied, Failed, Invalid, Limit, NotFound, Store, Timeout, Unavailable};
    match error {
        NotFound(_) => "unknown-agent",
        Denied(_) => "denied",
        Limit { .. } => "full",
        Invalid(_) => "bad-request",
        Timeout(_) => "timeout",
        Unavailable(_) => "unavailable",
        Failed(_) | Broke(_) => "failed",
        Store(_) => "store",
    }
}

impl From<guest::TurnsError> for Error {
    fn from(error: guest::TurnsError) -> Error {
        Error::Bad(error.to_string())
    }
}

impl From<guest::replicas::Error> for Error {
    fn from(error: guest::replicas::Error) -> Error {
        use guest::replicas::Error as Wrong;
        match error {
            Wrong::Range { .. } | Wrong::Order { .. } => Error::Bad(error.to_string()),
            Wrong::Refused(refusal) => refusal.into(),
            Wrong::Broke(fault) => Error::Load { kind: fault.kind(), text: fault.to_string() },
            Wrong::Memory | Wrong::Spawns | Wrong::Nowhere | Wrong::Swapping => Error::Replicas(error.to_string()),
        }
    }
}

impl From<guest::Error> for Error {
    fn from(error: guest::Error) -> Error {
        match error {
            guest::Error::Swap(refused) => Error::Swap(refused),
            guest::Error::Many => Error::Replicas(error.to_string()),
            error => Error::Load { kind: error.kind(), text: error.to_string() },
        }
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Error {
        match error {
            store::Error::Full => Error::Full,
            error => Error::Kept(error.to_string()),
        }
    }
}

impl From<guest::Unkept> for Error {
    fn from(error: guest::Unkept) -> Error {
        match error {
            guest::Unkept::Refused(refusal) => refusal.into(),
            guest::Unkept::Store(error) => error.into(),
            guest::Unkept::Nowhere => Error::Host(error.to_string()),
        }
    }
}

impl From<base::BudgetError> for Error {
    fn from(error: base::BudgetError) -> Error {
        Error::Bad(error.to_string())
    }
}

impl From<guest::GrantError> for Error {
    fn from(error: guest::GrantError) -> Error {
        Error::Bad(error.to_string())
    }
}
