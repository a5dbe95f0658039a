//! The same measurements under a counting allocator: `counted firing …`, `counted next …`. For memory, not for time.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use symphra_scheduler_peers::{Failure, firing, heap::Heap, next};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("firing") => firing::main(arguments, Some(read)),
        Some("next") => next::main(arguments, Some(read)),
        _ => Err("write counted firing … or counted next …".into()),
    }
}

fn read() -> Heap {
    let stats = ALLOCATOR.stats();
    Heap {
        live_bytes: stats.bytes_allocated.wrapping_sub(stats.bytes_deallocated),
        allocations: stats.allocations + stats.reallocations,
    }
}
