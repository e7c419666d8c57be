#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate::fuzzed::read("templates", bytes));
