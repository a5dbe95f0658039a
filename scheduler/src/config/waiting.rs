//! Which settings that were read once say something else by now. Only overrides are read again while a scheduler runs, so
//! these wait for its next start.

use super::SchedulerConfig;

/// The log file is the one setting that does not stay as it was read: a daemon makes its path absolute.
const MADE_ABSOLUTE: &str = "logging.file";

impl SchedulerConfig {
    /// The keys that say something else in `now`, which was read again, than they said when the program started. A key that
    /// the program's code has set to another value waits for nothing, for that value rules over both.
    pub(super) fn waiting(&self, now: &Self) -> Vec<&'static str> {
        let Some(then) = self.as_read.as_deref() else { return Vec::new() };
        let each = self.said().into_iter().zip(then.said()).zip(now.said());
        let waits = each.filter_map(|(((key, held), (_, then)), (_, now))| {
            (then != now && (held == then || key == MADE_ABSOLUTE)).then_some(key)
        });
        waits.chain(self.has_waiting_group(then, now).then_some("groups")).collect()
    }

    /// Whether a group may have another number of runs by now. Code rules over one group, and not over the others.
    fn has_waiting_group(&self, then: &Self, now: &Self) -> bool {
        let max_in =
            |config: &Self, name: &str| config.groups.iter().find(|(known, _)| **known == *name).map(|&(_, runs)| runs);
        then.groups
            .iter()
            .chain(&now.groups)
            .any(|(name, _)| max_in(then, name) != max_in(now, name) && max_in(self, name) == max_in(then, name))
    }

    /// What each key but `groups` says, to be compared and shown to nobody: a URL has its password in it.
    pub(super) fn said(&self) -> Vec<(&'static str, String)> {
        // Each by its name, so that a new setting is not forgotten.
        let Self {
            max_workers,
            queue_size,
            timezone,
            shutdown_timeout,
            misfire_grace,
            lease,
            node,
            history,
            #[cfg(feature = "metrics")]
            metrics,
            groups: _,
            overrides: _,
            backend,
            daemon,
            logging,
            origin: _,
            as_read: _,
        } = self;
        let mut said = vec![
            ("max_workers", format!("{max_workers:?}")),
            ("queue_size", format!("{queue_size:?}")),
            ("timezone", format!("{timezone:?}")),
            ("shutdown_timeout", format!("{shutdown_timeout:?}")),
            ("misfire_grace", format!("{misfire_grace:?}")),
            ("lease", format!("{lease:?}")),
            ("node", format!("{node:?}")),
        ];
        said.extend(history.said());
        #[cfg(feature = "metrics")]
        said.extend(metrics.said());
        said.extend(backend.said());
        said.extend(daemon.said());
        said.extend(logging.said());
        said
    }
}
