//! `#[schema(…)]` and the comment on a field: what they add to the schema of its type.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Error, Field, Lit, Result, Type};

use super::raw;
use crate::docs;
use crate::serde::Part;

/// The keywords that a field may add, as they are written here and in JSON Schema.
const KEYWORDS: [(&str, &str); 14] = [
    ("minimum", "minimum"),
    ("maximum", "maximum"),
    ("exclusive_minimum", "exclusiveMinimum"),
    ("exclusive_maximum", "exclusiveMaximum"),
    ("multiple_of", "multipleOf"),
    ("min_length", "minLength"),
    ("max_length", "maxLength"),
    ("pattern", "pattern"),
    ("format", "format"),
    ("min_items", "minItems"),
    ("max_items", "maxItems"),
    ("unique_items", "uniqueItems"),
    ("default", "default"),
    ("title", "title"),
];

/// The type that a field is shown as.
pub(super) fn shown(field: &Field) -> Result<Type> {
    let mut shown = None;
    each(&field.attrs, |keyword, meta| {
        if keyword == "as" {
            shown = Some(meta.value()?.parse()?);
        } else {
            meta.value()?.parse::<syn::Expr>()?;
        }
        Ok(())
    })?;
    let part = Part::of(&field.attrs)?;
    match (shown, part.with) {
        (Some(shown), _) => Ok(shown),
        (None, Some(_)) if part.skipped.read && part.skipped.written => Ok(field.ty.clone()),
        (None, Some(span)) => {
            Err(Error::new(span, "how this field is written can't be seen here: say `#[schema(as = Type)]` beside it"))
        }
        (None, None) => Ok(field.ty.clone()),
    }
}

/// What a field adds to the schema of its type: names, and values as JSON.
pub(super) fn extra(field: &Field) -> Result<Vec<(&'static str, String)>> {
    let mut extra = Vec::new();
    let description = docs::text(&field.attrs);
    if !description.is_empty() {
        extra.push(("description", docs::quoted(&description)));
    }
    each(&field.attrs, |keyword, meta| {
        if keyword == "as" {
            meta.value()?.parse::<Type>()?;
            return Ok(());
        }
        let known = KEYWORDS.iter().find(|known| known.0 == keyword);
        let Some((_, json)) = known else {
            let known: Vec<_> = KEYWORDS.iter().map(|known| known.0).chain(["as"]).collect();
            return Err(meta.error(format!("a schema has no `{keyword}`; there are {}", known.join(", "))));
        };
        extra.push((json, literal(meta.value()?)?));
        Ok(())
    })?;
    Ok(extra)
}

pub(super) fn extra_tokens(field: &Field) -> Result<TokenStream> {
    Ok(pairs(&extra(field)?))
}

pub(super) fn pairs(extra: &[(&'static str, String)]) -> TokenStream {
    let pairs = extra.iter().map(|(name, json)| quote!((#name, #json)));
    quote!(&[#(#pairs),*])
}

/// A literal as JSON. A list of literals is one too.
fn literal(input: syn::parse::ParseStream<'_>) -> Result<String> {
    if input.peek(syn::token::Bracket) {
        let inner;
        syn::bracketed!(inner in input);
        let items = inner.parse_terminated(literal, syn::Token![,])?;
        return Ok(format!("[{}]", items.into_iter().collect::<Vec<_>>().join(",")));
    }
    let minus = if input.parse::<Option<syn::Token![-]>>()?.is_some() { "-" } else { "" };
    let literal: Lit = input.parse()?;
    match &literal {
        Lit::Str(text) => Ok(docs::quoted(&text.value())),
        Lit::Int(number) => Ok(format!("{minus}{}", number.base10_digits())),
        Lit::Float(number) => Ok(format!("{minus}{}", json_number(number.base10_digits()))),
        Lit::Bool(truth) => Ok(truth.value.to_string()),
        _ => Err(Error::new(literal.span(), "a string, a number, true, false, or a list of them")),
    }
}

/// Rust writes `1.` and `1e3`; JSON wants a digit behind the point.
fn json_number(digits: &str) -> String {
    if digits.ends_with('.') { format!("{digits}0") } else { digits.replace(".e", ".0e") }
}

fn each(
    attributes: &[Attribute],
    mut read: impl FnMut(&str, &syn::meta::ParseNestedMeta<'_>) -> Result<()>,
) -> Result<()> {
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("schema")) {
        attribute.parse_nested_meta(|meta| {
            let keyword = meta.path.get_ident().map(raw).unwrap_or_default();
            read(&keyword, &meta)
        })?;
    }
    Ok(())
}
