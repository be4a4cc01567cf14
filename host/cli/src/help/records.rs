//! What teaches about what is kept of turns.

pub(crate) const TURNS: &str = "\
Examples:
  village turns my-agent                        every field
  village turns my-agent record=true            from the next turn on, and after a restart
  village turns my-agent attempts=3,backoff=1s

attempts, backoff, longest-backoff: how often a message is tried, and how long it waits in between, twice as long each time.
ordered: whether a message that waits for its next try holds back its sender's later ones. record: whether what a turn reads
is kept, for `village replay`. recycle: turns of one instance. idle: after so long without a message its instance is put
away. An agent that breaks `faults` times `within` a time is left alone for `pause`, longer each time, up to `longest-pause`.
The same fields stand under [turns] in agent.toml; a swap to a version with an agent.toml takes them from there.";

pub(crate) const REPLAY: &str = "\
Examples:
  village turns my-agent record=true            has what its turns read recorded, from now on
  village replay 10000000001                    the last try of a message, by its id
  village replay 4711                           a turn, by its number in `village audit`
  village replay 10000000001 --attempt 1 --with next.wasm

The turn reads what it read then, state, clocks, random numbers and what others and the web answered, and nothing of it
leaves: what it would change and send is compared with what it did. Exit code 0 if it is the same, 1 if it differs or if the
record lacks something.";

pub(crate) const ERASE: &str = "\
Examples:
  village erase my-agent                all that was sent to it and to what it created, what its turns read, what it has on its way
  village erase --message 10000000001   one message

Entries of the journal are left as their hashes, so that the chain still verifies; dead letters, recorded answers and
messages that wait are gone. What waits is not taken from an agent that runs: stop it first. What the agent keeps itself
stays (`village rm` takes that), and so does what archives and backups of before have. The journal says that it was done.";

pub(crate) const AUDIT: &str = "\
Examples:
  village audit                      the last entries of the journal
  village audit --agent my-agent --json
  village audit --verify             whether anything was changed afterwards

Each entry carries a hash of itself and of all before it. Entries that [journal] of village.toml has cut off are verified too
where they went into archives. Turns of messages that are not kept are written together.";

pub(crate) const DEAD_LETTERS: &str = "\
Examples:
  village dead-letters
  village dead-letters my-agent --again 10000000001
  village dead-letters my-agent --drop all

A message that fails is tried five times, unless `village turns` says otherwise, with longer and longer waits in between.
What the agent refuses for good (invalid, unsupported, refused) is given up at once, and is a dead letter unless somebody
waits for the answer and is told. An agent has a thousand dead letters, and 16 MiB of them, at most: then the oldest go,
which the journal says.";
