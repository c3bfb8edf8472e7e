//! `system.policies`: every option of every table, and who says so.

use futures::FutureExt;
use futures::future::BoxFuture;
use lancekeeper_model::{PolicyOption, PolicySource, TableKey};
use lancekeeper_settings::option_info;

use super::column::text;
use super::{Asked, Rows, SystemTable};
use crate::policies::{Policies, about_gone};
use crate::sql::SqlSession;
use crate::sql::answer::Cell;
use crate::sql::error::SqlRunError;
use crate::sql::names::table_names;

pub(super) const TABLE: SystemTable = SystemTable {
    name: "policies",
    about: "An option of the policy of a table, as `ALTER TABLE` left it. What a file of a watcher says is not here.",
    columns: &[
        text("table", "the table"),
        text("option", "the option"),
        text("value", "its value"),
        text("source", "`ALTER TABLE`, or `default` where nobody has set it"),
    ],
    fill,
};

fn fill<'a>(session: &'a SqlSession, asked: &'a Asked) -> BoxFuture<'a, Result<Rows, SqlRunError>> {
    async move {
        let seen = session.see().await?;
        let known = Policies::of(&seen.files()).list().await?;
        let mut all = Rows { notes: known.warnings.clone(), ..Rows::default() };
        let mut tables = table_names(&seen);
        let gone = known.of_no_table(&tables);
        all.notes.extend(gone.iter().map(|name| about_gone(name)));
        tables.extend(gone);
        for table in tables.into_iter().filter(|table| asked.includes(table)) {
            let policy =
                known.policies.get(&TableKey::new(table.as_str())).cloned().unwrap_or_default();
            all.rows.extend(PolicyOption::ALL.map(|option| {
                let (value, source) = match policy.get(option) {
                    Some(value) => (value.to_string(), PolicySource::Table),
                    None => (option_info(option).default.to_owned(), PolicySource::Default),
                };
                vec![
                    Cell::text(&table),
                    Cell::text(option.name()),
                    Cell::text(value),
                    Cell::text(source.to_string()),
                ]
            }));
        }
        Ok(all)
    }
    .boxed()
}
