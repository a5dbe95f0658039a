#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| symphra_scheduler_fuzz::duration::duration(input));
