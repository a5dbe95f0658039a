//! One value of an option, and the kinds of value there are: text, whole number, decimal, true or false, list of
//! texts, path.
//!
//! Each reading fails with an error at the value's own tokens that names the option and shows how to write it.

use std::fmt;
use std::ops::RangeInclusive;

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::parse::{ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Lit, LitBool, LitStr, Path, Token, bracketed};

use crate::form::Word;

/// The tokens of a value: at least one.
pub(crate) struct Value(TokenStream);

impl Value {
    /// The value made of `tokens`, or `None` if there are none.
    pub(crate) fn new(tokens: TokenStream) -> Option<Self> {
        (!tokens.is_empty()).then_some(Self(tokens))
    }

    /// The value of a flag that stands alone at `place`.
    pub(crate) fn set(place: Span) -> Self {
        Self(LitBool::new(true, place).into_token_stream())
    }

    /// An error at this value.
    pub(crate) fn error(&self, message: impl fmt::Display) -> syn::Error {
        syn::Error::new_spanned(&self.0, message)
    }

    /// The text of a string literal.
    pub(crate) fn text(&self, word: &Word) -> syn::Result<String> {
        self.literal_text().map(|text| text.value()).ok_or_else(|| self.not_a("a string", word))
    }

    /// The text of a string literal, or `None` if this is something else.
    pub(crate) fn as_text(&self) -> Option<String> {
        self.literal_text().map(|text| text.value())
    }

    /// A whole number within `allowed`.
    pub(crate) fn whole<T>(&self, word: &Word, allowed: RangeInclusive<T>) -> syn::Result<T>
    where
        T: Copy + PartialOrd + fmt::Display + TryFrom<i128>,
    {
        let number = self.decimal().and_then(Decimal::whole).ok_or_else(|| self.not_a("a whole number", word))?;
        let number = T::try_from(number).ok().filter(|number| allowed.contains(number));
        number.ok_or_else(|| self.out_of_range(word, allowed.start(), allowed.end()))
    }

    /// An error that says what is allowed for this number or duration.
    pub(crate) fn out_of_range(&self, word: &Word, low: impl fmt::Display, high: impl fmt::Display) -> syn::Error {
        let low = low.to_string();
        let to = if low.starts_with('-') { " to " } else { "-" };
        self.error(format!("`{}` is {self}; allowed {low}{to}{high}, for example `{}`", word.name, word.example))
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, word: &Word) -> syn::Result<bool> {
        let literal: LitBool = syn::parse2(self.0.clone()).map_err(|_| self.not_a("true or false", word))?;
        Ok(literal.value())
    }

    /// A number in decimal notation, with an optional minus; `None` if this is something else.
    pub(crate) fn decimal(&self) -> Option<Decimal> {
        let parser = |input: ParseStream<'_>| {
            let minus: Option<Token![-]> = input.parse()?;
            let (digits, suffix, span) = match input.parse()? {
                Lit::Int(literal) => (literal.base10_digits().to_owned(), literal.suffix().to_owned(), literal.span()),
                Lit::Float(literal) => {
                    (literal.base10_digits().to_owned(), literal.suffix().to_owned(), literal.span())
                }
                other => return Err(syn::Error::new_spanned(other, "not a number")),
            };
            if !suffix.is_empty() {
                return Err(syn::Error::new(span, "not a number without a suffix"));
            }
            Decimal::parse(minus.is_some(), &digits).ok_or_else(|| syn::Error::new(span, "too many digits"))
        };
        parser.parse2(self.0.clone()).ok()
    }

    /// A list of string literals, each with the tokens it was read from.
    pub(crate) fn texts(&self, word: &Word) -> syn::Result<Vec<LitStr>> {
        let parser = |input: ParseStream<'_>| {
            let list;
            bracketed!(list in input);
            Punctuated::<LitStr, Token![,]>::parse_terminated(&list)
        };
        let list = parser.parse2(self.0.clone()).map_err(|_| self.not_a("a list of strings", word))?;
        Ok(list.into_iter().collect())
    }

    /// A list of paths, of functions.
    pub(crate) fn paths(&self, word: &Word) -> syn::Result<Vec<Path>> {
        let parser = |input: ParseStream<'_>| {
            let list;
            bracketed!(list in input);
            Punctuated::<Path, Token![,]>::parse_terminated_with(&list, Path::parse_mod_style)
        };
        let list = parser.parse2(self.0.clone());
        let list = list.map_err(|_| self.error(format!(
            "option `{}` takes the functions that bring arguments from one version to the next, in their order, not {self}; \
             write `{}`",
            word.name, word.example
        )))?;
        Ok(list.into_iter().collect())
    }

    /// A path such as `crate::vendored::scheduler`.
    pub(crate) fn path(&self, word: &Word) -> syn::Result<Path> {
        Path::parse_mod_style.parse2(self.0.clone()).map_err(|_| self.not_a("a path without quotes", word))
    }

    fn literal_text(&self) -> Option<LitStr> {
        let literal: LitStr = syn::parse2(self.0.clone()).ok()?;
        literal.suffix().is_empty().then_some(literal)
    }

    /// What to add to an error where a name stands for a value, such as `EVERY` or `config::EVERY`.
    pub(crate) fn name_advice(&self) -> &'static str {
        match Path::parse_mod_style.parse2(self.0.clone()) {
            Ok(_) => " (an attribute sees only the text, not what a name stands for)",
            Err(_) => "",
        }
    }

    /// An error that says what kind of value `word` takes.
    pub(crate) fn not_a(&self, kind: &str, word: &Word) -> syn::Error {
        let advice = self.name_advice();
        self.error(format!("option `{}` takes {kind}, not {self}{advice}; write `{}`", word.name, word.example))
    }
}

/// The value as it was written, cut where it is long.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const CHARS_MAX: usize = 60;
        // A space after a minus is the printer's, not the user's.
        let text = self.0.to_string().replace("- ", "-");
        if text.chars().count() <= CHARS_MAX {
            return f.write_str(&text);
        }
        write!(f, "{}…", text.chars().take(CHARS_MAX).collect::<String>())
    }
}

impl ToTokens for Value {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.0.to_tokens(tokens);
    }
}

/// An exact decimal number: `mantissa / 10^scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    mantissa: i128,
    scale: u32,
}

impl Decimal {
    /// More digits than any sensible interval has, and few enough that a product with a unit fits in 128 bits.
    const DIGITS_MAX: usize = 27;

    /// Reads digits with at most one point; `None` for an exponent or too many digits.
    fn parse(negative: bool, digits: &str) -> Option<Self> {
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let fraction = fraction.trim_end_matches('0');
        let joined = format!("{whole}{fraction}");
        if joined.len() > Self::DIGITS_MAX || !joined.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let mantissa: i128 = joined.parse().ok()?;
        let scale = u32::try_from(fraction.len()).ok()?;
        Some(Self { mantissa: if negative { -mantissa } else { mantissa }, scale })
    }

    /// The number, if it has no fraction.
    pub(crate) fn whole(self) -> Option<i128> {
        (self.scale == 0).then_some(self.mantissa)
    }

    /// This many units of `unit`, if that is a whole number.
    pub(crate) fn times(self, unit: u64) -> Option<i128> {
        let product = self.mantissa.checked_mul(i128::from(unit))?;
        let divisor = 10_i128.checked_pow(self.scale)?;
        (product % divisor == 0).then_some(product / divisor)
    }

    pub(crate) fn is_negative(self) -> bool {
        self.mantissa < 0
    }

    /// The nearest floating-point number.
    pub(crate) fn to_f64(self) -> f64 {
        // Through the text, because a division would round a second time.
        format!("{}e-{}", self.mantissa, self.scale).parse().expect("digits with an exponent are a number")
    }
}
