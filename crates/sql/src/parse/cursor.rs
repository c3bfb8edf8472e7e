//! The tokens of a text, as sqlparser's own parser walks over them, and errors at the one it is at.

use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, TokenizerError};

use crate::depth;
use crate::dialect::KeeperDialect;
use crate::error::{ORDERED_BY, SqlError};
use crate::names::Name;
use crate::span::Span;
use lancekeeper_model::nearest;

static DIALECT: KeeperDialect = KeeperDialect;

/// A place between two tokens of a text.
pub(super) struct Cursor<'t> {
    text: &'t str,
    /// The places of all tokens, for errors of sqlparser, which only say where they begin.
    spans: Vec<Span>,
    pub(super) parser: Parser<'static>,
}

impl<'t> Cursor<'t> {
    /// At the beginning of a text.
    pub(super) fn over(text: &'t str) -> Result<Self, SqlError> {
        let tokens = Tokenizer::new(&DIALECT, text)
            .tokenize_with_location()
            .map_err(|error| unreadable(text, error))?;
        depth::check(&tokens)?;
        let spans = tokens
            .iter()
            .filter(|token| !matches!(token.token, Token::Whitespace(_)))
            .filter_map(|token| Span::of(token.span))
            .collect();
        let parser = Parser::new(&DIALECT).with_tokens_with_locations(tokens);
        Ok(Self { text, spans, parser })
    }

    fn token(&self) -> TokenWithSpan {
        self.parser.peek_token()
    }

    /// Where the next token is. At the end of the text: right behind the last one.
    pub(super) fn span(&self) -> Span {
        Span::of(self.token().span).unwrap_or_else(|| self.end())
    }

    /// Where the last token is that was taken.
    pub(super) fn last_span(&self) -> Span {
        Span::of(self.parser.get_current_token().span).unwrap_or_else(|| self.end())
    }

    fn end(&self) -> Span {
        self.spans.last().map_or(Span::at(1, 1), |last| Span::at(last.end_line, last.end_column))
    }

    /// The next token as messages name it.
    pub(super) fn shown(&self) -> String {
        shown(&self.token().token)
    }

    /// The next token in capitals, if it is a word without quotes.
    pub(super) fn word(&self) -> Option<String> {
        word_of(&self.token().token)
    }

    /// The token after the next one in the same way.
    pub(super) fn second_word(&self) -> Option<String> {
        word_of(&self.parser.peek_nth_token(1).token)
    }

    /// Whether the token after the next one is an opening parenthesis.
    pub(super) fn second_opens(&self) -> bool {
        self.parser.peek_nth_token(1).token == Token::LParen
    }

    /// Whether the next token is an opening parenthesis.
    pub(super) fn is_open_parenthesis(&self) -> bool {
        self.token().token == Token::LParen
    }

    /// Whether the next token is a closing parenthesis.
    pub(super) fn is_close_parenthesis(&self) -> bool {
        self.token().token == Token::RParen
    }

    /// Whether the next token is a comma.
    pub(super) fn is_comma(&self) -> bool {
        self.token().token == Token::Comma
    }

    /// Whether nothing follows.
    pub(super) fn is_at_end(&self) -> bool {
        self.token().token == Token::EOF
    }

    /// Whether the statement ends here.
    pub(super) fn ends_statement(&self) -> bool {
        matches!(self.token().token, Token::EOF | Token::SemiColon)
    }

    pub(super) fn advance(&mut self) {
        self.parser.advance_token();
    }

    /// Takes a `;`, if one is next.
    pub(super) fn takes_semicolon(&mut self) -> bool {
        self.parser.consume_token(&Token::SemiColon)
    }

    /// Takes this word, if it is next.
    pub(super) fn takes_word(&mut self, word: &str) -> bool {
        let is_next = self.word().is_some_and(|next| next == word);
        if is_next {
            self.advance();
        }
        is_next
    }

    /// Takes one of these words, which has to be next, and returns it.
    pub(super) fn expect_word(&mut self, words: &[&'static str]) -> Result<&'static str, SqlError> {
        let next = self.word();
        if let Some(found) = words.iter().find(|word| next.as_deref() == Some(**word)) {
            self.advance();
            return Ok(found);
        }
        let near = next.and_then(|next| nearest(&next, words.iter().copied()));
        Err(self.expected(&words.join(" or ")).suggesting(near))
    }

    /// Takes this token, which has to be next. `name` is how messages call it.
    pub(super) fn expect(&mut self, token: &Token, name: &str) -> Result<(), SqlError> {
        if self.parser.consume_token(token) { Ok(()) } else { Err(self.expected(name)) }
    }

    /// Takes a name. `what` is what it is of: `a table`.
    pub(super) fn expect_name(&mut self, what: &str) -> Result<Name, SqlError> {
        let token = self.token();
        let Token::Word(word) = &token.token else {
            let error = self.expected(&format!("the name of {what}"));
            return Err(match &token.token {
                Token::SingleQuotedString(name) => error
                    .suggesting(Some(format!("\"{name}\"")))
                    .with_hint("single quotes are for text, double quotes for names"),
                Token::Number(..) => {
                    error.with_hint("a name that begins with a digit stands in double quotes")
                }
                _ => error,
            });
        };
        if word.value.is_empty() {
            return Err(self.error(format!("the name of {what} cannot be empty")));
        }
        let (text, quoted) = (word.value.clone(), word.quote_style.is_some());
        let span = self.span();
        self.advance();
        let name = Name { text, quoted, span };
        match self.token().token {
            Token::Period | Token::Colon | Token::DoubleColon | Token::Minus | Token::Div
                if !quoted =>
            {
                Err(self.needs_quotes(&name, what))
            }
            _ => Ok(name),
        }
    }

    /// Takes the name of a column of the table itself. Quotes would not make a column of a field, so they are not suggested.
    pub(super) fn expect_column(&mut self) -> Result<Name, SqlError> {
        let is_field = matches!(self.token().token, Token::Word(_))
            && self.parser.peek_nth_token(1).token == Token::Period;
        if !is_field {
            return self.expect_name("a column");
        }
        let start = self.span();
        self.advance();
        let span = self.rest_of_name(start);
        let message = format!("{} is a field, and {ORDERED_BY}", span.slice(self.text));
        Err(SqlError::new(message, span)
            .with_hint("a column with a dot in its own name stands in double quotes as a whole"))
    }

    /// A name goes on with a letter that only names in quotes have.
    fn needs_quotes(&mut self, name: &Name, what: &str) -> SqlError {
        let span = self.rest_of_name(name.span);
        let whole = span.slice(self.text);
        SqlError::new(format!("{whole} as the name of {what} needs quotes"), span)
            .suggesting(Some(format!("\"{whole}\"")))
    }

    /// Takes whatever follows without a space, and returns the place of all of it.
    fn rest_of_name(&mut self, start: Span) -> Span {
        let mut span = start;
        while let Some(next) = Span::of(self.token().span)
            && (next.line, next.column) == (span.end_line, span.end_column)
            && !matches!(
                self.token().token,
                Token::EOF | Token::SemiColon | Token::Comma | Token::LParen | Token::RParen
            )
        {
            span = span.to(next);
            self.advance();
        }
        span
    }

    /// An error at the next token.
    pub(super) fn error(&self, message: impl Into<String>) -> SqlError {
        SqlError::new(message, self.span())
    }

    /// An error that says what should be next.
    pub(super) fn expected(&self, what: &str) -> SqlError {
        self.error(format!("{what} is expected here, not {}", self.shown()))
    }

    /// What is written between two places.
    pub(super) fn written(&self, span: Span) -> &'t str {
        span.slice(self.text)
    }

    /// What is written between two places, with names in backticks that stand in double quotes there.
    pub(super) fn in_backticks(&self, span: Span) -> Result<String, SqlError> {
        let written = self.written(span);
        let tokens = Tokenizer::new(&DIALECT, written).tokenize_with_location();
        let tokens = tokens.map_err(|error| unreadable(written, error))?;
        let (mut spelled, mut from) = (String::new(), Span::at(1, 1));
        for token in &tokens {
            let (Token::Word(word), Some(place)) = (&token.token, Span::of(token.span)) else {
                continue;
            };
            if word.quote_style == Some('"') {
                spelled.push_str(from.until(place).slice(written));
                spelled.push_str(&format!("`{}`", word.value.replace('`', "``")));
                from = place.behind();
            }
        }
        spelled.push_str(from.to(Span::at(usize::MAX, 1)).slice(written));
        Ok(spelled)
    }

    /// An error of sqlparser's, at the token that it is about.
    pub(super) fn translated(&self, error: ParserError) -> SqlError {
        let message = match error {
            ParserError::ParserError(message) | ParserError::TokenizerError(message) => message,
            ParserError::RecursionLimitExceeded => {
                return SqlError::new("this is nested too deeply", self.last_span());
            }
        };
        let (message, location) = without_place(&message);
        let span = location
            .and_then(|place| self.spans.iter().find(|span| span.starts_at(place)).copied())
            .unwrap_or_else(|| if self.is_at_end() { self.end() } else { self.last_span() });
        let told = message.strip_prefix("Expected: ").or_else(|| message.strip_prefix("Expected "));
        let Some((expected, found)) = told.and_then(|rest| rest.rsplit_once(", found: ")) else {
            return SqlError::new(lowercase_first(message), span);
        };
        let found = if found == "EOF" { "the end" } else { found };
        SqlError::new(format!("{expected} is expected here, not {found}"), span)
    }
}

/// The message of sqlparser's without the place at its end, and the place.
fn without_place(message: &str) -> (&str, Option<Location>) {
    let parsed = message.rsplit_once(" at Line: ").and_then(|(before, place)| {
        let (line, column) = place.split_once(", Column: ")?;
        Some((before, Location { line: line.parse().ok()?, column: column.parse().ok()? }))
    });
    match parsed {
        Some((before, place)) => (before, Some(place)),
        None => (message, None),
    }
}

fn lowercase_first(message: &str) -> String {
    let mut letters = message.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// A text that cannot even be cut into tokens.
fn unreadable(text: &str, error: TokenizerError) -> SqlError {
    let number = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).max(1);
    let (line, column) = (number(error.location.line), number(error.location.column));
    let length = text.split('\n').nth(line - 1).map_or(0, |line| line.chars().count());
    let rest = Span { line, column, end_line: line, end_column: length.max(column) + 1 };
    if error.message.contains("string literal") {
        return SqlError::new("this text is not closed: a ' is missing", rest);
    }
    if error.message.starts_with("Expected close delimiter") {
        return SqlError::new("this name is not closed: its second quote is missing", rest);
    }
    if error.message.contains("multi-line comment") {
        return SqlError::new("a comment is not closed: */ is missing", Span::at(line, column));
    }
    SqlError::new(lowercase_first(&error.message), Span::at(line, column))
}

fn word_of(token: &Token) -> Option<String> {
    match token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_uppercase()),
        _ => None,
    }
}

fn shown(token: &Token) -> String {
    match token {
        Token::EOF => "the end".into(),
        // Keywords and names look alike, and names may be long.
        Token::Word(word)
            if word.keyword == Keyword::NoKeyword && word.value.chars().count() > 60 =>
        {
            "this name".into()
        }
        other => other.to_string(),
    }
}
