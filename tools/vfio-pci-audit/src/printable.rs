// SPDX-License-Identifier: GPL-2.0

//! Names that others chose, as they may be shown.
//!
//! A process gives itself and its program any name. A terminal obeys some characters, a line ends
//! at others, and some change the order in which the rest is read. So they are replaced where names
//! come in, as `ausearch` replaces those of a terminal.

use std::borrow::Cow;
use std::fmt::Write;

use serde_json::Value;

/// Whether a character is not shown but does something.
fn does_something(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Invisible ones, and those that change the direction of text.
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
            // Ends of lines and paragraphs, and directions again.
            | '\u{2028}'..='\u{202e}')
}

/// Whether a text may be shown as it is.
pub(crate) fn is_printable(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    text.bytes().all(plain) || !text.chars().any(does_something)
}

/// A text, with the numbers of characters in place of those that may not be shown: `\u{1b}`.
pub(crate) fn printable<'a>(text: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
    let text = text.into();
    if is_printable(&text) {
        return text;
    }
    let mut shown = String::with_capacity(2 * text.len());
    for c in text.chars() {
        // Writing to a String cannot fail.
        let _ = match does_something(c) {
            true => write!(shown, "{}", c.escape_unicode()),
            false => write!(shown, "{c}"),
        };
    }
    shown.into()
}

/// The same for all texts in a value.
pub(crate) fn all_printable(value: &mut Value) {
    match value {
        Value::String(text) if !is_printable(text) => *text = printable(&**text).into_owned(),
        Value::Array(all) => all.iter_mut().for_each(all_printable),
        Value::Object(fields) => fields.values_mut().for_each(all_printable),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_something_is_replaced() {
        for text in [
            "",
            "CPU 0/KVM",
            "a\\b",
            "h\u{e4}ndler",
            "\u{935}\u{93f}\u{902}",
            "\u{1f980}",
        ] {
            assert!(is_printable(text));
            assert_eq!(printable(text), text);
        }
        for (text, shown) in [
            ("a\x1b]0;x\x07\n", "a\\u{1b}]0;x\\u{7}\\u{a}"),
            ("\u{9b}2J\x7f", "\\u{9b}2J\\u{7f}"),
            ("\u{202e}gnp.exe", "\\u{202e}gnp.exe"),
            (
                "a\u{200b}b\u{2028}\u{feff}",
                "a\\u{200b}b\\u{2028}\\u{feff}",
            ),
        ] {
            assert_eq!(printable(text), shown);
            assert!(is_printable(shown) && !is_printable(text));
        }
    }

    #[test]
    fn all_texts_of_a_value_are() {
        let mut value = serde_json::json!({"a": ["x\x1b", 1, {"b": "\n"}], "c": "d"});
        all_printable(&mut value);
        let shown = serde_json::json!({"a": ["x\\u{1b}", 1, {"b": "\\u{a}"}], "c": "d"});
        assert_eq!(value, shown);
    }
}
