//! From the tokens inside an attribute to words with values.
//!
//! The tokens are cut at their commas first and each piece is read on its own, so that a mistake in one option hides
//! none of the others. What comes out holds only words that the attribute knows, each at most once, with a value or with
//! keys in brackets. A flag that stands alone has the value `true`.

mod list;
mod value;

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};
use symphra_scheduler_core::nearest;

use crate::errors::Errors;
use crate::form::{Form, Shape, Word};

pub(crate) use list::List;
pub(crate) use value::Value;

/// What stands inside the brackets of one attribute.
pub(crate) struct Arguments {
    bare: Option<Value>,
    named: Vec<(Ident, Value)>,
    lists: Vec<(Ident, List)>,
    complete: bool,
}

impl Arguments {
    /// Reads the tokens of an attribute of this form; what is wrong goes into `errors` and is left out.
    pub(crate) fn parse(form: Form, tokens: TokenStream, errors: &mut Errors) -> Self {
        let mut arguments = Self { bare: None, named: Vec::new(), lists: Vec::new(), complete: true };
        for piece in pieces(tokens, errors) {
            let added = Argument::parse(form, piece).and_then(|argument| match argument {
                Argument::Bare(value) => arguments.add_bare(form, value),
                Argument::Named(name, value) => {
                    arguments.check_new(&name).map(|()| arguments.named.push((name, value)))
                }
                Argument::List(name, list) => arguments.check_new(&name).map(|()| arguments.lists.push((name, list))),
            });
            arguments.complete &= errors.take(added).is_some();
        }
        arguments
    }

    /// Whether all that was written is here. If not, what seems to be missing may be what was left out as wrong.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    /// The value that stands without a name.
    pub(crate) fn bare(&self) -> Option<&Value> {
        self.bare.as_ref()
    }

    /// The value given to `name`.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.find(name).map(|(_, value)| value)
    }

    /// `name` where it stands, and its value.
    pub(crate) fn find(&self, name: &str) -> Option<&(Ident, Value)> {
        self.named.iter().find(|(ident, _)| ident == name)
    }

    /// What stands in the brackets after `name`.
    pub(crate) fn list(&self, name: &str) -> Option<&List> {
        self.lists.iter().find(|(ident, _)| ident == name).map(|(_, list)| list)
    }

    /// `name` where it stands, with a value or with brackets, right or wrong.
    pub(crate) fn given(&self, name: &str) -> Option<&Ident> {
        let named = self.named.iter().map(|(ident, _)| ident);
        named.chain(self.lists.iter().map(|(ident, _)| ident)).find(|ident| *ident == name)
    }

    fn add_bare(&mut self, form: Form, value: Value) -> syn::Result<()> {
        if self.bare.is_some() {
            let form = form.name();
            return Err(value.error(format!("#[{form}] takes one schedule; `{value}` is a second one: remove it")));
        }
        self.bare = Some(value);
        Ok(())
    }

    fn check_new(&self, name: &Ident) -> syn::Result<()> {
        match self.given(&name.to_string()) {
            None => Ok(()),
            Some(_) => {
                Err(syn::Error::new(name.span(), format!("option `{name}` is given more than once; keep one of them")))
            }
        }
    }
}

enum Argument {
    Bare(Value),
    Named(Ident, Value),
    List(Ident, List),
}

impl Argument {
    /// Reads one piece between two commas; it is not empty.
    fn parse(form: Form, piece: Vec<TokenTree>) -> syn::Result<Self> {
        match piece.as_slice() {
            [TokenTree::Ident(name), TokenTree::Punct(equals), rest @ ..] if equals.as_char() == '=' => {
                let word = known(form, name)?;
                if word.shape == Shape::List {
                    return Err(otherwise(&piece, name, word));
                }
                let tokens: TokenStream = rest.iter().cloned().collect();
                let value = Value::new(tokens).ok_or_else(|| without_value(name, word))?;
                Ok(Self::Named(name.clone(), value))
            }
            [TokenTree::Ident(name)] if form.word(&name.to_string()).is_some_and(|word| word.shape == Shape::Flag) => {
                Ok(Self::Named(name.clone(), Value::set(name.span())))
            }
            [TokenTree::Ident(name)] if name != "true" && name != "false" => Err(alone(form, name)),
            [TokenTree::Ident(name), TokenTree::Group(group)] if group.delimiter() != Delimiter::None => {
                let word = known(form, name)?;
                let takes_list = matches!(word.shape, Shape::List | Shape::ValueOrList);
                if !takes_list || group.delimiter() != Delimiter::Parenthesis {
                    return Err(otherwise(&piece, name, word));
                }
                Ok(Self::List(name.clone(), List::new(name, group)))
            }
            _ => Self::bare(form, piece.into_iter().collect()),
        }
    }

    fn bare(form: Form, tokens: TokenStream) -> syn::Result<Self> {
        let value = Value::new(tokens).expect("a piece is not empty");
        if form.takes_bare_value() {
            return Ok(Self::Bare(value));
        }
        if form == Form::Task {
            return Err(value.error(format!(
                "#[task] takes options only, and `{value}` has no name; a task that is enqueued has no schedule: remove it, or \
                 write for example `{}` in place of #[task]",
                Form::Cron.example()
            )));
        }
        Err(value.error(format!(
            "#[{}] takes options only, and `{value}` has no name; write for example `{}`",
            form.name(),
            form.example()
        )))
    }
}

/// An option that is written in another way than its own.
fn otherwise(piece: &[TokenTree], name: &Ident, word: &Word) -> syn::Error {
    let how = match word.shape {
        Shape::Value | Shape::Flag => "is written with `=`:",
        Shape::List | Shape::ValueOrList => "is written",
    };
    let tokens: TokenStream = piece.iter().cloned().collect();
    syn::Error::new_spanned(tokens, format!("option `{name}` {how} `{}`", word.example))
}

/// Cuts the tokens at the commas that stand in no brackets. No piece is empty; one comma may stand at the end.
fn pieces(tokens: TokenStream, errors: &mut Errors) -> Vec<Vec<TokenTree>> {
    let mut pieces = Vec::new();
    let mut piece = Vec::new();
    for token in tokens {
        match &token {
            TokenTree::Punct(punct) if punct.as_char() == ',' => {
                if piece.is_empty() {
                    errors.push(syn::Error::new(punct.span(), "nothing stands before this comma; remove it"));
                } else {
                    pieces.push(std::mem::take(&mut piece));
                }
            }
            _ => piece.push(token),
        }
    }
    if !piece.is_empty() {
        pieces.push(piece);
    }
    pieces
}

/// The word that `name` is in this form, or an error that suggests one.
fn known(form: Form, name: &Ident) -> syn::Result<&'static Word> {
    let written = name.to_string();
    form.word(&written).ok_or_else(|| syn::Error::new(name.span(), unknown(form, &written)))
}

fn unknown(form: Form, written: &str) -> String {
    let near = nearest(written, form.words().map(|word| word.name));
    let advice = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let words: Vec<String> = form.words().map(|word| format!("`{}`", word.name)).collect();
            format!("#[{}] takes {}", form.name(), words.join(", "))
        }
    };
    let owners: Vec<String> = Form::ALL
        .into_iter()
        .filter(|other| other.word(written).is_some())
        .map(|other| format!("#[{}]", other.name()))
        .collect();
    if owners.is_empty() {
        format!("unknown option `{written}`; {advice}")
    } else if form == Form::Task {
        // Nearly all know most of these; a list of them would hide what there is to say.
        let owners = if owners.len() > 3 { "attributes with a schedule".to_owned() } else { owners.join(", ") };
        format!(
            "`{written}` is an option of {owners}, and a #[task] has no schedule: it runs when it is enqueued; remove the \
             option, or write another attribute in place of #[task]"
        )
    } else {
        format!("`{written}` is an option of {}, not of #[{}]; {advice}", owners.join(", "), form.name())
    }
}

/// What is wrong with a name that stands alone: it is an option without its value, or a constant.
fn alone(form: Form, name: &Ident) -> syn::Error {
    let written = name.to_string();
    let is_word = nearest(&written, form.words().map(|word| word.name)).is_some();
    let is_word_elsewhere = Form::ALL.into_iter().any(|other| other.word(&written).is_some());
    if !form.takes_bare_value() || is_word || is_word_elsewhere {
        return known(form, name).map_or_else(|error| error, |word| without_value(name, word));
    }
    let message = format!(
        "`{name}` is neither an option of #[{}] nor a literal; an attribute sees only the text, not what a name stands \
         for: write the value itself, for example `{}`",
        form.name(),
        form.example()
    );
    syn::Error::new(name.span(), message)
}

fn without_value(name: &Ident, word: &Word) -> syn::Error {
    syn::Error::new(name.span(), format!("option `{name}` has no value; write `{}`", word.example))
}
