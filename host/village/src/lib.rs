//! The agents of one node: deployed, awake or asleep, swapped for better versions.
