//! Whether a value is valid under a schema that a server advertised.
