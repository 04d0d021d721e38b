// SPDX-License-Identifier: GPL-2.0

//! Attributes of the `kernel` crate's stand-in.

use proc_macro::{Delimiter, Group, TokenStream, TokenTree};

/// As the kernel's `pin_data`, for types that may move: removes `#[pin]` from the fields.
#[proc_macro_attribute]
pub fn pin_data(_arguments: TokenStream, item: TokenStream) -> TokenStream {
    item.into_iter()
        .map(|token| match token {
            TokenTree::Group(fields) if fields.delimiter() == Delimiter::Brace => {
                Group::new(Delimiter::Brace, without_pin(fields.stream())).into()
            }
            token => token,
        })
        .collect()
}

fn without_pin(fields: TokenStream) -> TokenStream {
    let is_pin = |token: &TokenTree| {
        matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket
            && group.stream().to_string() == "pin")
    };
    let mut tokens = fields.into_iter().peekable();
    let mut kept = Vec::new();

    while let Some(token) = tokens.next() {
        let hash = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '#');
        if hash && tokens.peek().is_some_and(is_pin) {
            tokens.next();
        } else {
            kept.push(token);
        }
    }
    kept.into_iter().collect()
}
