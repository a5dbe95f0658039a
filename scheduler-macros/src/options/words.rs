//! Options whose value is one of a few words, and what each word is called in the runtime.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use symphra_scheduler_core::nearest;

use crate::attr::Value;
use crate::form::Word;

/// A value that is one of a few words. Its tokens are the path to it within the runtime's private module.
pub(crate) trait Choice: Copy + ToTokens + 'static {
    /// Every word, and what it stands for.
    const WORDS: &'static [(&'static str, Self)];
}

/// Reads the word that `value` is.
pub(super) fn read<C: Choice>(value: &Value, word: &Word) -> syn::Result<C> {
    let text = value.text(word)?;
    if let Some((_, choice)) = C::WORDS.iter().find(|(allowed, _)| *allowed == text) {
        return Ok(*choice);
    }
    let suggestion = nearest(&text, C::WORDS.iter().map(|(allowed, _)| *allowed))
        .map(|near| format!("; did you mean {near:?}?"))
        .unwrap_or_default();
    Err(value.error(format!("`{}` is {text:?}; allowed {}{suggestion}", word.name, allowed::<C>())))
}

/// The words as a sentence lists them: `"a", "b" or "c"`.
fn allowed<C: Choice>() -> String {
    let words: Vec<String> = C::WORDS.iter().map(|(word, _)| format!("{word:?}")).collect();
    let (last, others) = words.split_last().expect("a choice has words");
    format!("{} or {last}", others.join(", "))
}

macro_rules! choices {
    ($($(#[$doc:meta])* $of:ident: $($variant:ident = $word:literal => $path:expr),+;)+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub(crate) enum $of {
                $($variant,)+
            }

            impl Choice for $of {
                const WORDS: &'static [(&'static str, Self)] = &[$(($word, Self::$variant)),+];
            }

            impl ToTokens for $of {
                fn to_tokens(&self, tokens: &mut TokenStream) {
                    tokens.extend(match self {
                        $(Self::$variant => $path,)+
                    });
                }
            }
        )+
    };
}

choices! {
    /// What happens to an occurrence that falls due while the task is full.
    Overlap:
        Skip = "skip" => quote! { Overlap::Skip },
        BufferOne = "buffer_one" => quote! { Overlap::BufferOne },
        BufferAll = "buffer_all" => quote! { Overlap::BufferAll },
        CancelRunning = "cancel_running" => quote! { Overlap::CancelRunning },
        Allow = "allow" => quote! { Overlap::Allow };
    /// What happens to occurrences that nobody could start in time.
    Misfire:
        RunOnce = "run_once" => quote! { Misfire::RunOnce },
        Skip = "skip" => quote! { Misfire::Skip },
        RunAll = "run_all" => quote! { Misfire::RunAll };
    /// From where the next instant of an interval counts.
    Delay:
        FixedRate = "fixed_rate" => quote! { Delay::FixedRate },
        FixedDelay = "fixed_delay" => quote! { Delay::FixedDelay };
    /// Whether a run whose node has died is executed again.
    Delivery:
        AtLeastOnce = "at_least_once" => quote! { Delivery::AtLeastOnce },
        AtMostOnce = "at_most_once" => quote! { Delivery::AtMostOnce };
    /// How the waits between attempts grow.
    Backoff:
        Exponential = "exponential" => quote! { Backoff::Exponential },
        Fixed = "fixed" => quote! { Backoff::Fixed },
        Random = "random" => quote! { Backoff::Random };
    /// A retry policy that has a name.
    Preset:
        None = "none" => quote! { RetryPolicy::none() },
        Default = "default" => quote! { RetryPolicy::standard() },
        Aggressive = "aggressive" => quote! { RetryPolicy::aggressive() };
}
