//! How much the expressions of a scenario may be, before anything computes them.
//!
//! What is constant in an expression is computed when it is compiled, so by `kscen check` already: a text or a list that is repeated there
//! takes any memory and any time.

/// The longest expression, in bytes: what a person reads at a glance, and far less than what would exhaust the stack.
const LONGEST: usize = 1_000;

/// Words that stand between operands.
const OPERATORS: [&str; 7] = ["and", "or", "not", "in", "is", "if", "else"];

/// Why an expression is not even compiled.
#[derive(Debug, PartialEq, Eq)]
pub struct ExcessiveExpression {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: &'static str,
}

/// Refuses an expression that is too long, or repeats a text or a list. What is no expression at all is left to who compiles it.
///
/// # Errors
/// Says which of the two it is.
pub fn within_bounds(text: &str) -> Result<(), ExcessiveExpression> {
    if text.len() > LONGEST {
        return Err(ExcessiveExpression {
            message: format!("the expression has {} bytes, and the longest has {LONGEST}", text.len()),
            help: "put what varies into `vars`, or several steps into a fragment with one `if`",
        });
    }
    let tokens = tokens(text);
    let mut products = (0..tokens.len()).filter(|at| tokens[*at] == Token::Times);
    if products.any(|at| repeats_before(&tokens, at) || repeats_behind(&tokens, at)) {
        return Err(ExcessiveExpression {
            message: format!("`{text}` repeats a text or a list, and `*` is for numbers alone"),
            help: "write the text or the list as it is meant",
        });
    }
    Ok(())
}

/// A part of an expression, as far as it matters what is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    /// A name, a number, or a member of something.
    Value,
    /// A text in quotes.
    Text,
    /// An opening bracket.
    Open(char),
    /// A closing bracket.
    Close,
    /// `*`
    Times,
    /// `,`
    Comma,
    /// Anything else that stands between operands.
    Other,
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '\'' | '"' => (Token::Text, quoted(rest, first)),
            '(' | '[' | '{' => (Token::Open(first), 1),
            ')' | ']' | '}' => (Token::Close, 1),
            ',' => (Token::Comma, 1),
            '*' if rest.starts_with("**") => (Token::Other, 2),
            '*' => (Token::Times, 1),
            _ if is_word(first) => {
                let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                let is_operator = OPERATORS.contains(&&rest[..length]);
                (if is_operator { Token::Other } else { Token::Value }, length)
            }
            _ => (Token::Other, first.len_utf8()),
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '.'
}

/// The bytes of a text in quotes with them, or of all that follows where it does not end.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if c == quote && !escaped {
            return at + c.len_utf8();
        }
        escaped = c == '\\' && !escaped;
    }
    text.len()
}

/// Whether what stands before the `*` at this place is a text or a list.
fn repeats_before(tokens: &[Token], at: usize) -> bool {
    let Some(last) = at.checked_sub(1) else { return false };
    match tokens[last] {
        Token::Text => true,
        Token::Close => opening(tokens, last).is_some_and(|open| is_list(tokens, open, last)),
        _ => false,
    }
}

/// Whether what stands behind the `*` at this place is a text or a list.
fn repeats_behind(tokens: &[Token], at: usize) -> bool {
    let first = at + 1;
    match tokens.get(first) {
        Some(Token::Text) => true,
        Some(Token::Open(_)) => closing(tokens, first).is_some_and(|close| is_list(tokens, first, close)),
        _ => false,
    }
}

/// Whether brackets hold, or are, a text or a list. Those behind a value are a place in it or a call, of which nothing is known before it
/// is computed.
fn is_list(tokens: &[Token], open: usize, close: usize) -> bool {
    if is_applied(tokens, open) {
        return false;
    }
    match tokens[open] {
        Token::Open('[') => true,
        Token::Open('(') => {
            let mut at = open + 1;
            while at < close {
                match tokens[at] {
                    Token::Text | Token::Comma => return true,
                    Token::Open(_) if is_applied(tokens, at) => at = closing(tokens, at).unwrap_or(close),
                    Token::Open('[') => return true,
                    _ => {}
                }
                at += 1;
            }
            false
        }
        _ => false,
    }
}

/// Whether an opening bracket follows a value, and not an operator.
fn is_applied(tokens: &[Token], open: usize) -> bool {
    open.checked_sub(1).is_some_and(|before| matches!(tokens[before], Token::Value | Token::Text | Token::Close))
}

/// The bracket that closes the one at this place.
fn closing(tokens: &[Token], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    (open..tokens.len()).find(|at| {
        match tokens[*at] {
            Token::Open(_) => depth += 1,
            Token::Close => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0
    })
}

/// The bracket that the one at this place closes.
fn opening(tokens: &[Token], close: usize) -> Option<usize> {
    let mut depth = 0_usize;
    (0..=close).rev().find(|at| {
        match tokens[*at] {
            Token::Close => depth += 1,
            Token::Open(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_texts_and_lists_is_refused_before_it_is_compiled() {
        for repeats in [
            "[[1] * 100000000] * 100000000 == [[1] * 100000000] * 100000000",
            "(1,) * 100000000 == 1",
            "100000000 * (1,)",
            "100000000*[1]",
            "'x' * 100000000 ~ 'x' * 100000000",
            "\"x\"*100000000",
            "100000000 * 'x'",
            "3 * 5 * 'it\\'s'",
            "('x' ~ 'y') * 100000000",
            "(('x')) * 100000000",
            "('x' or failed) * 100000000",
            "not (1,) * 100000000",
            "failed and ([1] + [2]) * 100000000",
            "(vars.a, 1) * 2",
        ] {
            let refused = within_bounds(repeats).expect_err(repeats);
            assert!(refused.message.contains("repeats a text or a list"), "{refused:?}");
        }
    }

    #[test]
    fn products_of_numbers_and_whatever_is_no_product_are_left_alone() {
        for fine in [
            "steps.load.acked * 2 > 10",
            "(steps.load.acked - 5) * 2 > 10",
            "(steps['load'].acked - 5) * (vars.factor + 1) > 10",
            "vars.list[0] * 2 == matrix.n * 3",
            "value.amounts[value.places[0]] * 100 > 5",
            "len(value.items, 1) * 2 > 5",
            "2 ** 8 * 3 == -vars.n * -2",
            "environment == 'docker * 2' and vars.name == \"[1] * 5\"",
            "vars.x in [1, 2, 3] and vars.y * 2 > 1",
            "'x' ~ 'y' == 'xy'",
            "value is mapping and value.n * 2 > 3",
            // No expressions: who compiles them says so.
            "* 5",
            "5 *",
            ")) * ((",
            "'never ends * 5",
            "]*[",
            "",
        ] {
            assert_eq!(within_bounds(fine), Ok(()), "{fine}");
        }
    }

    #[test]
    fn what_is_too_long_is_not_looked_at() {
        assert!(within_bounds(&"1".repeat(LONGEST)).is_ok());
        let refused = within_bounds(&"1".repeat(LONGEST + 1)).expect_err("it is too long");
        assert_eq!(refused.message, "the expression has 1001 bytes, and the longest has 1000");
    }
}
