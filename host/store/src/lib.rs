//! Everything durable: the journal, typed tables and blobs. The only room that names the database.
