//! The compiled schema of a graph, as far as upkeep needs it: which indexes each table
//! declares. The schema language itself is the client's.

use std::collections::{BTreeMap, BTreeSet};

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

/// The tables of a schema, each with its columns.
pub type SchemaTables = BTreeMap<TableKey, BTreeSet<String>>;

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
        let own = table.properties.iter().map(|property| property.name.clone());
        (key, built_in.iter().map(|name| (*name).to_owned()).chain(own).collect())
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
            tables[&TableKey::new(key)].iter().map(String::as_str).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            (columns("node:P"), columns("edge:K")),
            ("a id".into(), "dst id since src".into())
        );
        assert_eq!(tables_of(b"1"), None);
    }
}
