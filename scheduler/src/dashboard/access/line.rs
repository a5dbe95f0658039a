//! Over which line a request came to the first who took it: with TLS, if a proxy that ended it says so.
//!
//! It is believed of whoever asks, for it decides only whether his own cookie may travel without TLS.

use axum::http::Uri;
use axum::http::header::{self, HeaderMap, HeaderName};

/// How a request travelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dashboard) enum Line {
    Plain,
    Tls,
}

impl Line {
    pub(super) fn of(headers: &HeaderMap, uri: &Uri) -> Self {
        let first = |name: HeaderName| headers.get(name)?.to_str().ok()?.split(',').next();
        let is_https = |scheme: &str| scheme.trim().trim_matches('"').eq_ignore_ascii_case("https");
        // Each proxy adds what it has seen: the first one has seen the browser.
        let told = first(HeaderName::from_static("x-forwarded-proto")).is_some_and(is_https)
            || first(header::FORWARDED).is_some_and(|element| {
                let mut pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
                pairs.any(|(name, value)| name.eq_ignore_ascii_case("proto") && is_https(value))
            });
        if told || uri.scheme_str().is_some_and(is_https) { Self::Tls } else { Self::Plain }
    }

    /// What a cookie says, so that it travels by no worse line.
    pub(in crate::dashboard) const fn flag(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Tls => "; Secure",
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_first_proxy_says_how_a_request_travelled() {
        let line = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            Line::of(&headers, &Uri::from_static("/"))
        };
        for (name, value) in [
            ("x-forwarded-proto", "https"),
            ("x-forwarded-proto", "HTTPS, http"),
            ("forwarded", "proto=https"),
            ("forwarded", "for=192.0.2.60; Proto=\"https\";by=203.0.113.43, for=10.0.0.1;proto=http"),
        ] {
            assert_eq!(line(name, value), Line::Tls, "{name}: {value}");
        }
        for (name, value) in [
            ("x-forwarded-proto", "http"),
            ("x-forwarded-proto", "http, https"),
            ("forwarded", "for=192.0.2.60;proto=http, proto=https"),
            ("forwarded", "host=https"),
            ("x-forwarded-for", "https"),
        ] {
            assert_eq!(line(name, value), Line::Plain, "{name}: {value}");
        }
    }
}
