//! The back ends and the router against counterparts on the wire.
