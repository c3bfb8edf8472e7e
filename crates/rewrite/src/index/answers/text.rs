//! Text indexes: asked for words of sampled texts, and compared with the texts in which their own
//! tokenizer finds these words.

use std::collections::HashMap;

use futures::TryStreamExt;
use lance_index::pbold::InvertedIndexDetails;
use lance_index::scalar::inverted::query::collect_query_tokens;
use lance_index::scalar::inverted::tokenizer::document_tokenizer::LanceTokenizer;
use lance_index::scalar::{FullTextSearchQuery, InvertedIndexParams};
use prost::Message;
use roaring::RoaringTreemap;

use super::question::texts;
use super::sample::{innermost, sample};
use super::{Asked, Verdict, difference, ids, ids_of, verdict};

type Tokenizer = Box<dyn LanceTokenizer>;

/// A word as it stands in a text, and as the index has it.
struct Word {
    written: String,
    token: String,
}

/// Asks a text index.
pub(super) async fn ask(asked: &Asked<'_>) -> lance::Result<Verdict> {
    let Some(mut tokenizer) = tokenizer(asked)? else {
        return Ok(Verdict::NotAsked(
            "its manifest does not say how it tells words apart".to_owned(),
        ));
    };
    let Some(words) = words(asked, &mut tokenizer).await? else {
        return Ok(Verdict::NotAsked("its column holds no plain texts".to_owned()));
    };
    if words.is_empty() {
        return Ok(Verdict::NotAsked("no sampled text has a word to ask for".to_owned()));
    }
    let expected = scanned(asked, &mut tokenizer, &words).await?;
    let column = asked.table.schema().field_path_minimal(asked.field)?;
    for (word, expected) in words.iter().zip(&expected) {
        let query = FullTextSearchQuery::new(word.written.clone()).with_column(column.clone())?;
        let mut scan = asked.scan();
        scan.empty_project()?.with_row_id().disable_scoring_autoprojection();
        scan.full_text_search(query)?;
        let found = ids(&scan).await?;
        if let Some(why) = difference(&format!("the word {:?}", word.written), &found, expected) {
            return Ok(verdict(words.len(), Some(why)));
        }
    }
    Ok(verdict(words.len(), None))
}

fn tokenizer(asked: &Asked<'_>) -> lance::Result<Option<Tokenizer>> {
    let details = asked.segments.first().and_then(|segment| segment.index_details.as_ref());
    let Some(details) = details.filter(|details| !details.value.is_empty()) else {
        return Ok(None);
    };
    let details = InvertedIndexDetails::decode(details.value.as_slice())?;
    InvertedIndexParams::try_from(&details)?.build().map(Some)
}

/// Words of sampled texts, each once; `None` for columns that hold no texts.
async fn words(asked: &Asked<'_>, tokenizer: &mut Tokenizer) -> lance::Result<Option<Vec<Word>>> {
    let mut words: Vec<Word> = Vec::new();
    for values in sample(asked).await? {
        for row in 0..values.len() {
            let Some(texts) = texts(&values, row) else { return Ok(None) };
            let word = texts.iter().find_map(|text| longest_word(text, tokenizer));
            let is_new = |word: &Word| words.iter().all(|known| known.token != word.token);
            words.extend(word.filter(is_new));
        }
    }
    Ok(Some(words))
}

/// The longest word of a text that, asked for alone, is that word.
fn longest_word(text: &str, tokenizer: &mut Tokenizer) -> Option<Word> {
    let mut candidates = Vec::new();
    let mut stream = tokenizer.token_stream_for_doc(text);
    while let Some(token) = stream.next() {
        if let Some(written) = text.get(token.offset_from..token.offset_to) {
            candidates.push(Word { written: written.to_owned(), token: token.text.clone() });
        }
    }
    drop(stream);
    candidates.sort_by_key(|word| std::cmp::Reverse(word.written.len()));
    candidates.into_iter().find(|word| {
        let asked = collect_query_tokens(&word.written, tokenizer);
        asked.len() == 1 && asked.get_token(0) == word.token
    })
}

/// The rows that have each word, by a scan of all texts.
async fn scanned(
    asked: &Asked<'_>,
    tokenizer: &mut Tokenizer,
    words: &[Word],
) -> lance::Result<Vec<RoaringTreemap>> {
    let known: HashMap<&str, usize> =
        words.iter().enumerate().map(|(at, word)| (word.token.as_str(), at)).collect();
    let mut rows = vec![RoaringTreemap::new(); words.len()];
    let mut scan = asked.scan();
    scan.project(&[asked.column()?])?.with_row_id();
    let mut batches = scan.try_into_stream().await?;
    while let Some(batch) = batches.try_next().await? {
        let values = innermost(batch.column(0));
        for (row, id) in ids_of(&batch)?.enumerate() {
            for text in texts(&values, row).unwrap_or_default() {
                let mut stream = tokenizer.token_stream_for_doc(&text);
                while let Some(token) = stream.next() {
                    if let Some(at) = known.get(token.text.as_str()) {
                        rows[*at].insert(id);
                    }
                }
            }
        }
    }
    Ok(rows)
}
