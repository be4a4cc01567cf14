//! What serde's attributes say of a type: names, defaults, tags.

use syn::meta::ParseNestedMeta;
use syn::{Attribute, LitStr, Result, Type};

/// A name where it is read and where it is written.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Both<T> {
    pub(crate) read: T,
    pub(crate) written: T,
}

/// Of a struct or enum.
#[derive(Default)]
pub(crate) struct Container {
    pub(crate) case: Both<Case>,
    pub(crate) field_case: Both<Case>,
    pub(crate) closed: bool,
    pub(crate) default: bool,
    pub(crate) transparent: bool,
    pub(crate) untagged: bool,
    pub(crate) tag: Option<String>,
    pub(crate) content: Option<String>,
    pub(crate) from: Option<Type>,
    pub(crate) into: Option<Type>,
}

/// Of a field or variant.
#[derive(Default)]
pub(crate) struct Part {
    pub(crate) name: Both<Option<String>>,
    pub(crate) case: Both<Case>,
    pub(crate) skipped: Both<bool>,
    pub(crate) default: bool,
    pub(crate) sometimes: bool,
    pub(crate) flatten: bool,
    pub(crate) untagged: bool,
    pub(crate) other: bool,
    /// Written or read by functions of its own: the type does not say how.
    pub(crate) with: Option<proc_macro2::Span>,
}

impl Container {
    pub(crate) fn of(attributes: &[Attribute]) -> Result<Container> {
        let mut found = Container::default();
        each(attributes, |meta| {
            match name(meta).as_str() {
                "rename_all" => found.case = both(meta, Case::of)?.map(Option::unwrap_or_default),
                "rename_all_fields" => found.field_case = both(meta, Case::of)?.map(Option::unwrap_or_default),
                "deny_unknown_fields" => found.closed = true,
                "default" => found.default = true,
                "transparent" => found.transparent = true,
                "untagged" => found.untagged = true,
                "tag" => found.tag = Some(text(meta)?.value()),
                "content" => found.content = Some(text(meta)?.value()),
                "from" | "try_from" => found.from = Some(text(meta)?.parse()?),
                "into" => found.into = Some(text(meta)?.parse()?),
                "remote" => return Err(meta.error("a schema for a type of another crate can't be derived")),
                _ => {}
            }
            rest(meta)
        })?;
        Ok(found)
    }
}

impl Part {
    pub(crate) fn of(attributes: &[Attribute]) -> Result<Part> {
        let mut found = Part::default();
        each(attributes, |meta| {
            match name(meta).as_str() {
                "rename" => found.name = both(meta, |text| Ok(text.value()))?,
                "rename_all" => found.case = both(meta, Case::of)?.map(Option::unwrap_or_default),
                "skip" => found.skipped = Both { read: true, written: true },
                "skip_deserializing" => found.skipped.read = true,
                "skip_serializing" => found.skipped.written = true,
                "skip_serializing_if" => found.sometimes = true,
                "default" => found.default = true,
                "flatten" => found.flatten = true,
                "untagged" => found.untagged = true,
                "other" => found.other = true,
                "with" | "serialize_with" | "deserialize_with" => found.with = Some(span(meta)),
                _ => {}
            }
            rest(meta)
        })?;
        Ok(found)
    }

    /// What it is called, from the name in the code.
    pub(crate) fn called(&self, name: &str, case: &Both<Case>, rename: fn(Case, &str) -> String) -> Both<String> {
        Both {
            read: self.name.read.clone().unwrap_or_else(|| rename(case.read, name)),
            written: self.name.written.clone().unwrap_or_else(|| rename(case.written, name)),
        }
    }
}

impl<T> Both<T> {
    fn map<U>(self, change: impl Fn(T) -> U) -> Both<U> {
        Both { read: change(self.read), written: change(self.written) }
    }
}

fn each(attributes: &[Attribute], mut read: impl FnMut(&ParseNestedMeta<'_>) -> Result<()>) -> Result<()> {
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
        attribute.parse_nested_meta(|meta| read(&meta))?;
    }
    Ok(())
}

fn name(meta: &ParseNestedMeta<'_>) -> String {
    meta.path.get_ident().map(ToString::to_string).unwrap_or_default()
}

fn span(meta: &ParseNestedMeta<'_>) -> proc_macro2::Span {
    meta.path.segments.first().map_or_else(proc_macro2::Span::call_site, |segment| segment.ident.span())
}

fn text(meta: &ParseNestedMeta<'_>) -> Result<LitStr> {
    meta.value()?.parse()
}

/// Passes over what is of no interest here; serde itself says if it makes no sense.
fn rest(meta: &ParseNestedMeta<'_>) -> Result<()> {
    if meta.input.peek(syn::Token![=]) {
        meta.value()?.parse::<syn::Expr>()?;
    } else if meta.input.peek(syn::token::Paren) {
        let inner;
        syn::parenthesized!(inner in meta.input);
        inner.parse::<proc_macro2::TokenStream>()?;
    }
    Ok(())
}

/// `name = "…"` for both directions, or `name(serialize = "…", deserialize = "…")`.
fn both<T: Clone>(meta: &ParseNestedMeta<'_>, read: impl Fn(&LitStr) -> Result<T>) -> Result<Both<Option<T>>> {
    if meta.input.peek(syn::Token![=]) {
        let value = read(&text(meta)?)?;
        return Ok(Both { read: Some(value.clone()), written: Some(value) });
    }
    let mut found = Both { read: None, written: None };
    meta.parse_nested_meta(|meta| {
        let value = Some(read(&text(&meta)?)?);
        match name(&meta).as_str() {
            "serialize" => found.written = value,
            _ => found.read = value,
        }
        Ok(())
    })?;
    Ok(found)
}

/// How names are spelt.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Case {
    #[default]
    AsIs,
    Lower,
    Upper,
    Pascal,
    Camel,
    Snake,
    ScreamingSnake,
    Kebab,
    ScreamingKebab,
}

impl Case {
    fn of(text: &LitStr) -> Result<Case> {
        Ok(match text.value().as_str() {
            "lowercase" => Case::Lower,
            "UPPERCASE" => Case::Upper,
            "PascalCase" => Case::Pascal,
            "camelCase" => Case::Camel,
            "snake_case" => Case::Snake,
            "SCREAMING_SNAKE_CASE" => Case::ScreamingSnake,
            "kebab-case" => Case::Kebab,
            "SCREAMING-KEBAB-CASE" => Case::ScreamingKebab,
            other => return Err(syn::Error::new(text.span(), format!("serde knows no case `{other}`"))),
        })
    }

    /// A field, which is written `like_this`.
    pub(crate) fn field(self, name: &str) -> String {
        match self {
            Case::AsIs | Case::Lower | Case::Snake => name.to_owned(),
            Case::Upper | Case::ScreamingSnake => name.to_ascii_uppercase(),
            Case::Pascal => pascal(name),
            Case::Camel => first_lower(&pascal(name)),
            Case::Kebab => name.replace('_', "-"),
            Case::ScreamingKebab => name.to_ascii_uppercase().replace('_', "-"),
        }
    }

    /// A variant, which is written `LikeThis`.
    pub(crate) fn variant(self, name: &str) -> String {
        match self {
            Case::AsIs | Case::Pascal => name.to_owned(),
            Case::Lower => name.to_ascii_lowercase(),
            Case::Upper => name.to_ascii_uppercase(),
            Case::Camel => first_lower(name),
            Case::Snake => snake(name),
            Case::ScreamingSnake => snake(name).to_ascii_uppercase(),
            Case::Kebab => snake(name).replace('_', "-"),
            Case::ScreamingKebab => snake(name).to_ascii_uppercase().replace('_', "-"),
        }
    }
}

fn pascal(name: &str) -> String {
    let mut pascal = String::new();
    let mut upper = true;
    for letter in name.chars() {
        if letter == '_' {
            upper = true;
        } else if upper {
            pascal.push(letter.to_ascii_uppercase());
            upper = false;
        } else {
            pascal.push(letter);
        }
    }
    pascal
}

fn first_lower(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect()
}

fn snake(name: &str) -> String {
    let mut snake = String::new();
    for (position, letter) in name.char_indices() {
        if position > 0 && letter.is_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}
