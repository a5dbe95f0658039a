//! The name of this node, and of this start of it.

use std::fs;
use std::sync::Arc;

/// `host-pid`, the default name of a node.
pub(crate) fn default_name() -> Arc<str> {
    let host = fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("COMPUTERNAME").or_else(|_| std::env::var("HOSTNAME")).ok())
        .map(|host| host.trim().to_owned())
        .filter(|host| !host.is_empty());
    Arc::from(format!("{}-{}", host.as_deref().unwrap_or("host"), std::process::id()))
}

/// The holder's name of one start of `node`: a node that is started again must not be taken for the one that died.
pub(crate) fn this_start(node: &str, random: &mut fastrand::Rng) -> Arc<str> {
    Arc::from(format!("{node}-{:016x}", random.u64(..)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_name_ends_with_the_process_id() {
        assert!(default_name().ends_with(&format!("-{}", std::process::id())));
    }

    #[test]
    fn two_starts_of_a_node_are_two_holders() {
        let mut random = fastrand::Rng::with_seed(7);
        assert_ne!(this_start("a", &mut random), this_start("a", &mut random));
    }
}
