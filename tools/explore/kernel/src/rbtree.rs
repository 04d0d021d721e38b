// SPDX-License-Identifier: GPL-2.0

//! A sorted map.

use crate::{alloc::flags::Flags, error::Result};
use std::collections::BTreeMap;

/// A sorted map.
pub struct RBTree<K, V>(BTreeMap<K, V>);

/// A key and its value, for a map.
pub struct RBTreeNode<K, V>(K, V);

impl<K, V> RBTreeNode<K, V> {
    /// One that is in no map.
    pub fn new(key: K, value: V, _flags: Flags) -> Result<Self> {
        Ok(Self(key, value))
    }
}

impl<K: Ord, V> RBTree<K, V> {
    /// An empty map.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// The value of `key`.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.0.get(key)
    }

    /// Sets the value of a key, and returns the node that it had.
    pub fn insert(&mut self, node: RBTreeNode<K, V>) -> Option<RBTreeNode<K, V>>
    where
        K: Clone,
    {
        let RBTreeNode(key, value) = node;
        let old = self.0.insert(key.clone(), value)?;
        Some(RBTreeNode(key, old))
    }

    /// The values, sorted by their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.0.values()
    }
}

impl<K: Ord, V> Default for RBTree<K, V> {
    fn default() -> Self {
        Self::new()
    }
}
