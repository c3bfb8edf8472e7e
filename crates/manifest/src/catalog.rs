//! The compiled schema of a graph, as far as upkeep needs it: which indexes each table
//! declares. The schema language itself is the client's.

use std::collections::BTreeMap;

use arrow_schema::DataType;
use lancekeeper_model::{DeclaredIndex, IndexKind, TableKey};
use lancekeeper_store::Files;
use serde::Deserialize;
use serde_json::Value;

use crate::schema_files::{COMPILED, SchemaFilesError};

/// What a graph's schema declares, by table.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    declared: BTreeMap<TableKey, Vec<DeclaredIndex>>,
}

/// What tables have besides the properties of their type.
const NODE_COLUMNS: &[&str] = &["id"];
const EDGE_COLUMNS: &[&str] = &["id", "src", "dst"];

#[derive(Deserialize)]
struct Compiled {
    #[serde(default)]
    nodes: Vec<Type>,
    #[serde(default)]
    edges: Vec<Type>,
}

#[derive(Deserialize)]
struct Type {
    name: String,
    #[serde(default)]
    properties: Vec<Property>,
    /// `{"Key": ["name"]}`, `{"Index": ["age"]}`, and others that do not matter here.
    #[serde(default)]
    constraints: Vec<Value>,
}

#[derive(Deserialize)]
struct Property {
    name: String,
    prop_type: PropertyType,
    #[serde(default)]
    annotations: Vec<Annotation>,
}

#[derive(Deserialize)]
struct PropertyType {
    /// `"String"`, `"I32"`, …, or `{"Vector": 8}`.
    scalar: Value,
    #[serde(default)]
    list: bool,
    #[serde(default)]
    enum_values: Option<Value>,
}

#[derive(Deserialize)]
struct Annotation {
    name: String,
}

/// What a column holds, where a schema and a table say it alike; `None` for what may be anything, as it is of a kind that
/// is not known here.
pub type ColumnType = Option<String>;

/// The tables of a schema, each with its columns and what those hold.
pub type SchemaTables = BTreeMap<TableKey, BTreeMap<String, ColumnType>>;

/// Whether two have the same tables with the same columns, which hold the same as far as that is known.
#[must_use]
pub fn same_tables(one: &SchemaTables, other: &SchemaTables) -> bool {
    let agree =
        |one: &ColumnType, other: &ColumnType| one.is_none() || other.is_none() || one == other;
    let same_columns =
        |one: &BTreeMap<String, ColumnType>, other: &BTreeMap<String, ColumnType>| {
            one.len() == other.len()
                && one.iter().zip(other).all(|((name, of_one), (other, of_other))| {
                    name == other && agree(of_one, of_other)
                })
        };
    one.len() == other.len()
        && one.iter().zip(other).all(|((key, of_one), (other, of_other))| {
            key == other && same_columns(of_one, of_other)
        })
}

/// What a column of a table holds.
#[must_use]
pub fn column_type(of: &DataType) -> ColumnType {
    let word = match of {
        DataType::Utf8 | DataType::LargeUtf8 => "String",
        DataType::Boolean => "Bool",
        DataType::Int32 => "I32",
        DataType::Int64 => "I64",
        DataType::UInt32 => "U32",
        DataType::UInt64 => "U64",
        DataType::Float32 => "F32",
        DataType::Float64 => "F64",
        DataType::Date32 => "Date",
        DataType::Date64 | DataType::Timestamp(..) => "DateTime",
        DataType::FixedSizeList(item, length) if *item.data_type() == DataType::Float32 => {
            return Some(format!("Vector({length})"));
        }
        DataType::List(item) | DataType::LargeList(item) => {
            return column_type(item.data_type()).map(|item| format!("[{item}]"));
        }
        _ => return None,
    };
    Some(word.to_owned())
}

/// What a property's column holds. Clients store a blob in a form of Lance's own.
fn declared_type(property: &PropertyType) -> ColumnType {
    const KNOWN: [&str; 9] = ["String", "Bool", "I32", "I64", "U32", "U64", "F32", "F64", "Date"];
    let scalar = match &property.scalar {
        Value::String(scalar) if KNOWN.contains(&scalar.as_str()) || scalar == "DateTime" => {
            scalar.clone()
        }
        Value::Object(scalar) => format!("Vector({})", scalar.get("Vector")?.as_u64()?),
        _ => return None,
    };
    Some(if property.list { format!("[{scalar}]") } else { scalar })
}

impl Catalog {
    /// Reads the compiled schema among the files of a graph. A graph that never had one declares
    /// nothing.
    ///
    /// # Errors
    ///
    /// When the file is there and cannot be read or understood.
    pub async fn read(graph: &Files) -> Result<Self, SchemaFilesError> {
        let Some(text) = graph.read(COMPILED).await? else { return Ok(Self::default()) };
        Self::parse(&text).map_err(SchemaFilesError::json(graph, COMPILED))
    }

    fn parse(text: &[u8]) -> Result<Self, serde_json::Error> {
        let compiled: Compiled = serde_json::from_slice(text)?;
        let tables = compiled.tables();
        let declared = tables.map(|(key, table, built_in)| (key, declared_of(table, built_in)));
        Ok(Self { declared: declared.collect() })
    }

    /// The indexes a table declares; none for a table the schema does not know.
    #[must_use]
    pub fn declared(&self, table: &TableKey) -> &[DeclaredIndex] {
        self.declared.get(table).map_or(&[], Vec::as_slice)
    }
}

impl Compiled {
    /// Every table, with its key and the columns that it has besides its properties.
    fn tables(&self) -> impl Iterator<Item = (TableKey, &Type, &'static [&'static str])> {
        let key = |kind: &str, table: &Type| TableKey::new(format!("{kind}:{}", table.name));
        let nodes = self.nodes.iter().map(move |node| (key("node", node), node, NODE_COLUMNS));
        let edges = self.edges.iter().map(move |edge| (key("edge", edge), edge, EDGE_COLUMNS));
        nodes.chain(edges)
    }
}

/// The tables of a compiled schema, each with its columns; `None` if it is none.
pub(crate) fn tables_of(compiled: &[u8]) -> Option<SchemaTables> {
    let compiled: Compiled = serde_json::from_slice(compiled).ok()?;
    let tables = compiled.tables().map(|(key, table, built_in)| {
        let text = || Some("String".to_owned());
        let built_in = built_in.iter().map(|name| ((*name).to_owned(), text()));
        let own = table
            .properties
            .iter()
            .map(|property| (property.name.clone(), declared_type(&property.prop_type)));
        (key, built_in.chain(own).collect())
    });
    Some(tables.collect())
}

fn declared_of(table: &Type, built_in: &[&str]) -> Vec<DeclaredIndex> {
    let btree =
        |column: &&str| DeclaredIndex { column: (*column).to_owned(), kind: IndexKind::BTree };
    let mut declared: Vec<_> = built_in.iter().map(btree).collect();
    for property in &table.properties {
        if is_indexed(table, property)
            && !built_in.contains(&property.name.as_str())
            && let Some(kind) = kind_for(&property.prop_type)
        {
            declared.push(DeclaredIndex { column: property.name.clone(), kind });
        }
    }
    declared
}

fn is_indexed(table: &Type, property: &Property) -> bool {
    let by_annotation = property.annotations.iter().any(|a| a.name == "key" || a.name == "index");
    let by_constraint = table.constraints.iter().any(|constraint| {
        ["Key", "Index"].iter().any(|kind| {
            let columns = constraint.get(kind).and_then(Value::as_array);
            // Composite ones have no index of their own in Lance.
            columns.is_some_and(|c| c.len() == 1 && c[0] == property.name.as_str())
        })
    });
    by_annotation || by_constraint
}

fn kind_for(property: &PropertyType) -> Option<IndexKind> {
    if property.list {
        return None;
    }
    match &property.scalar {
        Value::Object(scalar) if scalar.contains_key("Vector") => Some(IndexKind::Vector),
        Value::String(scalar) if scalar == "Blob" => None,
        Value::String(scalar) if scalar == "String" => {
            let is_enum = property.enum_values.as_ref().is_some_and(|values| !values.is_null());
            Some(if is_enum { IndexKind::BTree } else { IndexKind::FullText })
        }
        Value::String(_) => Some(IndexKind::BTree),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_indexes_are_declared_by_type() {
        let text = br#"{"ir_version":1,"nodes":[{"name":"P","constraints":[{"Index":["age"]},{"Key":["name"]},{"Index":["a","b"]}],
            "properties":[
              {"name":"age","prop_type":{"scalar":"I32","list":false,"enum_values":null},"annotations":[]},
              {"name":"name","prop_type":{"scalar":"String","list":false,"enum_values":null},"annotations":[{"name":"key","value":null}]},
              {"name":"kind","prop_type":{"scalar":"String","list":false,"enum_values":["a"]},"annotations":[{"name":"index"}]},
              {"name":"emb","prop_type":{"scalar":{"Vector":8},"list":false},"annotations":[{"name":"index"}]},
              {"name":"tags","prop_type":{"scalar":"String","list":true},"annotations":[{"name":"index"}]},
              {"name":"a","prop_type":{"scalar":"I32","list":false},"annotations":[]}]}],
            "edges":[{"name":"K"}]}"#;
        let catalog = Catalog::parse(text).unwrap();
        let declared: Vec<_> = catalog
            .declared(&TableKey::new("node:P"))
            .iter()
            .map(|d| (d.column.as_str(), d.kind))
            .collect();
        assert_eq!(
            declared,
            [
                ("id", IndexKind::BTree),
                ("age", IndexKind::BTree),
                ("name", IndexKind::FullText),
                ("kind", IndexKind::BTree),
                ("emb", IndexKind::Vector),
            ]
        );
        let edge = catalog.declared(&TableKey::new("edge:K"));
        assert_eq!(
            edge.iter().map(|d| d.column.as_str()).collect::<Vec<_>>(),
            ["id", "src", "dst"]
        );
        assert!(catalog.declared(&TableKey::new("node:Q")).is_empty());
    }

    #[test]
    fn tables_have_the_columns_that_clients_give_them() {
        let text = r#"{"nodes":[{"name":"P","properties":[{"name":"a","prop_type":{"scalar":"I32"}}]}],
            "edges":[{"name":"K","properties":[{"name":"since","prop_type":{"scalar":"Date"}}]}]}"#;
        let tables = tables_of(text.as_bytes()).unwrap();
        let columns = |key: &str| {
            tables[&TableKey::new(key)].keys().map(String::as_str).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            (columns("node:P"), columns("edge:K")),
            ("a id".into(), "dst id since src".into())
        );
        assert_eq!(tables_of(b"1"), None);
    }

    #[test]
    fn a_schema_is_another_one_if_a_column_holds_something_else() {
        let of = |kind: &str| {
            let text = format!(
                r#"{{"nodes":[{{"name":"P","properties":[{{"name":"a","prop_type":{kind}}}]}}]}}"#
            );
            tables_of(text.as_bytes()).unwrap()
        };
        let scalar = |name: &str| of(&format!(r#"{{"scalar":"{name}"}}"#));
        assert!(same_tables(&scalar("I32"), &scalar("I32")));
        assert!(!same_tables(&scalar("I32"), &scalar("I64")));
        assert!(!same_tables(&scalar("String"), &of(r#"{"scalar":"String","list":true}"#)));
        assert!(!same_tables(&scalar("I32"), &SchemaTables::new()));
        // What is not known may be anything.
        assert!(same_tables(&scalar("Blob"), &scalar("String")));
        assert!(same_tables(&scalar("Duration"), &scalar("I64")));
        let table = |kind: &DataType| {
            let columns = [("a", column_type(kind)), ("id", column_type(&DataType::Utf8))];
            let columns = columns.map(|(name, kind)| (name.to_owned(), kind));
            SchemaTables::from([(TableKey::new("node:P"), BTreeMap::from(columns))])
        };
        let item = |kind| std::sync::Arc::new(arrow_schema::Field::new("item", kind, true));
        for (declared, stored) in [
            (r#"{"scalar":"String","enum_values":["x"]}"#, DataType::Utf8),
            (r#"{"scalar":"Date"}"#, DataType::Date32),
            (r#"{"scalar":"DateTime"}"#, DataType::Date64),
            (r#"{"scalar":{"Vector":4}}"#, DataType::FixedSizeList(item(DataType::Float32), 4)),
            (r#"{"scalar":"U64","list":true}"#, DataType::List(item(DataType::UInt64))),
        ] {
            assert!(same_tables(&of(declared), &table(&stored)), "{declared} {stored}");
            assert!(!same_tables(&of(declared), &table(&DataType::Boolean)), "{declared}");
        }
        assert!(!same_tables(
            &of(r#"{"scalar":{"Vector":8}}"#),
            &table(&DataType::FixedSizeList(item(DataType::Float32), 4))
        ));
    }
}
