//! What teaches about other villages.

pub(crate) const MESH: &str = "\
Examples:
  village up --data a --mesh                           the first village; it listens at port 7421
  village up --data b --listen 7430 --mesh 7431        another one, on the same machine
  village mesh join --data b $(village mesh invite --data a)

  village mesh peers --data b                          who is there
  village mesh ping --data b 5XmV                      a peer is named by its id, or by how that begins
  village deploy --data b navigator@5XmV --grant log   an agent as that village has it

A village is closed: only those who were invited, by one of its members, can talk to it. What they send each other is
encrypted and signed. An invitation is good for as many as it says, until it expires or is revoked; who has it can join, so
hand it over as you would a password. The inviting village has to be up when somebody joins. A village that is blocked is let in
no more by this one; the others decide for themselves. Members may fetch the components of each other's agents, but for
those of agents with `share = false` under [agent] of their manifest.

In village.toml, all of it optional but the first line:
  [mesh]
  listen = [\"0.0.0.0:7421\"]            for TCP and QUIC; a port alone is of this machine; or /ip4/…/tcp/… for one of them
  peers = [\"10.0.0.5:7421\"]            called when no other can be reached
  mdns = true                          look for others on the local network; unless it listens on this machine only
  connections = 10                     links, at most
  messages = 5000                      that one member may send in a second, and their bytes; who sends more has to
  bytes = \"64MiB\"                      wait, and is then dropped
  blob-bytes = \"64MiB\"                 of components a second, given and fetched each
  share = true                         whether members may have components and budgets of agents here
  adopt = { memory = \"64MiB\" }        the most that an agent of another village may use here; [defaults], where not said
  relay = false                        whether members may be reached through this one
  through = []                         members through which this one is reached: /ip4/…/tcp/…/p2p/PEER";

pub(crate) const FETCH: &str = "\
Examples:
  village fetch sha256:5f70…            from whoever has it
  village fetch sha256:5f70… --from 5XmV
  village deploy sha256:5f70… --name mine

Every piece is verified as it comes, and the whole by its digest. It is kept for ten minutes, and for as long as an agent is
made of it. `village deploy AGENT@PEER` fetches and deploys at once.";
