//! `#[agent]`: an `impl` block whose methods are skills.

mod arguments;
mod skill;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, ImplItem, ImplItemFn, ItemImpl, Result};

use crate::docs;
use arguments::Card;
use skill::Skill;

/// What a method is marked with.
const MARKS: [&str; 4] = ["skill", "otherwise", "snapshot", "restore"];

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let card: Card = syn::parse2(arguments)?;
    let mut block: ItemImpl = syn::parse2(item)?;
    if let Some((of, _)) = &block.trait_ {
        return Err(Error::new(
            of.span(),
            "an agent's skills stand in an `impl` block of its own, not in that of a trait",
        ));
    }
    if !block.generics.params.is_empty() {
        return Err(Error::new(block.generics.span(), "an agent has no type parameters: there is one of it"));
    }
    let parts = Parts::of(&block)?;
    let implementation = parts.implementation(&block, &card)?;
    strip(&mut block);
    let name = &block.self_ty;
    Ok(quote! {
        #block
        #implementation
        // Natively only tests call it; it is no dead code for that.
        #[cfg(not(target_family = "wasm"))]
        const _: (fn() -> #name, fn() -> ::village::Card) =
            (<#name as ::std::default::Default>::default, <#name as ::village::Agent>::card);
        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code)]
        const _: () = {
            ::std::thread_local! {
                static AGENT: ::village::__::Slot<#name> = const { ::village::__::Slot::new() };
            }
            struct Component;
            impl ::village::__::Guest for Component {
                fn describe() -> ::village::Card {
                    <#name as ::village::Agent>::card()
                }
                fn handle(message: ::village::Message) -> ::std::result::Result<::village::__::Reply, ::village::Failure> {
                    AGENT.with(|slot| slot.handle(message))
                }
                fn snapshot() -> ::std::option::Option<::std::vec::Vec<u8>> {
                    AGENT.with(|slot| slot.snapshot())
                }
                fn restore(kept: ::std::vec::Vec<u8>, version: ::std::string::String) -> ::std::result::Result<(), ::village::Failure> {
                    AGENT.with(|slot| slot.restore(kept, version))
                }
            }
            ::village::__::export!(Component with_types_in ::village::__::bindings);
        };
    })
}

/// The block without the marks; as it is where it can't be read.
pub(crate) fn stripped(item: TokenStream) -> TokenStream {
    match syn::parse2::<ItemImpl>(item.clone()) {
        Ok(mut block) => {
            strip(&mut block);
            block.into_token_stream()
        }
        Err(_) => item,
    }
}

fn strip(block: &mut ItemImpl) {
    for item in &mut block.items {
        if let ImplItem::Fn(method) = item {
            method.attrs.retain(|attribute| !MARKS.iter().any(|mark| attribute.path().is_ident(mark)));
        }
    }
}

/// The methods by what they are.
struct Parts<'a> {
    skills: Vec<Skill<'a>>,
    otherwise: Option<&'a ImplItemFn>,
    snapshot: Option<&'a ImplItemFn>,
    restore: Option<&'a ImplItemFn>,
}

impl<'a> Parts<'a> {
    fn of(block: &'a ItemImpl) -> Result<Parts<'a>> {
        let mut parts = Parts { skills: Vec::new(), otherwise: None, snapshot: None, restore: None };
        let mut errors = Errors::default();
        for item in &block.items {
            let ImplItem::Fn(method) = item else { continue };
            for attribute in &method.attrs {
                let Some(mark) = MARKS.iter().find(|mark| attribute.path().is_ident(mark)) else { continue };
                let slot = match *mark {
                    "skill" => {
                        match Skill::of(method, attribute) {
                            Ok(skill) => parts.add(skill, &mut errors),
                            Err(error) => errors.add(error),
                        }
                        continue;
                    }
                    "otherwise" => &mut parts.otherwise,
                    "snapshot" => &mut parts.snapshot,
                    _ => &mut parts.restore,
                };
                if slot.replace(method).is_some() {
                    errors.add(Error::new(attribute.span(), format!("there is another `#[{mark}]`; one is enough")));
                }
            }
        }
        if parts.skills.is_empty() && parts.otherwise.is_none() && errors.0.is_none() {
            let text = "an agent without a skill: mark a method with `#[skill]`, or one that takes any message with `#[otherwise]`";
            errors.add(Error::new(block.self_ty.span(), text));
        }
        errors.0.map_or(Ok(parts), Err)
    }

    fn add(&mut self, skill: Skill<'a>, errors: &mut Errors) {
        if self.skills.iter().any(|other| other.name == skill.name) {
            errors.add(Error::new(skill.span, format!("there is another skill called `{}`", skill.name)));
        }
        self.skills.push(skill);
    }

    fn implementation(&self, block: &ItemImpl, card: &Card) -> Result<TokenStream> {
        let name = &block.self_ty;
        let card = card.tokens(&docs::text(&block.attrs), self.skills.iter().map(Skill::described))?;
        let arms = self.skills.iter().map(|skill| skill.arm(name));
        let names = self.skills.iter().map(|skill| &skill.name);
        let otherwise = match self.otherwise {
            Some(method) => Skill::otherwise(method)?.call(name),
            None => quote!(::std::result::Result::Err(::village::__::unsupported(&message.skill, &[#(#names),*]))),
        };
        let snapshot = self.snapshot.map(snapshot).transpose()?;
        let restore = self.restore.map(restore).transpose()?;
        Ok(quote! {
            #[automatically_derived]
            impl ::village::Agent for #name {
                #card
                fn handle(
                    &mut self,
                    message: ::village::Message,
                ) -> ::std::result::Result<::village::Payload, ::village::Failure> {
                    match message.skill.as_str() {
                        #(#arms)*
                        _ => #otherwise,
                    }
                }
                #snapshot
                #restore
            }
        })
    }
}

/// `fn(&self) -> T`, where `T` can be written as JSON. A `None` keeps nothing.
fn snapshot(method: &ImplItemFn) -> Result<TokenStream> {
    let signature = &method.sig;
    let wanted = "`#[snapshot]` stands over `fn(&self) -> T`, where `T` is what to keep";
    if signature.inputs.len() != 1
        || signature.receiver().is_none()
        || matches!(signature.output, syn::ReturnType::Default)
    {
        return Err(Error::new(signature.span(), wanted));
    }
    let ident = &signature.ident;
    let call = quote_spanned!(signature.output.span()=> ::village::__::keep(&self.#ident()));
    Ok(quote!(fn snapshot(&mut self) -> ::std::option::Option<::std::vec::Vec<u8>> { #call }))
}

/// `fn(&mut self, kept: T)` or with a second `version: &str`; answers nothing, or `Result<(), E>`.
fn restore(method: &ImplItemFn) -> Result<TokenStream> {
    let signature = &method.sig;
    let wanted = "`#[restore]` stands over `fn(&mut self, kept: T)`, with `version: &str` behind it if that matters";
    let arguments = signature.inputs.len();
    if !(2..=3).contains(&arguments) || signature.receiver().is_none() {
        return Err(Error::new(signature.span(), wanted));
    }
    let (ident, version) = (&signature.ident, (arguments == 3).then(|| quote!(, &version)));
    let kept = signature.inputs.iter().nth(1).map(Spanned::span).unwrap_or_else(|| signature.span());
    let read = quote_spanned!(kept=> ::village::__::kept(&kept)?);
    let fails = skill::fallible(&signature.output);
    let after = if fails { quote!(.map_err(::std::convert::Into::into)) } else { quote!() };
    let call = quote!(self.#ident(#read #version) #after);
    let body = if fails { call } else { quote!(#call; ::std::result::Result::Ok(())) };
    Ok(quote! {
        #[allow(unused_variables)]
        fn restore(
            &mut self,
            kept: ::std::vec::Vec<u8>,
            version: ::std::string::String,
        ) -> ::std::result::Result<(), ::village::Failure> { #body }
    })
}

/// All that is wrong with a block, so that one compilation shows it.
#[derive(Default)]
struct Errors(Option<Error>);

impl Errors {
    fn add(&mut self, error: Error) {
        match &mut self.0 {
            Some(errors) => errors.combine(error),
            none => *none = Some(error),
        }
    }
}
