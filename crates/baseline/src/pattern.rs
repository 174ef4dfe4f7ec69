//! Texts with `*` for any text and `?` for any one character.

/// Whether a pattern fits the whole of a text; letters count in both cases alike, because clouds differ in how they write ids.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let fold = |text: &str| -> Vec<char> {
        text.chars()
            .map(|character| character.to_ascii_lowercase())
            .collect()
    };
    if !pattern.contains(['*', '?']) {
        return pattern.eq_ignore_ascii_case(text);
    }
    let (pattern, text) = (fold(pattern), fold(text));
    let (mut at, mut place) = (0, 0);
    // Where the last `*` was, and how far the text was then: only the last has to be tried again.
    let mut again: Option<(usize, usize)> = None;
    while let Some(character) = text.get(place) {
        match pattern.get(at) {
            Some('*') => {
                again = Some((at + 1, place));
                at += 1;
            }
            Some(own) if *own == '?' || own == character => {
                at += 1;
                place += 1;
            }
            _ => {
                let Some((behind, from)) = again else {
                    return false;
                };
                again = Some((behind, from + 1));
                at = behind;
                place = from + 1;
            }
        }
    }
    pattern
        .get(at..)
        .is_some_and(|rest| rest.iter().all(|character| *character == '*'))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_and_question_marks_stand_for_text() {
        for (pattern, text, fits) in [
            ("snap-*", "snap-0123", true),
            ("snap-*", "vol-0123", false),
            ("*", "", true),
            ("?", "", false),
            ("a?c", "abc", true),
            ("*-nightly-*", "db-nightly-2026", true),
            ("*ab", "aab", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b", false),
            ("Nightly", "nightly", true),
            ("a**", "a", true),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
        assert!(!matches(&"*a".repeat(2_000), &"a".repeat(1_999)));
    }
}
