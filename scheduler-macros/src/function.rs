//! The rules for the function under an attribute: a free function that owns its arguments, async unless it is blocking.
//!
//! Only what tokens can show is judged here. That an argument is an extractor, a return value an outcome and the future
//! `Send` is for the compiler to say, at the user's own tokens.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{FnArg, GenericArgument, GenericParam, ItemFn, Path, PathArguments, ReturnType, Signature, Type};

use crate::errors::Errors;
use crate::form::Form;
use crate::options::{Blocking, Options};

/// Checks the function; what is wrong goes into `errors`.
pub(crate) fn check(form: Form, function: &ItemFn, options: &Options, errors: &mut Errors) {
    other_schedule(form, function, options.runtime.as_ref(), errors);
    qualifiers(&function.sig, options.blocking, errors);
    asyncness(&function.sig, options.blocking, errors);
    generics(&function.sig, errors);
    for argument in &function.sig.inputs {
        errors.take(check_argument(argument));
    }
    if let Some(variadic) = &function.sig.variadic {
        let message = "a task has a fixed number of arguments; remove the `...`";
        errors.push(syn::Error::new_spanned(variadic, message));
    }
    if let ReturnType::Type(_, output) = &function.sig.output {
        errors.take(check_output(output));
    }
}

/// The attribute of ours that `attribute` is: by its name alone, or by a path into this crate or into `runtime`. The
/// `once` of another crate is left to that crate.
pub(crate) fn schedule_attribute(attribute: &syn::Attribute, runtime: Option<&Path>) -> Option<Form> {
    let path = attribute.path();
    let named = Form::named(&path.segments.last()?.ident.to_string())?;
    let is_ours = path.segments.len() == 1
        || path.segments.first().is_some_and(|first| first.ident == "symphra_scheduler")
        || runtime.is_some_and(|runtime| leads_into(path, runtime));
    is_ours.then_some(named)
}

fn leads_into(path: &Path, runtime: &Path) -> bool {
    let mut segments = path.segments.iter().map(|segment| &segment.ident);
    runtime.segments.iter().all(|expected| segments.next() == Some(&expected.ident))
}

fn other_schedule(form: Form, function: &ItemFn, runtime: Option<&Path>, errors: &mut Errors) {
    let ours = function.attrs.iter().find_map(|attribute| Some((attribute, schedule_attribute(attribute, runtime)?)));
    if let Some((attribute, other)) = ours {
        let (name, first, second) = (&function.sig.ident, form.name(), other.name());
        let message = match (form, other) {
            (Form::Task, _) | (_, Form::Task) => format!(
                "`{name}` has #[{first}] and #[{second}], and a task that is enqueued has no schedule: remove one of them, or \
                 put it on a second function that calls the first"
            ),
            _ => format!(
                "`{name}` already has a schedule, #[{first}]; a task has one: remove this #[{second}], or put it on a second \
                 function that calls the first"
            ),
        };
        errors.push(syn::Error::new_spanned(attribute, message));
    }
}

fn qualifiers(signature: &Signature, blocking: Blocking, errors: &mut Errors) {
    let name = &signature.ident;
    let (kind, keyword) = match blocking {
        Blocking::Yes => ("", "fn"),
        Blocking::No | Blocking::Unknown => ("async ", "async fn"),
    };
    let mut refuse = |token: &dyn ToTokens, qualifier: &str| {
        let message = format!(
            "a task cannot be `{qualifier}`, because the scheduler calls it like any safe {kind}function; write \
             `{keyword} {name}`"
        );
        errors.push(syn::Error::new_spanned(token.to_token_stream(), message));
    };
    if let Some(token) = &signature.constness {
        refuse(token, "const");
    }
    if let Some(token) = &signature.unsafety {
        refuse(token, "unsafe");
    }
    if let Some(token) = &signature.abi {
        refuse(token, "extern");
    }
}

fn asyncness(signature: &Signature, blocking: Blocking, errors: &mut Errors) {
    let name = &signature.ident;
    match (blocking, &signature.asyncness) {
        (Blocking::Yes, Some(token)) => {
            let message = "a blocking task is an ordinary function; remove `async` or `blocking`";
            errors.push(syn::Error::new(token.span, message));
        }
        // A `const fn` has been told to be async already.
        (Blocking::No, None) if signature.constness.is_none() => {
            let message = format!(
                "`{name}` is not async; a task is an async function: write `async fn {name}`, or add the option \
                 `blocking` to run it on the blocking pool"
            );
            errors.push(syn::Error::new(signature.fn_token.span, message));
        }
        _ => {}
    }
}

fn generics(signature: &Signature, errors: &mut Errors) {
    for parameter in &signature.generics.params {
        let message = match parameter {
            GenericParam::Lifetime(lifetime) => format!(
                "a task has no lifetime parameters, because it outlives its caller; remove `{}` and take owned \
                 arguments",
                lifetime.lifetime
            ),
            GenericParam::Type(parameter) => no_generics(&parameter.ident),
            GenericParam::Const(parameter) => no_generics(&parameter.ident),
        };
        errors.push(syn::Error::new_spanned(parameter, message));
    }
}

fn no_generics(name: &syn::Ident) -> String {
    format!("a task is not generic, because nobody is there to choose `{name}`; write a concrete type")
}

fn check_argument(argument: &FnArg) -> syn::Result<()> {
    let typed = match argument {
        FnArg::Receiver(receiver) => {
            let message = "a task is a free function: it has no `self`; move it out of the `impl`";
            return Err(syn::Error::new_spanned(receiver, message));
        }
        FnArg::Typed(typed) => typed,
    };
    if let Some(attribute) = typed.attrs.iter().find(|a| a.path().is_ident("cfg") || a.path().is_ident("cfg_attr")) {
        let message = "an argument of a task has no #[cfg]; put it on the function, once per variant";
        return Err(syn::Error::new_spanned(attribute, message));
    }
    refuse(&typed.ty, |flaw| match flaw {
        Flaw::Borrows => {
            "an argument of a task must own what it holds, because the task outlives its caller; take an owned type"
        }
        Flaw::Hidden => "an argument of a task has a concrete type; `impl Trait` leaves it open",
        Flaw::Never => "an argument of type `!` can never be given; remove it",
    })
}

fn check_output(output: &Type) -> syn::Result<()> {
    refuse(output, |flaw| match flaw {
        Flaw::Borrows => "a task returns nothing, or `Result<T, E>`, and borrows nothing; return owned types",
        Flaw::Hidden => "a task returns nothing, or `Result<T, E>`; write concrete types, no `impl Trait`",
        Flaw::Never => "a task returns nothing, or `Result<T, E>`, and comes to an end; leave the return type out",
    })
}

fn refuse(ty: &Type, message: impl FnOnce(Flaw) -> &'static str) -> syn::Result<()> {
    match flaw(ty) {
        None => Ok(()),
        Some((flaw, place)) => Err(syn::Error::new_spanned(place, message(flaw))),
    }
}

/// What makes a type unfit for a task.
enum Flaw {
    Borrows,
    Hidden,
    Never,
}

/// The first flaw of a type or of its parts, and where it is. Function types keep their own elided lifetimes and are
/// not looked into.
fn flaw(ty: &Type) -> Option<(Flaw, TokenStream)> {
    match ty {
        Type::Reference(reference) => match &reference.lifetime {
            Some(lifetime) if lifetime.ident == "static" => flaw(&reference.elem),
            _ => Some((Flaw::Borrows, reference.to_token_stream())),
        },
        Type::ImplTrait(hidden) => Some((Flaw::Hidden, hidden.to_token_stream())),
        Type::Never(never) => Some((Flaw::Never, never.to_token_stream())),
        Type::Array(array) => flaw(&array.elem),
        Type::Slice(slice) => flaw(&slice.elem),
        Type::Ptr(pointer) => flaw(&pointer.elem),
        Type::Paren(inner) => flaw(&inner.elem),
        Type::Group(inner) => flaw(&inner.elem),
        Type::Tuple(tuple) => tuple.elems.iter().find_map(flaw),
        Type::Path(path) => path.path.segments.iter().find_map(|segment| match &segment.arguments {
            PathArguments::AngleBracketed(arguments) => arguments.args.iter().find_map(generic_flaw),
            _ => None,
        }),
        _ => None,
    }
}

fn generic_flaw(argument: &GenericArgument) -> Option<(Flaw, TokenStream)> {
    match argument {
        GenericArgument::Type(ty) => flaw(ty),
        GenericArgument::Lifetime(lifetime) if lifetime.ident != "static" => {
            Some((Flaw::Borrows, lifetime.to_token_stream()))
        }
        _ => None,
    }
}
