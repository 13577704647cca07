#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kscen::testing::fuzz::offsets(bytes));
