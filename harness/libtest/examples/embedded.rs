//! What a crate puts into `tests/conformance.rs` (with `harness = false`) to have the MCP conformance cases among its tests.

fn main() -> std::process::ExitCode {
    // In a crate with a binary of its own: env!("CARGO_BIN_EXE_my-server").
    touchstone_libtest::run(touchstone_libtest::Defaults::command("my-server", ["--stdio"]))
}
