//! Reader of server-sent events.
