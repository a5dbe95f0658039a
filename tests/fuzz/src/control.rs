//! The control socket: one line, as a command sends it.

use serde_json::Value;
use symphra_scheduler::test_util::doors;

use super::rig::{block_on, scheduler, spent, state};

/// One line is answered by one line of JSON, and what cannot be understood changes nothing.
pub fn line(input: &[u8]) {
    let handle = scheduler();
    let (before, told, after) = block_on(async {
        let before = state(&handle).await;
        let told = doors::control(&handle, input).await;
        (before, told, state(&handle).await)
    });
    let shown = String::from_utf8_lossy(&told).into_owned();
    assert_eq!(told.iter().filter(|&&byte| byte == b'\n').count(), 1, "{shown}");
    assert!(shown.ends_with('\n'), "{shown}");
    let answer: Value = serde_json::from_slice(&told).unwrap_or_else(|error| panic!("{error}: {shown}"));
    assert_eq!(answer["v"], 1, "{shown}");
    let kind = answer["tell"]["failed"]["kind"].as_str();
    assert!(kind.is_some() || !answer["tell"]["done"].is_null(), "{shown}");
    assert!(!matches!(kind, Some("backend" | "stopped" | "busy")), "nothing is amiss with the store: {shown}");
    let is_understood = !matches!(kind, Some("unreadable" | "version"));
    assert!(is_understood || before == after, "{shown}, and something has changed: {before}\n{after}");
    if before != after {
        spent();
    }
}
