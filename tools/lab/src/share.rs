// SPDX-License-Identifier: GPL-2.0

//! A part of the scenarios, where several machines run them at the same time.

use std::fmt;
use std::str::FromStr;

use anyhow::{ensure, Context, Result};

/// Every `of`th, from the `number`th on, which is 1 for the first. Neighbours, which take about as
/// long as each other, are in different shares.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Share {
    number: usize,
    of: usize,
}

impl Share {
    /// Whether what has this position, which is 0 for the first, is in it.
    pub fn has(self, position: usize) -> bool {
        position % self.of == self.number - 1
    }

    /// What files of it are named after.
    pub fn name(self) -> String {
        format!("{}-of-{}", self.number, self.of)
    }
}

impl FromStr for Share {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (number, of) = text.split_once('/').context("a share is like 1/2")?;
        let share = Self {
            number: number.parse().context("the share's number")?,
            of: of.parse().context("the number of shares")?,
        };
        ensure!(
            (1..=share.of).contains(&share.number),
            "of {} shares none has the number {}",
            share.of,
            share.number
        );
        Ok(share)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_position_is_in_one_share() {
        let shares: Vec<Share> = ["1/3", "2/3", "3/3"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        for position in 0..10 {
            let having = shares.iter().filter(|share| share.has(position));
            assert_eq!(having.count(), 1, "{position}");
        }
        assert!(shares[0].has(0) && shares[0].has(3));
    }

    #[test]
    fn text_and_back() {
        let share: Share = "2/5".parse().unwrap();
        assert_eq!(share.to_string(), "2/5");
        assert_eq!(share.name(), "2-of-5");
    }

    #[test]
    fn no_share() {
        for text in ["", "1", "0/2", "3/2", "1/0", "0/0", "-1/2", "1/2/3", "a/b"] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
    }
}
