//! The text of what a program wrote to a terminal: no escape sequences, no control characters, and of a line
//! that was written several times only the last time.

use std::iter::Peekable;
use std::str::Chars;

const ESC: char = '\u{1b}';
/// The character that ends a string, such as a title of the terminal.
const BEL: char = '\u{7}';

/// The text as lines that end in `\n`; tabs stay. Its length in bytes never grows.
pub(crate) fn plain_text(written: &str) -> String {
    let mut text = String::with_capacity(written.len());
    let mut chars = written.chars().peekable();
    let mut is_at_start = false;
    while let Some(c) = chars.next() {
        match c {
            ESC => skip_sequence(&mut chars),
            '\u{9b}' => skip_control_sequence(&mut chars),
            '\r' => is_at_start = true,
            c if c.is_control() && c != '\n' && c != '\t' => {}
            c => {
                // The end of a line overwrites nothing.
                if is_at_start && c != '\n' {
                    text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
                }
                is_at_start = false;
                text.push(c);
            }
        }
    }
    text
}

/// Skips what follows an escape character. A sequence never goes beyond its line.
fn skip_sequence(chars: &mut Peekable<Chars<'_>>) {
    match chars.peek() {
        Some('[') => {
            chars.next();
            skip_control_sequence(chars);
        }
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while let Some(c) = chars.next_if(|c| *c != '\n') {
                match c {
                    BEL | '\u{9c}' => return,
                    ESC => {
                        chars.next_if_eq(&'\\');
                        return;
                    }
                    _ => {}
                }
            }
        }
        _ => {
            while chars.next_if(|c| (' '..='/').contains(c)).is_some() {}
            chars.next_if(|c| ('0'..='~').contains(c));
        }
    }
}

/// Skips parameters and the character that ends them.
fn skip_control_sequence(chars: &mut Peekable<Chars<'_>>) {
    while chars.next_if(|c| (' '..='?').contains(c)).is_some() {}
    chars.next_if(|c| ('@'..='~').contains(c));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_is_left() {
        for (written, text) in [
            ("", ""),
            ("a\tb\nc\r\n", "a\tb\nc\n"),
            ("\u{1b}[1;31merror\u{1b}[0m: no\u{1b}[K", "error: no"),
            ("\u{9b}31mx", "x"),
            ("\u{1b}]0;title\u{7}a\u{1b}]8;;u\u{1b}\\b\u{1b}(Bc\u{1b}=d\u{1b}Pq\u{9c}e", "abcde"),
            ("\u{1b}]never ends\nnext", "\nnext"),
            ("\u{1b}[12\nnext\u{1b}", "\nnext"),
            ("10 %\r20 %\rdone\r\r\nb\rc\r\u{1b}[0m\nd\r", "done\nc\nd"),
            ("a\0\u{7}\u{8}\u{85}\u{7f}b", "ab"),
            ("é 漢字 🚀", "é 漢字 🚀"),
        ] {
            assert_eq!(plain_text(written), text, "{written:?}");
        }
    }
}
