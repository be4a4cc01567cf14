//! What teaches about replicas.

pub(crate) const SCALE: &str = "\
Examples:
  village scale my-agent                     how many serve now, and how many may
  village scale my-agent 4                   four, from now on, and after a restart
  village scale my-agent --min 1 --max 4     as many as are needed
  village scale my-agent 1                   one instance again, as a swap needs it

Replicas are instances of one agent that serve one mailbox. Its budget holds for all of them together: four that compute have
the CPU share of one, and their memory is counted in one sum. What they win is time in which one of them waits for something.
A sender's messages are handled one after the other, those of senders without a name, and of all where [turns] says
`ordered = false`, beside each other. A turn whose reads another replica changed is not kept and runs again at once.
One more comes when a message waits 20 ms while all are busy, or more wait than there are replicas; one goes when it was
not needed for 2 s. An agent that keeps memory (`snapshot`), or may create agents, has one instance. Others may lose what they
hold in variables at any time: keep it in `state`. In agent.toml: [replicas], min and max.";
