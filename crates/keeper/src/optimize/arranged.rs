//! In which order the rows of a table are to lie: what is asked for or remembered, and what is known of where
//! they lie now. Writes nothing.
//!
//! Not here: how rows are sorted (`rewrite`), and how the state is kept (`layouts`).

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::new_empty_array;
use lance::Dataset;
use lance_table::format::Fragment;
use lancekeeper_layout::{
    BOUNDARIES, ClusterPlan, Extent, Fragment as Placed, LayoutState, Member, RankBox, Request,
    Scope, Space, SpaceError, Targets, depth_at_most, plan_clustering,
};
use lancekeeper_model::{
    Clustering, DeclaredIndex, ErrorKind, FragmentFacts, IndexKind, Layout, LayoutStats,
};
use lancekeeper_planner::index::IndexInventory;
use lancekeeper_planner::optimize::{Choice, LayoutPolicy, why_unfit};
use lancekeeper_rewrite::stage::why_not_permuted;
use lancekeeper_rewrite::{Arrangement, StagedGroup};
use thiserror::Error;

use crate::layouts::{
    ColumnError, KeptLayout, LayoutsError, extents, fields_of, measured, remembered, sample,
    witness,
};
use crate::optimize::inventory::Wish;
use crate::optimize::suggest::suggested;
use crate::root::{ReadRoot, Target};

/// What is to be done about the order of a table's rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Order {
    /// The order that is kept up, if one is.
    pub(crate) arranged: Option<Arranged>,
    /// What the table has to remember from now on, if that is something else than it does.
    pub(crate) remember: Option<Remember>,
}

/// What a table has to remember.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Remember {
    /// This layout.
    Layout(Layout),
    /// None.
    Nothing,
}

/// An order that is kept up, and what is known of it.
#[derive(Debug, Clone)]
pub(crate) struct Arranged {
    /// The state, with only those fragments that the table has as they were written.
    pub(crate) state: LayoutState,
    pub(crate) arrangement: Arc<Arrangement>,
    scope: Scope,
    /// The ids of the layout's fields.
    fields: Vec<i32>,
    /// Whether the space was asked about in this run, with every row that the table has.
    is_asked: bool,
    /// Of the staged groups, where rows lay before.
    found: BTreeMap<u64, RankBox>,
}

/// A table cannot be laid out as is asked for.
#[derive(Debug, Error)]
pub(crate) enum OrderError {
    #[error("layout {layout}: {source}")]
    Column { layout: Layout, source: ColumnError },
    #[error("layout {layout}: {why}")]
    Impossible { layout: Layout, why: String },
    #[error(transparent)]
    Layouts(#[from] LayoutsError),
}

impl OrderError {
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Column { source, .. } => source.kind(),
            Self::Impossible { .. } => ErrorKind::Refused,
            Self::Layouts(error) => error.kind(),
        }
    }

    /// Whether only another layout helps. Of one that is remembered that is no failure of a run: nobody asked
    /// for it now.
    pub(crate) fn is_lasting(&self) -> bool {
        match self {
            Self::Column { source: ColumnError::Lance(_), .. } | Self::Layouts(_) => false,
            Self::Column { .. } | Self::Impossible { .. } => true,
        }
    }
}

/// What is to be done about the order of the rows of a table that has these indexes.
pub(super) async fn order(
    read: &ReadRoot,
    target: &Target,
    table: &Dataset,
    indexes: &IndexInventory,
    wish: &Wish,
) -> Result<Order, OrderError> {
    let is_of_graph = target.pin.is_some();
    // Of a graph's table nothing but the document says which layout it has.
    let of_graph = if is_of_graph { kept(read, target, wish).await? } else { None };
    let before = match is_of_graph {
        true => of_graph.as_ref().map(|state| state.layout.clone()),
        false => remembered(table)?,
    };
    let wanted = match &wish.order {
        Some(Layout::Auto) => {
            let impossible = |why| OrderError::Impossible { layout: Layout::Auto, why };
            let suggested = suggested(table, &indexes.existing, &wish.workload);
            Some(suggested.map_err(impossible)?)
        }
        // Packed as they come is what tables without a layout are.
        Some(Layout::BinPack) if is_of_graph => Some(Layout::None),
        wanted => wanted.clone().or_else(|| before.clone()),
    };
    let wanted = wanted.filter(|layout| !matches!(layout, Layout::None));
    let remember = match &wanted {
        _ if wanted == before => None,
        Some(layout) => Some(Remember::Layout(layout.clone())),
        None => Some(Remember::Nothing),
    };
    let Some(layout) = wanted else { return Ok(Order { arranged: None, remember }) };
    let unfit = match is_of_graph {
        true => why_unfit(&target.table.key, &layout, &indexes.existing, &indexes.declared),
        false => None,
    };
    if let Some(why) = unfit {
        return Err(OrderError::Impossible { layout, why });
    }
    let state = match is_of_graph {
        true => of_graph,
        false if layout.columns().is_empty() => None,
        false => kept(read, target, wish).await?,
    };
    let arranged = arranged(table, indexes.rows, &layout, state, wish).await?;
    Ok(Order { arranged, remember })
}

/// What is kept of the layout of a table, whichever that is. What a later program has written is replaced when the
/// caller asks for a layout.
async fn kept(
    read: &ReadRoot,
    target: &Target,
    wish: &Wish,
) -> Result<Option<LayoutState>, LayoutsError> {
    match KeptLayout::of(&read.root.files(), target).read().await {
        Err(LayoutsError::Document { .. }) if wish.order.is_some() => Ok(None),
        read => read,
    }
}

async fn arranged(
    table: &Dataset,
    rows: u64,
    layout: &Layout,
    state: Option<LayoutState>,
    wish: &Wish,
) -> Result<Option<Arranged>, OrderError> {
    let columns = layout.columns();
    if columns.is_empty() {
        return Ok(None);
    }
    if let Some(why) = why_not_permuted(table) {
        return Err(OrderError::Impossible { layout: layout.clone(), why: why.to_owned() });
    }
    // Another layout's state says nothing about this one, whatever it was written by.
    let state = state.filter(|state| state.layout == *layout);
    let fields = fields_of(table, &columns);
    let state = state_now(table, layout, &fields, rows, state).await;
    let (state, is_asked) =
        state.map_err(|source| OrderError::Column { layout: layout.clone(), source })?;
    let arrangement = Arrangement::new(layout, state.space.clone());
    Ok(arrangement.map(|arrangement| Arranged {
        state,
        arrangement: Arc::new(arrangement),
        scope: if wish.full { Scope::Full } else { Scope::Changed },
        fields,
        is_asked,
        found: BTreeMap::new(),
    }))
}

/// The state of a layout as the table is now: what is kept of it, as far as that still holds; and whether its rows
/// were asked for that.
async fn state_now(
    table: &Dataset,
    layout: &Layout,
    fields: &[i32],
    rows: u64,
    kept: Option<LayoutState>,
) -> Result<(LayoutState, bool), ColumnError> {
    let columns = layout.columns();
    let Some(mut state) = kept else {
        let space = Space::from_sample(&sample(table, &columns, rows).await?, BOUNDARIES)?;
        return Ok((LayoutState::new(layout.clone(), space, rows), true));
    };
    let now: BTreeMap<u64, u64> =
        table.fragments().iter().map(|f| (f.id, witness(f, fields))).collect();
    state.keep(|id| now.get(&id).copied());
    let means_the_same = means_the_same(table, &state.space)?;
    let of_no_run = table.fragments().iter().filter(|f| !state.members.contains_key(&f.id));
    let of_no_run = of_no_run.map(|f| f.num_rows().unwrap_or_default() as u64).sum();
    if means_the_same && !state.may_have_drifted(rows, of_no_run) {
        return Ok((state, false));
    }
    let fresh = sample(table, &columns, rows).await?;
    (state.sampled_rows, state.new_rows) = (rows, 0);
    if means_the_same {
        let values: Vec<_> = fresh.iter().filter_map(|s| s.values.first().cloned()).collect();
        let drift = state.space.drift(&state.space.ranks(&values)?);
        if !drift.calls_for_renewal() {
            return Ok((state, true));
        }
    }
    state.space = state.space.renewed(&fresh, BOUNDARIES)?;
    renew_boxes(table, &mut state).await?;
    Ok((state, true))
}

/// Finds out where the fragments of the runs lie in a space that was renewed.
async fn renew_boxes(table: &Dataset, state: &mut LayoutState) -> Result<(), ColumnError> {
    let is_of_a_run = |fragment: &&Fragment| state.members.contains_key(&fragment.id);
    let fragments: Vec<Fragment> = table.fragments().iter().filter(is_of_a_run).cloned().collect();
    if fragments.is_empty() {
        return Ok(());
    }
    let found = extents(table, &state.space, Some(fragments), |_, _| Ok(())).await?;
    state.members.retain(|id, member| {
        let Some(extent) = found.get(id) else { return false };
        member.ranks = extent.ranks.clone();
        true
    });
    Ok(())
}

/// Whether the columns still mean what they did when the space was made.
fn means_the_same(table: &Dataset, space: &Space) -> Result<bool, ColumnError> {
    let empty = space.column_names().map(|name| {
        let field = table.schema().fields.iter().find(|field| field.name == name);
        let field = field.ok_or_else(|| ColumnError::NoColumn(name.to_owned()))?;
        Ok(new_empty_array(&field.data_type()))
    });
    let empty: Vec<_> = empty.collect::<Result<_, ColumnError>>()?;
    match space.box_around(&empty) {
        Ok(_) => Ok(true),
        Err(SpaceError::TypeChanged { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

impl Arranged {
    /// Whether it is an order of the edges of a graph.
    pub(super) fn is_of_edges(&self) -> bool {
        matches!(self.state.layout, Layout::Graph)
    }

    /// The zone maps of its columns: Lance skips rows by nothing else.
    pub(super) fn zone_maps(&self, table: &Dataset) -> Vec<DeclaredIndex> {
        let path = |field: &i32| table.schema().field_path(*field).ok();
        let declared = |column| DeclaredIndex { column, kind: IndexKind::ZoneMap };
        self.fields.iter().filter_map(path).map(declared).collect()
    }

    /// Which of these fragments get a new order, in a run that reads no more than so many bytes if it can.
    pub(super) fn choose(
        &self,
        fragments: &[&FragmentFacts],
        policy: &LayoutPolicy,
        max_bytes: Option<u64>,
    ) -> Choice {
        let placed: Vec<Placed> = fragments.iter().map(|fragment| self.placed(fragment)).collect();
        let request = Request {
            scope: self.scope,
            targets: Targets { rows: policy.target_rows, bytes: policy.target_bytes },
            max_bytes: max_bytes.unwrap_or(u64::MAX),
            generation: self.state.space.generation(),
        };
        match plan_clustering(&placed, &self.state.runs, &request) {
            ClusterPlan::Nothing { reason } => Choice::Nothing { reason },
            ClusterPlan::Rewrite(group) if group.outputs.is_empty() => {
                Choice::Nothing { reason: "no rows to lay out".to_owned() }
            }
            ClusterPlan::Rewrite(group) => Choice::Cluster {
                fragments: group.fragments,
                outputs: group.outputs,
                full_rows: group.full_rows,
            },
        }
    }

    fn placed(&self, fragment: &FragmentFacts) -> Placed {
        let known = self.state.members.get(&fragment.id);
        Placed {
            id: fragment.id,
            rows: fragment.live_rows(),
            bytes: fragment.live_bytes(),
            ranks: known.map(|member| member.ranks.clone()),
        }
    }

    /// The state that is kept once these groups are to be committed, whose fragments have their final ids.
    pub(super) fn with(&self, groups: &[&StagedGroup]) -> LayoutState {
        let mut next = self.state.clone();
        for group in groups {
            let of_new = group.new_fragments.iter();
            match &group.permuted {
                Some(permuted) => {
                    let members = of_new.zip(&permuted.boxes);
                    let members = members.map(|(f, ranks)| (f.id, self.member(f, ranks.clone())));
                    next = next.with_run(members.collect());
                    next.new_rows = next.new_rows.saturating_add(self.came_since(group));
                }
                None => next = next.with_copies(&self.copies(group)),
            }
        }
        next
    }

    /// The rows of a group that were of no run and that the space was not made for.
    fn came_since(&self, group: &StagedGroup) -> u64 {
        let is_new = |fragment: &&Fragment| !self.state.members.contains_key(&fragment.id);
        let new = group.source.iter().filter(|_| !self.is_asked).filter(is_new);
        new.map(|fragment| fragment.num_rows().unwrap_or_default() as u64).sum()
    }

    fn member(&self, fragment: &Fragment, ranks: RankBox) -> Member {
        let rows = fragment.num_rows().unwrap_or_default() as u64;
        Member { witness: witness(fragment, &self.fields), rows, ranks }
    }

    /// What a purge makes of one fragment of a run. It lies within the box of that.
    fn copies(&self, group: &StagedGroup) -> Vec<(u64, u64, Member)> {
        let ([old], [new]) = (group.source.as_slice(), group.new_fragments.as_slice()) else {
            return Vec::new();
        };
        let known = self.state.members.get(&old.id);
        let member = known.map(|known| self.member(new, known.ranks.clone()));
        member.map(|member| (old.id, new.id, member)).into_iter().collect()
    }

    /// Takes note of where the rows of a group lay.
    pub(super) fn learn(&mut self, group: &StagedGroup) {
        if let Some(permuted) = &group.permuted {
            let boxes = permuted.source_boxes.iter();
            self.found.extend(boxes.map(|(id, ranks)| (*id, ranks.clone())));
        }
    }

    /// How well these fragments are told apart, as far as it is known of all of them.
    pub(super) fn clustering(&self, fragments: &[FragmentFacts]) -> Option<Clustering> {
        let live = fragments.iter().filter(|fragment| fragment.live_rows() > 0);
        let extents: Vec<Extent> = live.map(|each| self.extent(each)).collect::<Option<_>>()?;
        let columns: Vec<String> = self.state.space.column_names().map(ToOwned::to_owned).collect();
        Some(measured(&columns, &extents))
    }

    /// Where the rows of a fragment lie, if that is known.
    fn extent(&self, fragment: &FragmentFacts) -> Option<Extent> {
        let known = self.state.members.get(&fragment.id).map(|member| &member.ranks);
        let ranks = known.or_else(|| self.found.get(&fragment.id))?.clone();
        Some(Extent { ranks, rows: fragment.live_rows() })
    }

    /// The depth, where rows that no layout has placed may lie anywhere.
    fn depth_at_most(&self, fragments: &[FragmentFacts]) -> Option<f64> {
        let known: Vec<Extent> = fragments.iter().filter_map(|each| self.extent(each)).collect();
        let strangers = fragments.iter().filter(|each| self.extent(each).is_none());
        let (count, rows) = strangers
            .map(FragmentFacts::live_rows)
            .filter(|rows| *rows > 0)
            .fold((0, 0), |(count, all): (u64, u64), rows| (count + 1, all.saturating_add(rows)));
        depth_at_most(&known, count, rows)
    }

    /// The row of the report, of a table with these fragments.
    pub(super) fn stats(&self, fragments: &[FragmentFacts]) -> LayoutStats {
        let now = self.clustering(fragments);
        let measured = now.as_ref().map(|clustering| clustering.depth);
        LayoutStats {
            layout: self.state.layout.to_string(),
            depth_at_most: measured.or_else(|| self.depth_at_most(fragments)),
            before: now.clone(),
            after: now,
            expansions: None,
        }
    }
}
