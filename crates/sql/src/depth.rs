//! How deep the tree of a statement may become by operators that follow one another: `a + b + c …` is a tree as deep as
//! it is long, and whatever plans it goes down one call for each step. Parentheses have a limit in sqlparser; chains
//! have none, and a stack that overflows ends the process without a word.
//!
//! Not here: what operators mean. Whatever may be one counts.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::error::SqlError;
use crate::span::Span;

/// Operators that may be above one another. Of 400 a build without optimizations overflowed the stack.
const OPERATORS_MAX: usize = 120;
/// Words that put queries or tables one above another, whatever stands between them.
const OF_QUERIES: [&str; 4] = ["UNION", "EXCEPT", "INTERSECT", "JOIN"];
/// Words that put conditions one above another: other operators do not reach across them.
const OF_CONDITIONS: [&str; 3] = ["AND", "OR", "XOR"];
/// Words that are operators like signs.
const OF_VALUES: [&str; 9] =
    ["BETWEEN", "COLLATE", "DIV", "ILIKE", "IN", "IS", "LIKE", "SIMILAR", "WHEN"];

/// What stands above one another within one pair of parentheses.
#[derive(Clone, Copy, Default)]
struct Level {
    queries: usize,
    conditions: usize,
    values: usize,
}

impl Level {
    fn see(&mut self, token: &Token) {
        match token {
            Token::SemiColon => *self = Self::default(),
            // An element of a list is beside the others.
            Token::Comma => *self = Self { queries: self.queries, ..Self::default() },
            Token::Word(word) if word.quote_style.is_none() => {
                let word = word.value.to_uppercase();
                if OF_QUERIES.contains(&word.as_str()) {
                    *self = Self { queries: self.queries + 1, ..Self::default() };
                } else if OF_CONDITIONS.contains(&word.as_str()) {
                    *self = Self { conditions: self.conditions + 1, values: 0, ..*self };
                } else if OF_VALUES.contains(&word.as_str()) {
                    self.values += 1;
                }
            }
            token if is_sign(token) => self.values += 1,
            _ => {}
        }
    }

    fn depth(&self) -> usize {
        self.queries + self.conditions + self.values
    }
}

fn is_sign(token: &Token) -> bool {
    let text = token.to_string();
    let is_sign = |letter: char| letter.is_ascii_punctuation() && !"_'\"`$.".contains(letter);
    !text.is_empty() && text.chars().all(is_sign)
}

/// Refuses a text in which too many operators stand above one another.
///
/// # Errors
///
/// At the first operator that is too many.
pub(crate) fn check(tokens: &[TokenWithSpan]) -> Result<(), SqlError> {
    let mut levels = vec![Level::default()];
    for TokenWithSpan { token, span } in tokens {
        match token {
            Token::LParen | Token::LBracket | Token::LBrace => levels.push(Level::default()),
            Token::RParen | Token::RBracket | Token::RBrace if levels.len() > 1 => {
                levels.pop();
            }
            token => levels.last_mut().into_iter().for_each(|level| level.see(token)),
        }
        let depth: usize = levels.iter().map(Level::depth).sum();
        if depth > OPERATORS_MAX {
            let message = format!("more than {OPERATORS_MAX} operators follow one another here");
            let place = Span::of(*span).unwrap_or_else(|| Span::at(1, 1));
            return Err(SqlError::new(message, place)
                .with_hint("`column IN (…)` takes a list of any length"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::{parse, parse_one};

    fn is_refused(text: &str) -> bool {
        parse_one(text).is_err_and(|error| error.message().contains("operators"))
    }

    #[test]
    fn chains_of_operators_have_an_end_and_lists_have_none() {
        for (join, one) in
            [(" OR ", "a = 1"), (" + ", "1"), (" = ", "1"), (" || ", "'x'"), ("::int::", "int")]
        {
            let chain =
                |count: usize| format!("SELECT * FROM t WHERE {}", vec![one; count].join(join));
            assert!(!is_refused(&chain(50)), "{join}");
            assert!(is_refused(&chain(200)), "{join}");
            let select = chain(200).replace("SELECT *", "COMPACT TABLE t").replace(" FROM t", "");
            assert!(is_refused(&select), "{join}");
        }
        let union = vec!["SELECT 1, 2"; 200].join(" UNION ALL ");
        assert!(is_refused(&union));
        let joined = (0..200).map(|at| format!(" JOIN t AS t{at} ON true")).collect::<String>();
        assert!(is_refused(&format!("SELECT 1 FROM t{joined}")));
        let sums = vec!["a + b * 2"; 1_000].join(", ");
        assert!(!is_refused(&format!(
            "SELECT {sums} FROM t WHERE id IN ({})",
            vec!["1"; 5_000].join(", ")
        )));
        let several = vec!["SELECT 1 + 1 + 1"; 200].join(";");
        assert_eq!(parse(&several).map(|statements| statements.len()), Ok(200));
    }

    #[test]
    fn chains_in_parentheses_count_together() {
        let chain = vec!["1"; 50].join(" + ");
        assert!(!is_refused(&format!("SELECT ({chain}), ({chain}), ({chain})")));
        assert!(is_refused(&format!("SELECT {chain} + ({chain} + ({chain}))")));
    }
}
