//! The firing measurement under the system's allocator. See `symphra_scheduler_peers::firing`.

use symphra_scheduler_peers::{Failure, firing};

fn main() -> Result<(), Failure> {
    firing::main(std::env::args().skip(1), None)
}
