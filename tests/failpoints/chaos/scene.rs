//! The graph, the database and the graph of an old format of one world, and those who know them. Cheap to clone.

use std::sync::Arc;

use super::database::Database;
use super::graph::Graph;
use super::old::Old;
use super::world::World;

#[derive(Debug, Clone)]
pub(super) struct Scene {
    pub(super) world: Arc<World>,
    pub(super) graph: Arc<Graph>,
    pub(super) database: Arc<Database>,
    pub(super) old: Arc<Old>,
    /// The URIs of the graph and of the database.
    pub(super) roots: [String; 2],
}
