//! `#[derive(Schema)]`.

mod keyword;

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Field, Fields, Ident, Result, Type, Variant};

use crate::docs;
use crate::serde::{Both, Case, Container, Part};
use keyword::{extra, extra_tokens, pairs, shown};

pub(crate) fn expand(item: TokenStream) -> Result<TokenStream> {
    let item: DeriveInput = syn::parse2(item)?;
    let container = Container::of(&item.attrs)?;
    let body = Body::of(&item, &container)?;
    let (name, text, description) = (&item.ident, item.ident.to_string(), docs::text(&item.attrs));
    let mut generics = item.generics.clone();
    for parameter in generics.type_params_mut() {
        parameter.bounds.push(syn::parse_quote!(::village::Schema));
    }
    let (start, arguments, bounds) = generics.split_for_impl();
    let Body { write, flatten, name: named } = body;
    let text = if named { text } else { String::new() };
    Ok(quote! {
        #[automatically_derived]
        impl #start ::village::Schema for #name #arguments #bounds {
            const NAME: &'static str = #text;
            const DESCRIPTION: &'static str = #description;
            fn write(to: &mut ::village::schema::Writer) { #write }
            #flatten
        }
    })
}

struct Body {
    write: TokenStream,
    flatten: TokenStream,
    /// Whether it can contain itself.
    name: bool,
}

impl Body {
    fn of(item: &DeriveInput, container: &Container) -> Result<Body> {
        if container.from.is_some() || container.into.is_some() {
            return Ok(instead(container));
        }
        match &item.data {
            Data::Struct(data) => structure(&data.fields, container),
            Data::Enum(data) => enumeration(data.variants.iter().collect(), container, item.ident.span()),
            Data::Union(data) => Err(Error::new(data.union_token.span, "serde does not know unions")),
        }
    }
}

/// A type that serde reads or writes by way of another.
fn instead(container: &Container) -> Body {
    let own = quote!(Self);
    let read = container.from.as_ref().map_or(own.clone(), |from| quote!(#from));
    let written = container.into.as_ref().map_or(own.clone(), &|into| quote!(#into));
    // One direction alone leaves the other without a description: anything.
    let call = |of: &TokenStream| {
        if of.to_string() == own.to_string() { quote!() } else { quote!(<#of as ::village::Schema>::write(to)) }
    };
    let (read, written) = (call(&read), call(&written));
    Body { write: quote!(if to.input() { #read } else { #written }), flatten: quote!(), name: true }
}

fn structure(fields: &Fields, container: &Container) -> Result<Body> {
    let closed = container.closed;
    match fields {
        Fields::Named(named) if container.transparent => {
            let field = named.named.iter().find(|field| Part::of(&field.attrs).is_ok_and(|part| !part.skipped.read));
            let field = field.ok_or_else(|| Error::new(named.span(), "a transparent struct has one field"))?;
            newtype(field)
        }
        Fields::Named(named) => {
            let fields = properties(named.named.iter(), &container.case, container.default)?;
            Ok(Body {
                write: quote!(to.object(#closed, &<Self as ::village::Schema>::flatten);),
                flatten: quote!(fn flatten(into: &mut ::village::schema::Object<'_>) { #fields }),
                name: true,
            })
        }
        Fields::Unnamed(unnamed) if unnamed.unnamed.len() == 1 => newtype(&unnamed.unnamed[0]),
        Fields::Unnamed(unnamed) => {
            let write = tuple(unnamed.unnamed.iter())?;
            Ok(Body { write, flatten: quote!(), name: true })
        }
        Fields::Unit => Ok(Body { write: quote!(to.kind("null");), flatten: quote!(), name: false }),
    }
}

/// A struct of one unnamed field is what the field is.
fn newtype(field: &Field) -> Result<Body> {
    let (ty, mut extra) = (shown(field)?, extra(field)?);
    // The struct's own says it.
    extra.retain(|(name, _)| *name != "description");
    let extra = pairs(&extra);
    Ok(Body {
        write: quote_spanned!(ty.span()=> to.with(#extra, &<#ty as ::village::Schema>::write);),
        flatten: quote!(fn flatten(into: &mut ::village::schema::Object<'_>) {
            <#ty as ::village::Schema>::flatten(into)
        }),
        name: true,
    })
}

fn tuple<'a>(fields: impl Iterator<Item = &'a Field>) -> Result<TokenStream> {
    let mut items = Vec::new();
    for field in fields {
        let (ty, extra) = (shown(field)?, extra_tokens(field)?);
        items.push(quote_spanned!(ty.span()=> list.schema::<#ty>(#extra);));
    }
    let count = items.len().to_string();
    Ok(quote! {
        to.kind("array");
        to.list("prefixItems", &|list| { #(#items)* });
        to.member("items", "false");
        to.member("minItems", #count);
    })
}

/// The calls that write the properties of an object called `into`.
fn properties<'a>(fields: impl Iterator<Item = &'a Field>, case: &Both<Case>, defaults: bool) -> Result<TokenStream> {
    let mut calls = TokenStream::new();
    for field in fields {
        let part = Part::of(&field.attrs)?;
        let ty = shown(field)?;
        if part.flatten {
            let both = !part.skipped.read && !part.skipped.written;
            let direction = if part.skipped.read { quote!(!into.input()) } else { quote!(into.input()) };
            let call = quote_spanned!(ty.span()=> <#ty as ::village::Schema>::flatten(into););
            calls.extend(if both { call } else { quote!(if #direction { #call }) });
            continue;
        }
        let ident = field.ident.as_ref().map(raw).unwrap_or_default();
        let Both { read, written } = part.called(&ident, case, Case::field);
        let read = if part.skipped.read { String::new() } else { read };
        let written = if part.skipped.written { String::new() } else { written };
        // A missing `Option` is none, unless functions of its own read it.
        let (needed, always, extra) = (!part.default && !defaults, !part.sometimes, extra_tokens(field)?);
        calls.extend(quote_spanned! {ty.span()=>
            into.property::<#ty>(&::village::schema::Property {
                read: #read, written: #written, needed: #needed, always: #always, extra: #extra,
            });
        });
    }
    Ok(calls)
}

fn raw(ident: &Ident) -> String {
    ident.to_string().trim_start_matches("r#").to_owned()
}

fn enumeration(variants: Vec<&Variant>, container: &Container, span: Span) -> Result<Body> {
    let mut read = Vec::new();
    let mut written = Vec::new();
    let mut known = Vec::new();
    for variant in variants {
        let part = Part::of(&variant.attrs)?;
        let name = part.called(&raw(&variant.ident), &container.case, Case::variant);
        known.push((variant, part, name));
    }
    if known.is_empty() {
        return Err(Error::new(span, "an enum without variants has no JSON"));
    }
    let unit = known.iter().all(|(variant, ..)| matches!(variant.fields, Fields::Unit));
    let documented = known.iter().any(|(variant, ..)| !docs::text(&variant.attrs).is_empty());
    let bare = container.tag.is_none() && !container.untagged;
    if unit && bare && !documented && !known.iter().any(|(_, part, _)| part.other || part.untagged) {
        for (_, part, name) in &known {
            if !part.skipped.read {
                read.push(docs::quoted(&name.read));
            }
            if !part.skipped.written {
                written.push(docs::quoted(&name.written));
            }
        }
        let (read, written) = (format!("[{}]", read.join(",")), format!("[{}]", written.join(",")));
        let write = quote! {
            to.kind("string");
            let names = if to.input() { #read } else { #written };
            to.member("enum", names);
        };
        return Ok(Body { write, flatten: quote!(), name: false });
    }
    let mut items = TokenStream::new();
    for (variant, part, name) in &known {
        items.extend(alternative(variant, part, name, container)?);
    }
    // Of untagged variants more than one may fit; the first that does is read.
    let among = if container.untagged { "anyOf" } else { "oneOf" };
    Ok(Body { write: quote!(to.list(#among, &|list| { #items });), flatten: quote!(), name: true })
}

/// The schema of one variant, as an item of `list`.
fn alternative(variant: &Variant, part: &Part, name: &Both<String>, container: &Container) -> Result<TokenStream> {
    let description = docs::text(&variant.attrs);
    let described = (!description.is_empty()).then(|| {
        let json = docs::quoted(&description);
        quote!(to.member("description", #json);)
    });
    let (read, written) = (docs::quoted(&name.read), docs::quoted(&name.written));
    let (read_name, written_name) = (&name.read, &name.written);
    let names = quote! {
        #[allow(unused_variables)]
        let (name, json) = if to.input() { (#read_name, #read) } else { (#written_name, #written) };
    };
    let body = if part.untagged || container.untagged {
        match Content::of(variant, part, container)? {
            Content::Type(ty, extra) => {
                let item = quote_spanned!(ty.span()=> list.schema::<#ty>(#extra););
                return Ok(directed(part, item));
            }
            Content::Members(members) => members,
        }
    } else if let Some(tag) = &container.tag {
        match &container.content {
            Some(content) => adjacent(variant, part, container, tag, content)?,
            None => internal(variant, part, container, tag)?,
        }
    } else if matches!(variant.fields, Fields::Unit) {
        let other = part.other;
        quote!(if #other && to.input() { to.kind("string"); } else { to.member("const", json); })
    } else {
        let value = Content::of(variant, part, container)?.property(quote!(name));
        quote!(to.object(true, &|into| { #value });)
    };
    Ok(directed(part, quote!(list.braces(&|to| { #described #names #body });)))
}

/// `item` only where the variant is read, or written.
fn directed(part: &Part, item: TokenStream) -> TokenStream {
    match (part.skipped.read, part.skipped.written) {
        (true, true) => quote!(),
        (true, false) => quote!(if !list.input() { #item }),
        (false, true) => quote!(if list.input() { #item }),
        (false, false) => item,
    }
}

/// `{"tag": name, …fields}`.
fn internal(variant: &Variant, part: &Part, container: &Container, tag: &str) -> Result<TokenStream> {
    let closed = container.closed;
    let tag = if part.other {
        // Any name that no other variant has; which those are, readers can see beside it.
        quote!(if into.input() { into.braces(#tag, &|to| to.kind("string")) } else { into.tag(#tag, json) })
    } else {
        quote!(into.tag(#tag, json))
    };
    let rest = match &variant.fields {
        Fields::Unit => quote!(),
        Fields::Named(named) => properties(named.named.iter(), &cases(part, container), false)?,
        Fields::Unnamed(unnamed) if unnamed.unnamed.len() == 1 => {
            let ty = shown(&unnamed.unnamed[0])?;
            quote_spanned!(ty.span()=> <#ty as ::village::Schema>::flatten(into);)
        }
        Fields::Unnamed(unnamed) => {
            return Err(Error::new(unnamed.span(), "serde can't put a tag into a variant of several unnamed fields"));
        }
    };
    Ok(quote!(to.object(#closed, &|into| { #tag; #rest });))
}

/// `{"tag": name, "content": …}`.
fn adjacent(variant: &Variant, part: &Part, container: &Container, tag: &str, content: &str) -> Result<TokenStream> {
    let closed = container.closed;
    let rest = match &variant.fields {
        Fields::Unit => quote!(),
        _ => Content::of(variant, part, container)?.property(quote!(#content)),
    };
    Ok(quote!(to.object(#closed, &|into| { into.tag(#tag, json); #rest });))
}

/// A variant's fields without its name.
enum Content {
    /// What another type is, and what is added to its schema.
    Type(Box<Type>, TokenStream),
    /// Calls that write the members to `to`.
    Members(TokenStream),
}

impl Content {
    fn of(variant: &Variant, part: &Part, container: &Container) -> Result<Content> {
        let closed = container.closed;
        let members = match &variant.fields {
            Fields::Unit => quote!(to.kind("null");),
            Fields::Named(named) => {
                let fields = properties(named.named.iter(), &cases(part, container), false)?;
                quote!(to.object(#closed, &|into| { #fields });)
            }
            Fields::Unnamed(unnamed) if unnamed.unnamed.len() == 1 => {
                let field = &unnamed.unnamed[0];
                return Ok(Content::Type(Box::new(shown(field)?), extra_tokens(field)?));
            }
            Fields::Unnamed(unnamed) => tuple(unnamed.unnamed.iter())?,
        };
        Ok(Content::Members(members))
    }

    /// The call that writes it as a property of `into`.
    fn property(self, name: TokenStream) -> TokenStream {
        match self {
            Content::Type(ty, extra) => quote_spanned!(ty.span()=> into.schema::<#ty>(#name, #extra);),
            Content::Members(members) => quote!(into.braces(#name, &|to| { #members });),
        }
    }
}

/// How the fields of a variant are spelt.
fn cases(part: &Part, container: &Container) -> Both<Case> {
    if part.case == Both::default() { container.field_case.clone() } else { part.case.clone() }
}
