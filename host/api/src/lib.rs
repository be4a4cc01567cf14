//! A running village over HTTP on loopback: the requests, the replies, the server and its client.
