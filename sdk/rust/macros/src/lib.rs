//! The macros of `village-sdk`, which exports and documents them.

mod agent;
mod docs;
mod json;
mod schema;
mod serde;

use proc_macro::TokenStream;

/// Makes an agent of an `impl` block: see `village::agent`.
#[proc_macro_attribute]
pub fn agent(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let expanded = agent::expand(arguments.into(), item.clone().into());
    expanded
        .unwrap_or_else(|error| {
            // The block stays, without what only this macro knows, so that one error does not become many.
            let mut tokens = error.to_compile_error();
            tokens.extend(agent::stripped(item.into()));
            tokens
        })
        .into()
}

/// Derives the JSON schema of a type: see `village::Schema`.
#[proc_macro_derive(Schema, attributes(schema, serde))]
pub fn schema(item: TokenStream) -> TokenStream {
    schema::expand(item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}
