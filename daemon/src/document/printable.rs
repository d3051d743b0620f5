//! Texts of others for people: without what controls a terminal or hides something.

use ao_store::is_hidden;

/// The text without characters that control the terminal, reorder or hide text, or are shown as nothing,
/// so that no title can show what it is not. Variation selectors, which follow many emoji, are dropped;
/// the others become U+FFFD.
#[must_use]
pub fn printable(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    let is_selector = |c: &char| matches!(c, '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}');
    let shown = text.chars().filter(|c| !is_selector(c));
    shown.map(|c| if is_hidden(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Whether a text consists of ASCII that can be printed, which is shown as it is.
#[must_use]
pub fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_controls_reorders_or_hides_text_is_replaced() {
        let hidden = "\u{7}\u{1b}\u{7f}\u{85}\u{9b}\u{ad}\u{34f}\u{61c}\u{115f}\u{1160}\u{180e}\u{200b}\
            \u{200d}\u{200f}\u{2028}\u{2029}\u{202e}\u{2060}\u{2064}\u{2065}\u{2066}\u{206a}\u{206f}\
            \u{2800}\u{3164}\u{feff}\u{ffa0}\u{fff9}\u{1d173}\u{e0001}\u{e0041}";
        for c in hidden.chars() {
            let shown = printable(&format!("a{c}b"));
            assert_eq!(shown, "a\u{fffd}b", "U+{:04X}", u32::from(c));
        }
        assert_eq!(printable("a\u{fe0f}b\u{e0100}c\u{180b}"), "abc");
        for text in ["é ü e\u{301} 漢字 한글 שלום नमस्ते", "\u{2764} \u{1f600} → … \u{a0}"]
        {
            assert_eq!(printable(text), text);
        }
    }
}
