//! Gives what libFuzzer makes up to the reader that READER names: one program for all, so that it links once.

#![no_main]

use std::sync::LazyLock;

static READER: LazyLock<String> =
    LazyLock::new(|| std::env::var("READER").expect("READER names one of tidegate::fuzzed::TARGETS"));

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate::fuzzed::read(&READER, bytes));
