//! A task as the macros see it, once everything about it has been checked.

use syn::ItemFn;

use crate::name::Name;
use crate::options::Options;
use crate::schedule::Schedule;

/// A task without errors: what `validate` makes and `expand` writes down.
pub(crate) struct Task<'f> {
    pub(crate) name: Name,
    pub(crate) schedule: Schedule,
    pub(crate) options: Options,
    pub(crate) function: &'f ItemFn,
}
