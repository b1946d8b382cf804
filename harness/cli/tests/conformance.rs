//! The conformance cases against the server that `--server-cmd` or `--server-url` names, or else the bundled reference server.

fn main() -> std::process::ExitCode {
    touchstone_libtest::run(touchstone_libtest::Defaults::command(
        env!("CARGO_BIN_EXE_touchstone"),
        ["serve"],
    ))
}
