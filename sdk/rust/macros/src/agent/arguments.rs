//! What stands in `#[agent(…)]` and `#[skill(…)]`.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Ident, LitStr, Result, Token};

/// `key = "…"` or `key = ["…", …]`.
struct Argument {
    key: Ident,
    values: Vec<LitStr>,
    list: bool,
}

impl Parse for Argument {
    fn parse(input: ParseStream<'_>) -> Result<Argument> {
        let key: Ident = input.parse()?;
        input.parse::<Token![=]>()?;
        if !input.peek(syn::token::Bracket) {
            return Ok(Argument { key, values: vec![input.parse()?], list: false });
        }
        let inner;
        syn::bracketed!(inner in input);
        let values: Punctuated<LitStr, Token![,]> = Punctuated::parse_terminated(&inner)?;
        Ok(Argument { key, values: values.into_iter().collect(), list: true })
    }
}

impl Argument {
    fn one(self) -> Result<LitStr> {
        let Argument { key, mut values, list } = self;
        match values.pop() {
            Some(value) if !list => Ok(value),
            _ => Err(Error::new(key.span(), format!("`{key}` is one string"))),
        }
    }

    fn unknown<T>(&self, of: &str, known: &[&str]) -> Result<T> {
        let text = format!("{of} has no `{}`; there are {}", self.key, known.join(", "));
        Err(Error::new(self.key.span(), text))
    }
}

fn arguments(input: ParseStream<'_>) -> Result<Vec<Argument>> {
    let arguments: Punctuated<Argument, Token![,]> = Punctuated::parse_terminated(input)?;
    let arguments: Vec<Argument> = arguments.into_iter().collect();
    for (position, argument) in arguments.iter().enumerate() {
        let repeats = arguments[..position].iter().any(|other| other.key == argument.key);
        if repeats && argument.key != "example" {
            return Err(Error::new(argument.key.span(), format!("`{}` stands here twice", argument.key)));
        }
    }
    Ok(arguments)
}

/// What the agent says of itself.
#[derive(Default)]
pub(crate) struct Card {
    name: Option<LitStr>,
    version: Option<LitStr>,
    role: Option<LitStr>,
    description: Option<LitStr>,
    tags: Vec<LitStr>,
}

impl Parse for Card {
    fn parse(input: ParseStream<'_>) -> Result<Card> {
        let mut card = Card::default();
        for argument in arguments(input)? {
            match argument.key.to_string().as_str() {
                "name" => card.name = Some(argument.one()?),
                "version" => card.version = Some(argument.one()?),
                "role" => card.role = Some(argument.one()?),
                "description" => card.description = Some(argument.one()?),
                "tags" => card.tags = argument.values,
                _ => argument.unknown("an agent", &["name", "version", "role", "description", "tags"])?,
            }
        }
        Ok(card)
    }
}

impl Card {
    /// The function `card`. What is not given comes from the package.
    pub(crate) fn tokens(&self, docs: &str, skills: impl Iterator<Item = TokenStream>) -> Result<TokenStream> {
        let (name, version) = (self.name()?, self.version()?);
        let role = self.role.as_ref().map(LitStr::value).unwrap_or_default();
        let given = self.description.as_ref().map(LitStr::value);
        let description = given.unwrap_or_else(|| match docs {
            "" => package("CARGO_PKG_DESCRIPTION"),
            docs => docs.to_owned(),
        });
        let tags = &self.tags;
        Ok(quote! {
            fn card() -> ::village::Card {
                ::village::__::card(
                    [#name, #version, #role, #description],
                    &[#(#tags),*],
                    ::std::vec![#(#skills),*],
                )
            }
        })
    }

    fn name(&self) -> Result<String> {
        let (name, span) = match &self.name {
            Some(name) => (name.value(), name.span()),
            None => (package("CARGO_PKG_NAME"), Span::call_site()),
        };
        let sound = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
        if (1..=64).contains(&name.len()) && name.chars().all(sound) {
            return Ok(name);
        }
        let other = name.replace('_', "-");
        let text = format!(
            "`{name}` can't be an agent's name: that is 1 to 64 letters, digits and hyphens; such as `#[agent(name = \"{other}\")]`"
        );
        Err(Error::new(span, text))
    }

    fn version(&self) -> Result<String> {
        match &self.version {
            Some(version) if version.value().is_empty() => Err(Error::new(version.span(), "a version is not empty")),
            Some(version) => Ok(version.value()),
            None => Ok(package("CARGO_PKG_VERSION")),
        }
    }
}

/// Cargo says these while it compiles the agent's package.
fn package(variable: &str) -> String {
    std::env::var(variable).unwrap_or_default()
}

/// What is said of one skill beside its method.
#[derive(Default)]
pub(crate) struct Extras {
    pub(crate) name: Option<LitStr>,
    pub(crate) description: Option<LitStr>,
    pub(crate) tags: Vec<LitStr>,
    pub(crate) examples: Vec<LitStr>,
}

impl Parse for Extras {
    fn parse(input: ParseStream<'_>) -> Result<Extras> {
        let mut extras = Extras::default();
        for argument in arguments(input)? {
            match argument.key.to_string().as_str() {
                "name" => extras.name = Some(argument.one()?),
                "description" => extras.description = Some(argument.one()?),
                "tags" => extras.tags = argument.values,
                "example" | "examples" => extras.examples.extend(argument.values),
                _ => argument.unknown("a skill", &["name", "description", "tags", "example"])?,
            }
        }
        Ok(extras)
    }
}
