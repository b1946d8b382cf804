//! Feeds `touchstone_fuzz::replay_file` from libFuzzer, or from the files given as arguments.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| touchstone_fuzz::replay_file(bytes));

#[cfg(not(fuzzing))]
fn main() {
    touchstone_fuzz::replay(touchstone_fuzz::replay_file);
}
