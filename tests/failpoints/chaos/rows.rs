//! What clients do to the rows of one table.

use std::sync::Arc;

use anyhow::Result;
use arrow_array::cast::AsArray;
use futures::TryStreamExt;
use lance::Dataset;
use lance::dataset::UpdateBuilder;

use super::dice::Dice;
use super::ledger::Rows;

/// Up to three rows; none if there are few.
pub(super) fn some_of(certain: &Rows, dice: &mut Dice) -> Option<Vec<String>> {
    let ids: Vec<&String> = certain.keys().collect();
    (ids.len() > 4).then(|| {
        let mut chosen: Vec<String> =
            (0..=dice.roll(3)).filter_map(|_| dice.pick(&ids).map(|id| (*id).clone())).collect();
        chosen.sort();
        chosen.dedup();
        chosen
    })
}

pub(super) async fn update(table: &mut Dataset, ids: &[String], note: &str) -> Result<()> {
    let update = UpdateBuilder::new(Arc::new(table.clone()))
        .update_where(&any_of(ids))?
        .set("note", &format!("'{note}'"))?
        .build()?;
    *table = update.execute().await?.new_dataset.as_ref().clone();
    Ok(())
}

pub(super) async fn delete(table: &mut Dataset, ids: &[String]) -> Result<()> {
    table.delete(&any_of(ids)).await?;
    Ok(())
}

fn any_of(ids: &[String]) -> String {
    let quoted: Vec<String> = ids.iter().map(|id| format!("'{id}'")).collect();
    format!("id in ({})", quoted.join(", "))
}

/// Every row of a table at the version the handle stands at.
pub(super) async fn rows_of(table: &Dataset) -> Result<Vec<(String, String)>> {
    let mut scan = table.scan();
    let batches = scan.project(&["id", "note"])?.try_into_stream().await?;
    let batches: Vec<_> = batches.try_collect().await?;
    let mut rows = Vec::new();
    for batch in &batches {
        let (ids, notes) = (batch.column(0).as_string::<i32>(), batch.column(1).as_string::<i32>());
        let of = |at: usize| (ids.value(at).to_owned(), notes.value(at).to_owned());
        rows.extend((0..batch.num_rows()).map(of));
    }
    Ok(rows)
}

/// Whether a commit was refused because somebody else was faster.
pub(super) fn is_conflict(error: &anyhow::Error) -> bool {
    let said = format!("{error:#}").to_lowercase();
    ["conflict", "contention"].iter().any(|word| said.contains(word))
}
