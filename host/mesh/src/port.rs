//! Whether a place to listen at is free. Over TCP libp2p shares a port with whoever else shares it, since a call that goes out
//! from the port it listens at gets through more walls; so two villages would have half of the calls each, and neither would
//! know. What is not to be shared is found out before.

use crate::Error;
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use socket2::{Domain, Protocol as Carrier, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};

/// Refuses a place over TCP at which somebody listens already.
pub(crate) fn check_free(listen: &[Multiaddr]) -> Result<(), Error> {
    for address in listen {
        if let Some(socket) = tcp(address)
            && let Err(error) = bind(socket)
        {
            let what = match error.kind() {
                io::ErrorKind::AddrInUse => format!("{address}: somebody listens there already, so it is in use"),
                _ => format!("{address}: {error}"),
            };
            return Err(Error::Setting { setting: "listen", what });
        }
    }
    Ok(())
}

/// Where it listens over TCP at a port that was said; any port that is free is nobody's.
fn tcp(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip: IpAddr = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Tcp(port) if port != 0 => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}

/// As libp2p does it, but without sharing.
fn bind(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Carrier::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Connections that have ended a moment ago are in nobody's way. Elsewhere this would mean to share it.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(1)
}
