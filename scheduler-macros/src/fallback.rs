//! What is left of the user's item when its attribute is wrong: the item itself, and the errors.
//!
//! The item stays so that its callers do not fail too. Nothing is registered.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::spanned::Spanned;
use syn::{Attribute, Item, ItemFn};

use crate::errors::Errors;
use crate::form::Form;
use crate::{function, validate};

/// The function as written, without any other attribute of ours, and the errors.
pub(crate) fn function(form: Form, arguments: TokenStream, mut function: ItemFn, error: &syn::Error) -> TokenStream {
    // Its errors are in `error` already.
    let (_, options) = validate::attribute(form, arguments, &mut Errors::default());
    let runtime = options.runtime.as_ref();
    // Another schedule would expand in its turn and repeat the errors of the function; taken away, its import would be
    // reported as unused.
    let is_ours = |attribute: &Attribute| function::schedule_attribute(attribute, runtime).is_some();
    let (ours, others): (Vec<_>, Vec<_>) = function.attrs.into_iter().partition(is_ours);
    function.attrs = others;
    let imports = ours.iter().map(|attribute| {
        let path = attribute.path();
        quote! { #[allow(unused_imports, reason = "it keeps in use the import of the schedule that was taken away")] use #path as _; }
    });
    let errors = error.to_compile_error();
    let used = (!ours.is_empty()).then(|| quote! { const _: () = { #(#imports)* }; });
    quote! { #function #errors #used }
}

/// The item as written, the error that it is no function, and those of the attribute.
pub(crate) fn not_a_function(form: Form, arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let (what, span) = kind(&item);
    let message = format!("#[{}] stands on an async function with a body; this is {what}", form.name());
    errors.push(syn::Error::new(span, message));
    validate::attribute(form, arguments, &mut errors);
    let errors = errors.finish().err().map(|error| error.to_compile_error());
    quote! { #item #errors }
}

fn kind(tokens: &TokenStream) -> (&'static str, Span) {
    match syn::parse2::<Item>(tokens.clone()) {
        Ok(Item::Struct(item)) => ("a struct", item.struct_token.span),
        Ok(Item::Enum(item)) => ("an enum", item.enum_token.span),
        Ok(Item::Mod(item)) => ("a module", item.mod_token.span),
        Ok(Item::Impl(item)) => ("an impl block", item.impl_token.span),
        Ok(Item::Trait(item)) => ("a trait", item.trait_token.span),
        Ok(Item::Const(item)) => ("a constant", item.const_token.span),
        Ok(Item::Static(item)) => ("a static", item.static_token.span),
        Ok(Item::Use(item)) => ("an import", item.use_token.span),
        Ok(item) => ("something else", item.span()),
        Err(_) => ("something else", tokens.span()),
    }
}
