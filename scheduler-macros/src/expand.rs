//! What is generated beside the function: its registration, and two items that make a second task of the name fail.
//!
//! Nothing here can fail: a [`Task`] is valid. The function itself is given back as written. All names but the user's
//! are absolute, because a user may have a module `core` or a type `Result` of their own. A `#[cfg]` of the function
//! needs no copy: rustc settles it, wherever it stands on the item, before it calls the macro.

mod options;
mod zone;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{FnArg, ReturnType, Type};

use crate::model::Task;
use crate::name;
use crate::options::Blocking;
use crate::schedule::{Moment, Schedule};

/// The function and everything that registers it.
pub(crate) fn task(task: &Task<'_>) -> TokenStream {
    let function = task.function;
    let once_in_crate = once_in_crate(task);
    let once_in_program = once_in_program(task);
    let registration = registration(task);
    // The scheduler's call is no use that the author of a deprecated function has to be warned of.
    let deprecated = function.attrs.iter().any(|attribute| attribute.path().is_ident("deprecated"));
    let quiet =
        deprecated.then(|| quote! { #[allow(deprecated, reason = "the scheduler's call is no use to warn of")] });
    let unawaited = function
        .sig
        .asyncness
        .map(|_| quote! { #[allow(clippy::unused_async, reason = "a task without an await is async all the same")] });
    quote! {
        #unawaited
        #function

        #once_in_crate

        #quiet
        const _: () = {
            #once_in_program
            #registration
        };
    }
}

/// The declaration, handed to the linker.
///
/// All that names a type of an argument stands in this one expression: the compiler says what is wrong with a type once
/// for each body of code, and each function item would be one of its own.
fn registration(task: &Task<'_>) -> TokenStream {
    let private = private(task);
    let start = start(task);
    let name = &task.name.text;
    let needs = needs(task);
    let options = options::options(task);
    if task.schedule == Schedule::Job {
        let kind = job_kind(task);
        return quote! {
            #private::inventory::submit! {
                #private::Declaration::job(
                    #name,
                    #private::Source::new(::core::file!(), ::core::line!(), ::core::module_path!()),
                    #start,
                    #kind,
                )
                #needs
                #options
            }
        };
    }
    let schedule = schedule(task);
    quote! {
        #private::inventory::submit! {
            #private::Declaration::new(
                #name,
                #schedule,
                #private::Source::new(::core::file!(), ::core::line!(), ::core::module_path!()),
                #start,
            )
            #needs
            #options
        }
    }
}

/// The closure that tells which function a job is, and what it is enqueued with.
fn job_kind(task: &Task<'_>) -> TokenStream {
    let private = private(task);
    let function = &task.function.sig.ident;
    let payload = argument_types(task).next().map_or_else(|| quote! { () }, |ty| quote! { #ty });
    quote! { || #private::JobKind::of::<_, #payload, _>(&#function) }
}

/// The closure that extracts the arguments and calls the task.
fn start(task: &Task<'_>) -> TokenStream {
    let private = private(task);
    let signature = &task.function.sig;
    let function = &signature.ident;
    let arguments = argument_types(task).enumerate().map(|(place, ty)| extract(task, place, ty));
    // Where the outcome or the future does not fit, the compiler points at the call and at the closure: both begin and
    // end where the return type does.
    let (first, last) = match &signature.output {
        ReturnType::Default => (function.span(), function.span()),
        ReturnType::Type(_, ty) => ends(ty),
    };
    let last = Span::call_site().located_at(last);
    let (start, body) = match task.options.blocking {
        Blocking::No | Blocking::Unknown => (
            quote! { #private::start },
            quote_spanned! {last=> ::core::result::Result::Ok(#function(#(#arguments),*)) },
        ),
        // The arguments are extracted before the function goes to its thread, and move there with it.
        Blocking::Yes => {
            let names: Vec<Ident> = (0..signature.inputs.len()).map(|n| format_ident!("__argument_{n}")).collect();
            let body = quote_spanned! {last=> {
                #(let #names = #arguments;)*
                ::core::result::Result::Ok(move || #function(#(#names),*))
            } };
            (quote! { #private::start_blocking }, body)
        }
    };
    let start = at(first, start);
    let first = Span::call_site().located_at(first);
    let head = quote_spanned! {first=> __run, |__run| };
    let call = quote_spanned! {last=> (#head #body) };
    quote! { |__run| #start #call }
}

/// What the arguments need, so that a missing one is told before anything runs.
fn needs(task: &Task<'_>) -> Option<TokenStream> {
    let payload = usize::from(task.schedule == Schedule::Job);
    let needs: Vec<TokenStream> = argument_types(task)
        .skip(payload)
        .map(|ty| {
            let of = at(ty.span(), quote! { of });
            quote! { __needs.#of::<#ty>(); }
        })
        .collect();
    (!needs.is_empty()).then(|| quote! { .needs(|__needs| { #(#needs)* }) })
}

fn argument_types<'t>(task: &'t Task<'_>) -> impl Iterator<Item = &'t Type> {
    task.function.sig.inputs.iter().filter_map(|argument| match argument {
        FnArg::Typed(typed) => Some(&*typed.ty),
        FnArg::Receiver(_) => None,
    })
}

/// Takes one argument out of the run: of a job the first is what it was enqueued with. The compiler points at its type where
/// that is no extractor.
fn extract(task: &Task<'_>, place: usize, ty: &Type) -> TokenStream {
    let private = private(task);
    let how = if place == 0 && task.schedule == Schedule::Job {
        quote! { payload }
    } else {
        quote! { extract }
    };
    let extract = at(ty.span(), quote! { #private::#how });
    quote! { #extract::<#ty>(__run)? }
}

/// The places where a type begins and ends.
fn ends(ty: &Type) -> (Span, Span) {
    let mut tokens = ty.to_token_stream().into_iter().map(|token| token.span());
    let first = tokens.next().unwrap_or_else(Span::call_site);
    (first, tokens.last().unwrap_or(first))
}

/// The tokens, shown at `place` in what the compiler says of them; what their names mean stays as it is.
fn at(place: Span, tokens: TokenStream) -> TokenStream {
    let moved = tokens.into_iter().map(|mut token| {
        token.set_span(token.span().located_at(place));
        token
    });
    moved.collect()
}

fn schedule(task: &Task<'_>) -> TokenStream {
    let private = private(task);
    match &task.schedule {
        Schedule::Cron(expression) => {
            let expression = options::cron(task, expression);
            quote! { #private::Schedule::from_cron(#expression) }
        }
        Schedule::Interval { millis } => quote! { #private::Schedule::from_millis(#millis) },
        Schedule::Job => quote! {},
        Schedule::Once(instant) => {
            let instant = moment(task, *instant);
            quote! { #private::Schedule::from_moment(#instant) }
        }
    }
}

fn moment(task: &Task<'_>, moment: Moment) -> TokenStream {
    let private = private(task);
    match moment {
        Moment::Utc(millis) => quote! { #private::Moment::utc(#millis) },
        Moment::Local(millis) => quote! { #private::Moment::local(#millis) },
    }
}

/// An item at the root of the crate with a name made from the task's: a second one is an error that shows both.
fn once_in_crate(task: &Task<'_>) -> TokenStream {
    let name = Ident::new(&symbol(task), Span::call_site());
    // Not the span of the name itself: the item is the macro's, and no lint of the user's code looks at it.
    let place = Span::call_site().located_at(task.name.span);
    let item = quote_spanned! {place=> macro_rules! #name { () => {}; } };
    quote! {
        #[doc(hidden)]
        #[allow(non_local_definitions, reason = "the function may stand in the body of another")]
        #[macro_export]
        #item
    }
}

/// A symbol with a name made from the task's: two crates that export it do not link.
///
/// Not in tests, where a crate may be linked with its own copy. The tokens have a span of the macro's own, which is how
/// they pass `forbid(unsafe_code)`: the attribute is unsafe because names can collide, and that is its purpose here.
fn once_in_program(task: &Task<'_>) -> TokenStream {
    let symbol = symbol(task);
    quote_spanned! {Span::mixed_site()=>
        #[cfg(not(test))]
        #[unsafe(export_name = #symbol)]
        static __SYMPHRA_TASK: u8 = 0;
    }
}

/// The name of both items. It stands in rustc's and the linker's messages, so it says what the rule is.
fn symbol(task: &Task<'_>) -> String {
    format!("__symphra_task_name_must_be_unique__{}", name::encode(&task.name.text))
}

fn private(task: &Task<'_>) -> TokenStream {
    match &task.options.runtime {
        Some(path) => quote! { #path::__private },
        None => quote! { ::symphra_scheduler::__private },
    }
}
