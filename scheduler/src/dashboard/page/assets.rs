//! The files that pages ask for, inside the program: a page asks nothing of anybody else.

/// The type and the content of the file of that name.
pub(in crate::dashboard) fn asset(name: &str) -> Option<(&'static str, &'static [u8])> {
    Some(match name {
        "style.css" => ("text/css; charset=utf-8", include_bytes!("../assets/style.css")),
        "script.js" => ("text/javascript; charset=utf-8", include_bytes!("../assets/script.js")),
        "icon.svg" => ("image/svg+xml", include_bytes!("../assets/icon.svg")),
        _ => return None,
    })
}
