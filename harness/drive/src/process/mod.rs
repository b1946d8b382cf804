//! Starting servers and ending them, tree and all.
