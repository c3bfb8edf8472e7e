//! Every statement that there is, and every way in which one may be wrong.

use proptest::prelude::*;

use crate::{OrderColumns, Statement, parse, parse_one};

/// A statement as the snapshots show it.
fn told(statement: &Statement) -> String {
    match statement {
        Statement::Compact(it) => {
            let order = it.order.as_ref().map(|order| order.layout(&[]).to_string());
            let filter = it.filter.as_ref().map(|filter| {
                let columns: Vec<&str> =
                    filter.columns.iter().map(|name| name.text.as_str()).collect();
                format!("{} over {}", filter.text, columns.join(" "))
            });
            format!("compact {} order {order:?} where {filter:?}", it.table.text)
        }
        Statement::Vacuum(it) => format!("vacuum {} retain {:?}", it.table.text, it.retain),
        Statement::Optimize(it) => {
            format!("optimize {} statistics {}", it.table.text, it.recompute_statistics)
        }
        Statement::AlterSet(it) => {
            let options = it.options.iter().map(|(name, value)| {
                let quote = if value.quoted { "'" } else { "" };
                format!("{} = {quote}{}{quote}", name.text, value.text)
            });
            format!("set {}: {}", it.table.text, options.collect::<Vec<_>>().join(", "))
        }
        Statement::AlterReset(it) => {
            let options: Vec<&str> = it.options.iter().map(|name| name.text.as_str()).collect();
            format!("reset {}: {}", it.table.text, options.join(", "))
        }
        Statement::ShowJobs => "jobs".into(),
        Statement::CancelJob(it) => format!("cancel {}", it.id.text),
        Statement::Explain(it) => format!("explain {}", told(it)),
        Statement::Query(it) => {
            let relations = it.relations.iter().map(|relation| {
                let schema = relation.schema.as_ref().map(|schema| format!("{}.", schema.text));
                format!("{}{}", schema.unwrap_or_default(), relation.name.text)
            });
            let columns: Vec<String> = it.columns().into_iter().map(|name| name.text).collect();
            let relations = relations.collect::<Vec<_>>().join(" ");
            format!("query of [{relations}] columns [{}]: {}", columns.join(" "), it.statement)
        }
    }
}

/// The statements of a list of texts that are divided by empty lines, each with what `tell` makes of it.
fn each(texts: &str, tell: impl Fn(&str) -> String) -> String {
    let told = texts.trim().split("\n\n").map(|text| format!("{text}\n=> {}\n", tell(text)));
    told.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_statement_is_read() {
    let texts = r#"
COMPACT TABLE events;

compact table events

COMPACT TABLE users ORDER BY (last_login DESC, user_id);

COMPACT TABLE locations Z_ORDER BY (latitude, longitude);

COMPACT TABLE locations ZORDER BY (latitude, longitude)

Compact Table locations Hilbert By ("Breite", länge)

COMPACT TABLE logs WHERE partition_date < '2024-01-01';

COMPACT TABLE logs WHERE table = 'a;b' /* why */ AND x IN (1, 2) AND s.a.b IS NOT NULL HILBERT BY (x);

COMPACT TABLE logs ORDER BY (a ASC NULLS LAST, b DESC NULLS FIRST, c NULLS LAST) WHERE größe > 1.5 -- all of it

COMPACT TABLE "my table.v2" ORDER BY (`a b`);

COMPACT TABLE "node:Person"

ALTER TABLE orders SET (
  auto_compact = true,
  compact_threshold_mb = 100,
  compact_target_file_size_mb = 512
);

ALTER TABLE orders SET (quiet_times = '22:00-06:00', budget = 64MiB, share = -0.5, max_time = 1h 30m);

ALTER TABLE orders RESET (auto_compact, budget)

VACUUM TABLE products;

VACUUM TABLE products RETAIN 7 DAYS;

vacuum table products retain 12h

VACUUM TABLE products RETAIN '2 weeks'

OPTIMIZE TABLE analytics RECOMPUTE STATISTICS;

OPTIMIZE TABLE analytics

SHOW JOBS;

CANCEL JOB 01K5E7ZQ3VJ6M2T8W9XAYBNCDE;

CANCEL JOB 'a b'

EXPLAIN COMPACT TABLE events;

EXPLAIN VACUUM TABLE products

EXPLAIN OPTIMIZE TABLE analytics

SELECT compaction_status FROM system.compaction_jobs WHERE table = 'events';

select j.table, count(*) from system.compaction_jobs j group by j.table order by table limit 3

SELECT table AS table FROM system.tables t JOIN system.fragments f ON t.table = f.table

WITH system AS (SELECT 1 AS x), b AS (SELECT * FROM "My Table") SELECT * FROM system, b, lower.Events WHERE EXISTS (SELECT 1 FROM c)

EXPLAIN SELECT 1

VALUES (1), (2)

(SELECT 1) UNION ALL (SELECT a FROM t)
"#;
    let read = each(texts, |text| match parse_one(text) {
        Ok(parsed) => told(&parsed.statement),
        Err(error) => format!("ERROR {error}"),
    });
    assert!(!read.contains("=> ERROR"), "{read}");
    insta::assert_snapshot!(read);
}

#[test]
fn every_bad_statement_is_pointed_at() {
    let texts = r#"
COMPAKT TABLE events;

TABLE events

INSERT INTO events VALUES (1)

drop table events

7 days

;

-- nothing but this

COMPACT events

COMPACT TABEL events

COMPACT TABLE

COMPACT TABLE 'events'

COMPACT TABLE node:Person

COMPACT TABLE lake.events

COMPACT TABLE 2024_logs

COMPACT TABLE ""

COMPACT TABLE events ORDRE BY (a)

COMPACT TABLE events ORDER BY a, b

COMPACT TABLE events ORDER BY (a, b

COMPACT TABLE events ORDER BY ()

COMPACT TABLE events ORDER BY (a, )

COMPACT TABLE events ORDER BY (a, a)

COMPACT TABLE events ORDER BY (a, s.b DESC)

COMPACT TABLE events HILBERT BY ("s"."b c", a)

COMPACT TABLE events ORDER BY (a DSC)

COMPACT TABLE events ORDER BY (a NULLS LATS)

COMPACT TABLE events ORDER BY (a) Z_ORDER BY (b)

COMPACT TABLE events Z_ORDER BY (a DESC)

COMPACT TABLE events Z_ORDER (a)

COMPACT TABLE events HILBERT BY (a, b, c, d, e, f, g, h, i)

COMPACT TABLE events WHERE

COMPACT TABLE events WHERE a <

COMPACT TABLE events WHERE (a < 3

COMPACT TABLE events WHERE a IN (SELECT 1)

COMPACT TABLE events WHERE a = 1 WHERE b = 2

COMPACT TABLE events WHERE a = 'x

COMPACT TABLE "events

COMPACT TABLE events /* never closed

COMPACT TABLE events please

COMPACT TABLE events; COMPACT TABLE users;

VACUUM TABLE products RETAIN

VACUUM TABLE products RETAIN 7

VACUUM TABLE products RETAIN 7 DYAS

VACUUM TABLE products RETAIN 1.5 DAYS

VACUUM TABLE products RETAIN -7 DAYS

VACUUM TABLE products RETAIN 99999999999999 DAYS

VACUUM TABLE products RETAIN 'soon'

VACUUM TABLE products RETIAN 7 DAYS

OPTIMIZE TABLE analytics RECOMPUTE STATISTIC

OPTIMIZE TABLE analytics RECOMPUT STATISTICS

ALTER TABLE orders

ALTER TABLE orders ADD COLUMN x INT

ALTER TABLE orders SET auto_compact = true

ALTER TABLE orders SET ()

ALTER TABLE orders SET (auto_compact)

ALTER TABLE orders SET (auto_compact = )

ALTER TABLE orders SET (auto_compact = true

ALTER TABLE orders SET (auto_compact = true compact_threshold_mb = 100)

ALTER TABLE orders SET (auto_compact = true, auto_compact = false)

ALTER TABLE orders RESET (auto_compact = true)

SHOW TABLES

CANCEL JOB

CANCEL JOB a b

EXPLAIN

EXPLAIN COMPAKT TABLE t

EXPLAIN ALTER TABLE t SET (a = 1)

SELECT

SELECT a FROM

SELECT a, FROM t

SELECT a FROM t WHERE (b = 1

SELECT a INTO b FROM t

SELECT a FROM t FOR UPDATE

SELECT a FROM t GROUP a

WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x

SELECT a
FROM t
WHERE	größe == 3 4
"#;
    let refused = each(texts, |text| match parse_one(text) {
        Ok(parsed) => format!("ACCEPTED {}", told(&parsed.statement)),
        Err(error) => error.render(text),
    });
    assert!(!refused.contains("=> ACCEPTED"), "{refused}");
    insta::assert_snapshot!(refused);
}

#[test]
fn a_text_may_hold_several_statements() {
    let statements = parse("COMPACT TABLE a;;\n-- then\nVACUUM TABLE b;\nSELECT 1").unwrap();
    let verbs: Vec<&str> = statements.iter().map(|parsed| parsed.statement.verb()).collect();
    assert_eq!(verbs, ["COMPACT", "VACUUM", "SELECT"]);
    let texts: Vec<&str> = statements.iter().map(|parsed| parsed.text.as_str()).collect();
    assert_eq!(texts, ["COMPACT TABLE a", "VACUUM TABLE b", "SELECT 1"]);
    let error = parse("COMPACT TABLE a;\nVACCUM TABLE b").unwrap_err();
    insta::assert_snapshot!(error, @"line 2, column 1: no statement begins with VACCUM, did you mean VACUUM?");
}

#[test]
fn an_error_says_where_and_what_instead() {
    let error = parse_one("COMPAKT TABLE events").unwrap_err();
    assert_eq!((error.line(), error.column(), error.suggestion()), (1, 1, Some("COMPACT")));
    assert_eq!(error.span().end_column, 8);
}

#[test]
fn names_are_spelled_as_the_tables_have_them() {
    let known = ["userId", "total", "Total", "ID", "id"].map(String::from);
    let text =
        "SELECT userid, t.USERID, total, ID, \"other\", COUNT(x) FROM Events t WHERE UserId = 1";
    let Statement::Query(mut query) = parse_one(text).unwrap().statement else {
        panic!("no query")
    };
    query.spell_columns(&known);
    query.spell_relation(query.relations[0].name.span, "Events");
    insta::assert_snapshot!(query.statement, @r#"SELECT "userId", t."userId", total, ID, "other", COUNT(x) FROM "Events" t WHERE "userId" = 1"#);
}

#[test]
fn the_tables_that_a_query_asks_about_are_those_of_its_plain_conditions() {
    let asked = |condition: &str| {
        let text = format!("SELECT * FROM system.files f WHERE {condition}");
        match parse_one(&text).unwrap().statement {
            Statement::Query(query) => query.tables_asked_about().map(|tables| tables.join(" ")),
            other => panic!("{other:?}"),
        }
    };
    for (condition, tables) in [
        ("table = 'a'", "a"),
        ("'a' = f.TABLE AND bytes > 3", "a"),
        ("bytes > 3 AND (table IN ('a', 'b') AND fragment = 0)", "a b"),
        ("table IN ('a', 'b') AND table = 'b'", "b"),
        ("table = 'a' AND table = 'b'", ""),
        ("table = 'A' AND (table = 'a' OR bytes > 3)", "A"),
    ] {
        assert_eq!(asked(condition).as_deref(), Some(tables), "{condition}");
    }
    for condition in [
        "bytes > 3",
        "table = 'a' OR bytes > 3",
        "NOT table = 'a'",
        "table <> 'a'",
        "table NOT IN ('a')",
        "table = path",
        "\"Table\" = 'a'",
        "table LIKE 'a'",
        "table IN ('a', path)",
        "bytes > (SELECT 1 FROM system.tables WHERE table = 'a')",
        "table = 'a' AND bytes IN (SELECT bytes FROM system.files)",
    ] {
        assert_eq!(asked(condition), None, "{condition}");
    }
    for text in [
        "SELECT * FROM system.files, system.tables WHERE table = 'a'",
        "SELECT * FROM (SELECT * FROM system.files) WHERE table = 'a'",
        "SELECT * FROM system.files WHERE table = 'a' UNION ALL SELECT * FROM system.files",
        "WITH x AS (SELECT * FROM system.files) SELECT * FROM x WHERE table = 'a'",
        "SELECT count(*) FROM system.files HAVING min(table) = 'a'",
    ] {
        let Statement::Query(query) = parse_one(text).unwrap().statement else { panic!("{text}") };
        assert_eq!(query.tables_asked_about(), None, "{text}");
    }
}

#[test]
fn columns_of_an_order_take_the_names_that_the_table_has() {
    let Statement::Compact(compact) =
        parse_one("COMPACT TABLE t ORDER BY (A DESC, b)").unwrap().statement
    else {
        panic!("no compaction")
    };
    let Some(order @ OrderColumns::Sort(_)) = compact.order else { panic!("no order") };
    assert_eq!(order.layout(&["a".into(), "b".into()]).to_string(), "sort:-a,b");
    assert_eq!(order.names()[1].span.column, 35);
}

fn token() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "COMPACT",
        "VACUUM",
        "OPTIMIZE",
        "ALTER",
        "SHOW",
        "CANCEL",
        "EXPLAIN",
        "SELECT",
        "WITH",
        "TABLE",
        "table",
        "events",
        "\"a b\"",
        "`x`",
        "'text'",
        "WHERE",
        "ORDER",
        "Z_ORDER",
        "HILBERT",
        "BY",
        "(",
        ")",
        ",",
        ";",
        ".",
        "=",
        "<",
        "7",
        "1.5",
        "DAYS",
        "RETAIN",
        "SET",
        "RESET",
        "JOBS",
        "JOB",
        "RECOMPUTE",
        "STATISTICS",
        "DESC",
        "NULLS",
        "FIRST",
        "LAST",
        "*",
        "FROM",
        "AS",
        "-",
        "--",
        "/*",
        "'",
        "\"",
        "\n",
        "\t",
        "größe",
        "表",
        "$1",
        "::",
        "IN",
        "AND",
        "NOT",
        "CASE",
        "JOIN",
        "ON",
        "GROUP",
        "LIMIT",
        "VALUES",
        "[",
        "]",
        "{",
        "}",
        "@",
        "\\",
    ])
}

proptest! {
    /// Whatever the text is, the answer is statements or an error that can be shown.
    #[test]
    fn no_text_makes_the_parser_panic(tokens in prop::collection::vec(token(), 0..24), glue in "[ \n]?") {
        let text = tokens.join(&glue);
        if let Err(error) = parse(&text) {
            prop_assert!(error.render(&text).contains('^'));
        }
        let _ = parse_one(&text);
    }

    /// The same for letters of any kind.
    #[test]
    fn no_letters_make_the_parser_panic(text in "\\PC{0,40}") {
        if let Err(error) = parse(&text) {
            prop_assert!(error.render(&text).contains('^'));
        }
    }
}

#[test]
fn names_in_double_quotes_reach_lance_in_backticks_and_texts_as_they_are() {
    let filter = |text: &str| match parse_one(text).unwrap().statement {
        Statement::Compact(compact) => compact.filter.unwrap().text,
        other => panic!("{other:?}"),
    };
    let text = r#"COMPACT TABLE t WHERE "G" = 'a "b" ''c''' AND "a b"."x""y" > 1 -- "z"
        OR `q` = 2"#;
    let expected = r#"`G` = 'a "b" ''c''' AND `a b`.`x"y` > 1 -- "z"
        OR `q` = 2"#;
    assert_eq!(filter(text), expected);
    assert_eq!(filter("COMPACT TABLE t WHERE a<1.5e3 AND b=x'0f'"), "a<1.5e3 AND b=x'0f'");
}
