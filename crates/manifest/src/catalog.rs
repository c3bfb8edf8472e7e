//! The compiled schema of a graph, as far as upkeep needs it: which indexes each table
//! declares. The schema language itself is the client's.

use std::collections::BTreeMap;

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
        let mut declared = BTreeMap::new();
        for node in &compiled.nodes {
            let key = TableKey::new(format!("node:{}", node.name));
            declared.insert(key, declared_of(node, &["id"]));
        }
        for edge in &compiled.edges {
            let key = TableKey::new(format!("edge:{}", edge.name));
            declared.insert(key, declared_of(edge, &["id", "src", "dst"]));
        }
        Ok(Self { declared })
    }

    /// The indexes a table declares; none for a table the schema does not know.
    #[must_use]
    pub fn declared(&self, table: &TableKey) -> &[DeclaredIndex] {
        self.declared.get(table).map_or(&[], Vec::as_slice)
    }
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
}
