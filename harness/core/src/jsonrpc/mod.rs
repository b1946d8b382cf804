//! Reader of JSON-RPC messages.
