//! Message schemas.
