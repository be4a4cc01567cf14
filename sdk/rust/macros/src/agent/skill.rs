//! One method that is a skill: its signature, and the call of it.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{
    Attribute, Error, FnArg, GenericArgument, Ident, ImplItemFn, LitStr, Meta, PathArguments, ReceiverKind, Result,
    ReturnType, Type,
};

use super::arguments::Extras;
use crate::docs;

pub(crate) struct Skill<'a> {
    pub(crate) name: String,
    /// Where the name stands.
    pub(crate) span: Span,
    method: &'a Ident,
    description: String,
    extras: Extras,
    receiver: bool,
    inputs: Vec<Input>,
    output: Output,
}

/// What an argument is given.
enum Input {
    /// `&Message`: the whole message, beside the input.
    Beside,
    /// `Message`: the whole message is the input.
    Message,
    Payload(Span),
    Text(Span),
    Bytes(Span),
    Json(Box<Type>),
}

struct Output {
    /// Where the `Result` stands, if it is one.
    fallible: Option<Span>,
    kind: Kind,
}

enum Kind {
    Nothing,
    Payload,
    Text,
    Bytes,
    Json(Box<Type>),
}

impl<'a> Skill<'a> {
    pub(crate) fn of(method: &'a ImplItemFn, attribute: &Attribute) -> Result<Skill<'a>> {
        let extras: Extras = match &attribute.meta {
            Meta::Path(_) => Extras::default(),
            Meta::List(list) => list.parse_args()?,
            Meta::NameValue(pair) => {
                return Err(Error::new(pair.span(), "write `#[skill]`, or `#[skill(name = \"…\", example = \"…\")]`"));
            }
        };
        let ident = &method.sig.ident;
        let (name, span) = match &extras.name {
            Some(name) => (name.value(), name.span()),
            None => (ident.to_string().trim_start_matches("r#").replace('_', "-"), ident.span()),
        };
        let sound = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
        if !(1..=64).contains(&name.len()) || !name.chars().all(sound) {
            let text =
                format!("`{name}` can't be a skill's name: that is 1 to 64 letters, digits, hyphens and underscores");
            return Err(Error::new(span, text));
        }
        let description = extras.description.as_ref().map_or_else(|| docs::text(&method.attrs), LitStr::value);
        let (receiver, inputs) = inputs(method)?;
        let output = output(&method.sig.output);
        let skill = Skill { name, span, method: ident, description, extras, receiver, inputs, output };
        skill.check_examples()?;
        Ok(skill)
    }

    /// A method for messages that name no known skill.
    pub(crate) fn otherwise(method: &'a ImplItemFn) -> Result<Skill<'a>> {
        let (receiver, inputs) = inputs(method)?;
        Ok(Skill {
            name: String::new(),
            span: method.sig.ident.span(),
            method: &method.sig.ident,
            description: String::new(),
            extras: Extras::default(),
            receiver,
            inputs,
            output: output(&method.sig.output),
        })
    }

    fn input(&self) -> Option<&Input> {
        self.inputs.iter().find(|input| !matches!(input, Input::Beside))
    }

    /// An example for a skill that takes JSON is JSON.
    fn check_examples(&self) -> Result<()> {
        if !matches!(self.input(), Some(Input::Json(_))) {
            return Ok(());
        }
        for example in &self.extras.examples {
            if let Err(reason) = crate::json::check(&example.value()) {
                return Err(Error::new(example.span(), format!("the example is not JSON: {reason}")));
            }
        }
        Ok(())
    }

    /// The skill as the card shows it.
    pub(crate) fn described(&self) -> TokenStream {
        let Skill { name, description, extras: Extras { tags, examples, .. }, .. } = self;
        let input = match self.input() {
            Some(Input::Json(ty)) => quote_spanned!(ty.span()=> ::village::schema::input::<#ty>()),
            _ => quote!(::std::string::String::new()),
        };
        let output = match &self.output.kind {
            Kind::Json(ty) => quote_spanned!(ty.span()=> ::village::schema::output::<#ty>()),
            _ => quote!(::std::string::String::new()),
        };
        quote!(::village::__::skill([#name, #description], [#input, #output], &[#(#tags),*], &[#(#examples),*]))
    }

    /// The arm of a match on the skill's name.
    pub(crate) fn arm(&self, agent: &Type) -> TokenStream {
        let (name, call) = (&self.name, self.call(agent));
        quote!(#name => { #call })
    }

    /// Reads the input, calls the method, and writes the output.
    pub(crate) fn call(&self, agent: &Type) -> TokenStream {
        let method = self.method;
        let mut read = quote!();
        let arguments: Vec<_> = self
            .inputs
            .iter()
            .map(|input| match input {
                Input::Beside => quote!(&message),
                Input::Message => quote!(message),
                other => {
                    read = other.read();
                    quote!(input)
                }
            })
            .collect();
        let call = if self.receiver {
            quote!(self.#method(#(#arguments),*))
        } else {
            quote!(<#agent>::#method(#(#arguments),*))
        };
        let output = self.output.write(call);
        quote!({ #read #output })
    }
}

impl Input {
    fn read(&self) -> TokenStream {
        match self {
            Input::Beside | Input::Message => quote!(),
            Input::Payload(span) => quote_spanned!(*span=> let input = message.payload.clone();),
            Input::Text(span) => quote_spanned!(*span=> let input = ::village::__::text(&message.payload)?;),
            Input::Bytes(span) => quote_spanned!(*span=> let input = message.payload.body.clone();),
            Input::Json(ty) => quote_spanned!(ty.span()=> let input = ::village::__::read::<#ty>(&message.payload)?;),
        }
    }
}

impl Output {
    fn write(&self, call: TokenStream) -> TokenStream {
        let call = match self.fallible {
            Some(span) => {
                let into = quote_spanned!(span=> <::village::Failure as ::std::convert::From<_>>::from);
                quote! {
                    let output = match #call {
                        ::std::result::Result::Ok(output) => output,
                        ::std::result::Result::Err(error) => return ::std::result::Result::Err(#into(error)),
                    };
                }
            }
            None => quote!(let output = #call;),
        };
        match &self.kind {
            Kind::Nothing => quote!(#call let () = output; ::std::result::Result::Ok(::village::Payload::default())),
            Kind::Payload => quote!(#call ::std::result::Result::Ok(output)),
            Kind::Text => quote!(#call ::std::result::Result::Ok(::village::Payload::text(output))),
            Kind::Bytes => quote!(#call ::std::result::Result::Ok(::village::Payload::bytes(output))),
            Kind::Json(ty) => {
                let write = quote_spanned!(ty.span()=> ::village::__::write::<#ty>(&output));
                quote!(#call #write)
            }
        }
    }
}

fn inputs(method: &ImplItemFn) -> Result<(bool, Vec<Input>)> {
    let signature = &method.sig;
    if let Some(word) = &signature.asyncness {
        let text = "a skill is not async: ask with `agents::ask`, and wait for several at once with `agents::all`";
        return Err(Error::new(word.span(), text));
    }
    if !signature.generics.params.is_empty() {
        return Err(Error::new(signature.generics.span(), "a skill has no type parameters: its input is of one type"));
    }
    let mut receiver = false;
    let mut inputs = Vec::new();
    for argument in &signature.inputs {
        match argument {
            FnArg::Receiver(own) if !matches!(own.kind, ReceiverKind::Reference(..)) => {
                return Err(Error::new(own.span(), "a skill borrows its agent: `&self` or `&mut self`"));
            }
            FnArg::Receiver(_) => receiver = true,
            FnArg::Typed(typed) => inputs.push((input(&typed.ty)?, typed.ty.span())),
        }
    }
    let (beside, real): (Vec<_>, Vec<_>) = inputs.iter().partition(|(input, _)| matches!(input, Input::Beside));
    if let Some((_, span)) = real.get(1).or(beside.get(1)) {
        let text = "a skill takes one input, and beside it `&Message` if it wants to know who sent it: put the rest into a struct";
        return Err(Error::new(*span, text));
    }
    if let (Some((_, span)), Some((Input::Message, _))) = (beside.first(), real.first()) {
        return Err(Error::new(*span, "the other argument is the whole message already"));
    }
    Ok((receiver, inputs.into_iter().map(|(input, _)| input).collect()))
}

fn input(ty: &Type) -> Result<Input> {
    if let Type::Reference(reference) = ty {
        if last(&reference.elem).is_some_and(|(name, _)| name == "Message") && reference.mutability.is_none() {
            return Ok(Input::Beside);
        }
        return Err(Error::new(ty.span(), "a skill owns its input: write the type without `&`"));
    }
    let span = ty.span();
    Ok(match last(ty) {
        Some((name, _)) if name == "Message" => Input::Message,
        Some((name, _)) if name == "Payload" => Input::Payload(span),
        Some((name, _)) if name == "String" => Input::Text(span),
        Some((name, arguments)) if name == "Vec" && is_bytes(arguments) => Input::Bytes(span),
        _ => Input::Json(Box::new(ty.clone())),
    })
}

fn output(returned: &ReturnType) -> Output {
    let ReturnType::Type(_, ty) = returned else { return Output { fallible: None, kind: Kind::Nothing } };
    let inner = match last(ty) {
        Some((name, PathArguments::AngleBracketed(list))) if name == "Result" => list.args.first(),
        _ => None,
    };
    match inner {
        Some(GenericArgument::Type(inner)) => Output { fallible: Some(ty.span()), kind: kind(inner) },
        _ => Output { fallible: None, kind: kind(ty) },
    }
}

/// Whether it answers a `Result`.
pub(crate) fn fallible(returned: &ReturnType) -> bool {
    output(returned).fallible.is_some()
}

fn kind(ty: &Type) -> Kind {
    if let Type::Tuple(tuple) = ty
        && tuple.elems.is_empty()
    {
        return Kind::Nothing;
    }
    let shown = if let Type::Reference(reference) = ty { &*reference.elem } else { ty };
    match last(shown) {
        Some((name, _)) if name == "Payload" => Kind::Payload,
        Some((name, _)) if name == "String" || name == "str" => Kind::Text,
        Some((name, arguments)) if name == "Vec" && is_bytes(arguments) => Kind::Bytes,
        _ => Kind::Json(Box::new(ty.clone())),
    }
}

/// The last part of a path, such as `Vec<u8>` of `std::vec::Vec<u8>`.
fn last(ty: &Type) -> Option<(&Ident, &PathArguments)> {
    let Type::Path(path) = ty else { return None };
    let segment = path.path.segments.last()?;
    Some((&segment.ident, &segment.arguments))
}

fn is_bytes(arguments: &PathArguments) -> bool {
    let PathArguments::AngleBracketed(list) = arguments else { return false };
    matches!(list.args.first(), Some(GenericArgument::Type(ty)) if last(ty).is_some_and(|(name, _)| name == "u8"))
}
