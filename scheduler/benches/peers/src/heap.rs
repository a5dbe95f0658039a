//! What the heap held at one moment, where the program counts it.

/// Counters of the allocator since the start of the process.
#[derive(Clone, Copy, Debug)]
pub struct Heap {
    /// Bytes asked for and not yet given back: what the program wanted, without the allocator's rounding and rows.
    pub live_bytes: usize,
    /// Calls that took memory: allocations and reallocations.
    pub allocations: usize,
}

/// Reads the counters. Only the binary `counted` has one.
pub type Probe = fn() -> Heap;
