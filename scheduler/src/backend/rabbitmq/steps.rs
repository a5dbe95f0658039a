//! The steps of an owner, each by its name: a test kills the process at one of them.

use std::fmt;
#[cfg(feature = "conformance")]
use std::sync::Arc;

/// Who is told that an owner passes a step; nobody, where nothing is tested.
#[derive(Clone, Default)]
pub(super) struct Steps {
    #[cfg(feature = "conformance")]
    told: Option<Arc<dyn Fn(&'static str) + Send + Sync>>,
}

impl Steps {
    #[cfg(feature = "conformance")]
    pub(super) fn telling(told: impl Fn(&'static str) + Send + Sync + 'static) -> Self {
        Self { told: Some(Arc::new(told)) }
    }

    #[cfg(feature = "conformance")]
    pub(super) fn pass(&self, step: &'static str) {
        if let Some(told) = &self.told {
            told(step);
        }
    }

    #[cfg(not(feature = "conformance"))]
    #[expect(clippy::unused_self, reason = "as where there is somebody to tell")]
    pub(super) const fn pass(&self, _: &'static str) {}
}

impl fmt::Debug for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Steps").finish_non_exhaustive()
    }
}
