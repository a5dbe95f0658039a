//! The next-occurrence measurement under the system's allocator. See `symphra_scheduler_peers::next`.

use symphra_scheduler_peers::{Failure, next};

fn main() -> Result<(), Failure> {
    next::main(std::env::args().skip(1), None)
}
