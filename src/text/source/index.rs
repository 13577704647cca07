use crate::text::Span;

/// Where every value of a document stands: its tree without the values.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    nodes: Vec<Node>,
    root: usize,
}

/// One value.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) shape: NodeShape,
}

/// What a value consists of; children are numbers of nodes. An alias has the children of its anchor.
#[derive(Debug, Clone)]
pub(super) enum NodeShape {
    Scalar {
        text: String,
        plain: bool,
    },
    Sequence(Vec<usize>),
    /// Sorted by key.
    Mapping(Vec<MappingEntry>),
    Alias(usize),
}

/// One key of a mapping with its value.
#[derive(Debug, Clone)]
pub(super) struct MappingEntry {
    pub(super) key: String,
    pub(super) key_span: Span,
    pub(super) value: usize,
}

/// A value that a pointer leads to.
pub(super) struct Found<'a> {
    pub(super) node: &'a Node,
    /// The key that introduces it; an element of a sequence and the root have none.
    pub(super) key_span: Option<Span>,
}

impl Index {
    pub(super) fn new(nodes: Vec<Node>, root: usize) -> Self {
        Self { nodes, root }
    }

    pub(super) fn root(&self) -> usize {
        self.root
    }

    /// A node, seen through aliases where `id` is one.
    pub(super) fn resolved(&self, id: usize) -> &Node {
        let mut node = &self.nodes[id];
        // An alias always points to an earlier node, so this ends.
        while let NodeShape::Alias(target) = node.shape {
            node = &self.nodes[target];
        }
        node
    }

    pub(super) fn node(&self, id: usize) -> &Node {
        &self.nodes[id]
    }

    /// Where the scalar at a JSON pointer is written, seen through aliases.
    pub(super) fn scalar(&self, pointer: &str) -> Option<Span> {
        let mut node = self.find(pointer)?.node;
        while let NodeShape::Alias(target) = node.shape {
            node = &self.nodes[target];
        }
        matches!(node.shape, NodeShape::Scalar { .. }).then_some(node.span)
    }

    /// The value at a JSON pointer.
    pub(super) fn find(&self, pointer: &str) -> Option<Found<'_>> {
        let mut id = self.root;
        let mut key_span = None;
        if !pointer.is_empty() {
            for token in pointer.strip_prefix('/')?.split('/') {
                let token = token.replace("~1", "/").replace("~0", "~");
                match &self.nodes.get(id).map(|_| self.resolved(id))?.shape {
                    NodeShape::Sequence(items) => {
                        id = *items.get(token.parse::<usize>().ok()?)?;
                        key_span = None;
                    }
                    NodeShape::Mapping(entries) => {
                        let at = entries.binary_search_by(|entry| entry.key.as_str().cmp(&token)).ok()?;
                        let entry = &entries[at];
                        id = entry.value;
                        key_span = Some(entry.key_span);
                    }
                    NodeShape::Scalar { .. } | NodeShape::Alias(_) => return None,
                }
            }
        }
        let node = self.nodes.get(id)?;
        Some(Found { node, key_span })
    }
}
