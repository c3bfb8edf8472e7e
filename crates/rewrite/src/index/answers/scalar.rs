//! Indexes over values: asked for each of a few, one by one, and compared with one scan for all of
//! them.

use futures::TryStreamExt;
use lance::deps::datafusion::logical_expr::Expr;

use super::question::{Manner, Question, Sorted, column_of, questions};
use super::sample::{innermost, sample};
use super::{Asked, Verdict, difference, ids, ids_of, verdict};

/// Asks an index of a kind.
pub(super) async fn ask(asked: &Asked<'_>, kind: &str) -> lance::Result<Verdict> {
    let manner = match kind {
        "btree" | "bitmap" | "zonemap" | "bloomfilter" => Manner::Values,
        "labellist" => Manner::Items,
        "ngram" | "fm" => Manner::Parts,
        "" => {
            return Ok(Verdict::NotAsked(
                "its manifest does not say of which kind it is".to_owned(),
            ));
        }
        kind => return Ok(Verdict::NotAsked(format!("indexes of the kind {kind} are not asked"))),
    };
    let Some(column) = column_of(asked.table.schema(), asked.field) else {
        return Ok(Verdict::NotAsked("it is over a column inside of a list".to_owned()));
    };
    let questions = questions(&sample(asked).await?, manner, asked.samples)?;
    let Some(first) = questions.first() else {
        return Ok(Verdict::NotAsked("no sampled row has a value to ask for".to_owned()));
    };
    if !is_used(asked, &first.expression(&column)).await? {
        return Ok(Verdict::NotAsked("Lance answers without it".to_owned()));
    }
    let expected = scanned(asked, &column, &questions, manner).await?;
    for (question, expected) in questions.iter().zip(&expected.rows) {
        let mut scan = asked.scan();
        scan.empty_project()?.with_row_id().filter_expr(question.expression(&column));
        let found = ids(&scan).await?;
        if let Some(why) = difference(&question.words(), &found, expected) {
            return Ok(verdict(questions.len(), Some(why)));
        }
    }
    Ok(verdict(questions.len(), None))
}

/// Whether Lance asks this very index: a column may have others, which it may prefer.
async fn is_used(asked: &Asked<'_>, question: &Expr) -> lance::Result<bool> {
    let mut scan = asked.scan();
    scan.empty_project()?.with_row_id().filter_expr(question.clone());
    let plan = Box::pin(scan.explain_plan(true)).await?;
    Ok(plan.contains(&format!("]@{}(", asked.name)))
}

/// The rows that each question is about, by a scan that asks no index.
async fn scanned(
    asked: &Asked<'_>,
    column: &Expr,
    questions: &[Question],
    manner: Manner,
) -> lance::Result<Sorted> {
    let mut sorted = Sorted::by(questions, manner);
    let any = questions.iter().map(|question| question.expression(column)).reduce(Expr::or);
    let Some(any) = any else { return Ok(sorted) };
    let mut scan = asked.scan();
    scan.project(&[asked.column()?])?.with_row_id().use_scalar_index(false).filter_expr(any);
    let mut batches = scan.try_into_stream().await?;
    while let Some(batch) = batches.try_next().await? {
        sorted.add(&innermost(batch.column(0)), ids_of(&batch)?)?;
    }
    Ok(sorted)
}
