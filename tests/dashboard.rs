//! The dashboard as browsers and programs see it: over HTTP, on a port of its own.

#[path = "dashboard/access.rs"]
mod access;
#[path = "dashboard/api.rs"]
mod api;
#[path = "dashboard/doors.rs"]
mod doors;
#[path = "dashboard/pages.rs"]
mod pages;
#[path = "dashboard/paging.rs"]
mod paging;
#[path = "dashboard/rig.rs"]
mod rig;
