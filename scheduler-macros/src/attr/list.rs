//! What stands in the brackets of an option such as `retry(max_attempts = 5)`: keys, each with a value.

use proc_macro2::{Group, Ident, TokenStream, TokenTree};
use quote::ToTokens;

use super::{Value, pieces};
use crate::errors::Errors;
use crate::form::Word;

/// An option with its brackets.
pub(crate) struct List {
    whole: TokenStream,
    inner: TokenStream,
}

impl List {
    pub(super) fn new(name: &Ident, brackets: &Group) -> Self {
        let mut whole = name.to_token_stream();
        brackets.to_tokens(&mut whole);
        Self { whole, inner: brackets.stream() }
    }

    /// The keys and their values, each key once; what is wrong goes into `errors`. `known` refuses a strange key.
    pub(crate) fn entries(
        &self,
        owner: &Word,
        known: impl Fn(&Ident) -> syn::Result<()>,
        errors: &mut Errors,
    ) -> Vec<(Ident, Value)> {
        if self.inner.is_empty() {
            let message =
                format!("`{}` has nothing in its brackets; write for example `{}`", owner.name, owner.example);
            errors.push(syn::Error::new_spanned(&self.whole, message));
        }
        let mut entries: Vec<(Ident, Value)> = Vec::new();
        for piece in pieces(self.inner.clone(), errors) {
            let entry = entry(owner, piece, &known).and_then(|(key, value)| {
                if entries.iter().any(|(other, _)| *other == key) {
                    let message = format!("`{key}` of `{}` is given more than once; keep one of them", owner.name);
                    return Err(syn::Error::new(key.span(), message));
                }
                Ok((key, value))
            });
            entries.extend(errors.take(entry));
        }
        entries
    }
}

/// Reads one piece between two commas; it is not empty.
fn entry(
    owner: &Word,
    piece: Vec<TokenTree>,
    known: impl Fn(&Ident) -> syn::Result<()>,
) -> syn::Result<(Ident, Value)> {
    let without_value = |key: &Ident| {
        let message = format!("`{key}` of `{}` has no value; write for example `{}`", owner.name, owner.example);
        syn::Error::new(key.span(), message)
    };
    match piece.as_slice() {
        [TokenTree::Ident(key), TokenTree::Punct(equals), rest @ ..] if equals.as_char() == '=' => {
            known(key)?;
            let value = Value::new(rest.iter().cloned().collect()).ok_or_else(|| without_value(key))?;
            Ok((key.clone(), value))
        }
        [TokenTree::Ident(key)] if key != "true" && key != "false" => {
            known(key)?;
            Err(without_value(key))
        }
        _ => {
            let value = Value::new(piece.into_iter().collect()).expect("a piece is not empty");
            let name = owner.name;
            let message = format!(
                "`{name}` takes keys with values, and `{value}` is none; write for example `{}`",
                owner.example
            );
            Err(value.error(message))
        }
    }
}
