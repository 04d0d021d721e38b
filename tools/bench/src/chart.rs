// SPDX-License-Identifier: GPL-2.0

//! The charts.

use std::path::Path;

use anyhow::{anyhow, Result};
use plotters::prelude::*;

use crate::cell;
use crate::result::{Growth, Results};
use crate::table::number;

const WIDTH: u32 = 1200;
const PANEL: u32 = 300;

fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("drawing: {error}")
}

/// The table as bars, one panel per column.
pub(crate) fn bars(results: &Results, file: &Path) -> Result<()> {
    let root = SVGBackend::new(file, (WIDTH, 3 * PANEL)).into_drawing_area();
    root.fill(&WHITE).map_err(failed)?;

    for (column, area) in root.split_evenly((3, 2)).iter().enumerate() {
        let figures: Vec<u64> = results
            .rows
            .iter()
            .map(|row| row.figures[column].median)
            .collect();
        let most = figures.iter().max().copied().unwrap_or(1);
        let mut chart = ChartBuilder::on(area)
            .caption(cell::ALL[column].name, ("sans-serif", 16))
            .margin(8)
            .x_label_area_size(20)
            .build_cartesian_2d(0..most * 6 / 5, 0..figures.len())
            .map_err(failed)?;
        // The first row is at the top.
        let place = |row: usize| figures.len() - 1 - row;
        chart
            .configure_mesh()
            .disable_mesh()
            .disable_y_axis()
            .x_labels(4)
            .x_label_formatter(&|x| number(*x as i64))
            .draw()
            .map_err(failed)?;
        chart
            .draw_series(figures.iter().enumerate().map(|(row, &figure)| {
                let mut bar = Rectangle::new(
                    [(0, place(row)), (figure, place(row) + 1)],
                    Palette99::pick(row).filled(),
                );
                bar.set_margin(3, 3, 0, 0);
                bar
            }))
            .map_err(failed)?;
        chart
            .draw_series(figures.iter().enumerate().map(|(row, &figure)| {
                let label = format!("{}  {}", results.rows[row].name, number(figure as i64));
                Text::new(label, (most / 100, place(row) + 1), ("sans-serif", 13))
            }))
            .map_err(failed)?;
    }
    root.present().map_err(failed)
}

/// One panel per kind of growth.
pub(crate) fn growth(all: &[Growth], file: &Path) -> Result<()> {
    let rows = all.len().div_ceil(2).max(1);
    let root = SVGBackend::new(file, (WIDTH, rows as u32 * PANEL)).into_drawing_area();
    root.fill(&WHITE).map_err(failed)?;

    for (growth, area) in all.iter().zip(root.split_evenly((rows, 2))) {
        let most = growth.points.iter().map(|point| point.1).max().unwrap_or(1);
        let points = growth.points.iter().enumerate();
        let mut chart = ChartBuilder::on(&area)
            .caption(
                format!("{}, by {}", growth.what, growth.with),
                ("sans-serif", 16),
            )
            .margin(8)
            .y_label_area_size(60)
            .x_label_area_size(30)
            .build_cartesian_2d(
                0..growth.points.len().saturating_sub(1).max(1),
                0..most * 6 / 5,
            )
            .map_err(failed)?;
        chart
            .configure_mesh()
            .x_labels(growth.points.len())
            // Points are equidistant, since they grow by factors.
            .x_label_formatter(&|at| {
                growth
                    .points
                    .get(*at)
                    .map_or(String::new(), |p| number(p.0 as i64))
            })
            .y_label_formatter(&|y| number(*y as i64))
            .draw()
            .map_err(failed)?;
        chart
            .draw_series(LineSeries::new(
                points.clone().map(|(at, p)| (at, p.1)),
                &BLUE,
            ))
            .map_err(failed)?;
        chart
            .draw_series(points.map(|(at, p)| Circle::new((at, p.1), 3, BLUE.filled())))
            .map_err(failed)?;
    }
    root.present().map_err(failed)
}
