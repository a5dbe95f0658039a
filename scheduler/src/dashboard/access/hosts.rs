//! By which names the dashboard is asked for, and whether a change comes from one of its own pages.

use std::net::IpAddr;

use axum::http::Uri;
use axum::http::header::{self, HeaderMap, HeaderName};
use axum::http::uri::Authority;

/// The names besides `localhost` and addresses in numbers, in lower case.
#[derive(Clone, Debug, Default)]
pub(in crate::dashboard) struct Hosts(Vec<String>);

impl Hosts {
    pub(in crate::dashboard) fn and(mut self, names: impl Iterator<Item = String>) -> Self {
        self.0.extend(names.map(|name| name.to_ascii_lowercase()));
        self
    }

    /// An error is the name that is not ours. A name leads where its owner says, and he may say another place each time he
    /// is asked: then a page of his reads what is here as if it were his. An address in numbers leads nowhere else.
    pub(super) fn own(&self, headers: &HeaderMap, uri: &Uri) -> Result<(), String> {
        let Some(authority) = authority(headers, uri) else { return Err(String::new()) };
        let host = authority.host().to_ascii_lowercase();
        let number = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&host);
        let own = host == "localhost" || number.parse::<IpAddr>().is_ok() || self.0.contains(&host);
        if own { Ok(()) } else { Err(host) }
    }
}

/// For whom a request is meant; nobody, if it names several.
fn authority(headers: &HeaderMap, uri: &Uri) -> Option<Authority> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok()?.parse().ok(),
        // HTTP/2 has it in the address.
        (None, None) => uri.authority().cloned(),
        _ => None,
    }
}

/// Whether a browser says that one of our own pages sent it. Whatever says nothing of where it comes from is not believed.
pub(super) fn is_same_origin(headers: &HeaderMap, uri: &Uri) -> bool {
    let site = headers.get(HeaderName::from_static("sec-fetch-site"));
    let origin = headers.get(header::ORIGIN);
    let site_is_own = site.map(|site| site == "same-origin");
    let origin_is_own = origin.map(|origin| {
        let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, rest)| rest);
        let own = authority(headers, uri);
        origin.zip(own.as_ref()).is_some_and(|(origin, own)| origin.eq_ignore_ascii_case(own.as_str()))
    });
    (site_is_own.is_some() || origin_is_own.is_some()) && site_is_own != Some(false) && origin_is_own != Some(false)
}
