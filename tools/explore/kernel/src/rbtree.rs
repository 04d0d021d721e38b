// SPDX-License-Identifier: GPL-2.0

//! A sorted map.

use crate::{alloc::flags::Flags, error::Result};
use std::collections::BTreeMap;

/// A sorted map.
pub struct RBTree<K, V>(BTreeMap<K, V>);

impl<K: Ord, V> RBTree<K, V> {
    /// An empty map.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// The value of `key`.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.0.get(key)
    }

    /// Sets the value of `key`.
    pub fn try_create_and_insert(&mut self, key: K, value: V, _flags: Flags) -> Result<Option<V>> {
        Ok(self.0.insert(key, value))
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
