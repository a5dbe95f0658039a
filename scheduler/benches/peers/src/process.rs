//! What this process has used, as the kernel counts it.

use std::{fs, time::Duration};

use rustix::time::{ClockId, clock_gettime};

use crate::Failure;

/// Processor time of all threads of this process since its start, ended ones included.
///
/// The kernel's process clock counts nanoseconds; `utime` and `stime` of `/proc/self/stat` count hundredths of a
/// second, which is more than a thousand firings cost.
pub fn processor_time() -> Duration {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(spent.tv_sec).expect("the processor clock counts up from zero");
    let nanos = u32::try_from(spent.tv_nsec).expect("tv_nsec lies below a second");
    Duration::new(seconds, nanos)
}

/// Processor time of the whole machine since its start, all cores and all processes, in steps of 10 ms.
///
/// # Errors
/// `/proc` cannot be read, as on systems other than Linux.
pub fn machine_time() -> Result<Duration, Failure> {
    let stat = fs::read_to_string("/proc/stat")?;
    let words: Vec<u64> = match stat.lines().next().and_then(|line| line.strip_prefix("cpu ")) {
        Some(counts) => counts.split_whitespace().map(str::parse).collect::<Result<_, _>>()?,
        None => return Err("/proc/stat does not begin with the line of all processors".into()),
    };
    // proc_stat(5): user nice system idle iowait irq softirq steal, and then guests, which user counts already.
    let busy = words.iter().enumerate().filter(|(column, _)| matches!(column, 0..=2 | 5..=7)).map(|(_, ticks)| ticks);
    Ok(Duration::from_millis(10 * busy.sum::<u64>()))
}

/// How often the threads that live now gave up the processor of their own accord: each such switch is a later wake-up.
///
/// # Errors
/// `/proc` cannot be read, as on systems other than Linux.
pub fn voluntary_switches() -> Result<u64, Failure> {
    let mut switches = 0;
    for thread in fs::read_dir("/proc/self/task")? {
        // A thread may end between the listing and the reading.
        if let Ok(status) = fs::read_to_string(thread?.path().join("status")) {
            switches += field(&status, "voluntary_ctxt_switches")?;
        }
    }
    Ok(switches)
}

/// Memory of this process that is in RAM now, in kilobytes.
///
/// # Errors
/// `/proc` cannot be read, as on systems other than Linux.
pub fn resident_kilobytes() -> Result<u64, Failure> {
    field(&fs::read_to_string("/proc/self/status")?, "VmRSS")
}

fn field(status: &str, name: &str) -> Result<u64, Failure> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let word = line.and_then(|rest| rest.split_whitespace().next());
    let word = word.ok_or_else(|| format!("/proc/self/status has no line {name}"))?;
    word.parse().map_err(|error| format!("{name} {word:?} of /proc/self/status: {error}").into())
}
